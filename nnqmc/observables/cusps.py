"""The slopes of psi where charges meet, from the local energies near there."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nnqmc.observables.coulomb import require_coulomb, rough_energy
from nnqmc.observables.observable import Observable
from nnqmc.ranges import Between
from nnqmc.statistics import ObservableEstimate
from nnqmc.typing import BoundLogPsi, Electrons, Key, LocalEnergy, LocalOperator, System

_MOST, _TOLERATED = 4.0, 0.2
"""Error bars beyond which a slope is off, and the least difference from 1 of which anything is said."""

_WORDS = ("a nucleus", "electrons of opposite spin", "electrons of the same spin")


def cusps(system: System, hamiltonian: LocalOperator | None = None,
          reach: Annotated[float, Between(1e-3, 10.0)] = 0.4, every: Annotated[int, Between(1, 10**6)] = 5
          ) -> Observable:
    """Return the slopes of psi where two charges meet, each over the one that Kato's conditions ask for: 1 if exact.

    The exact psi changes like 1 - Z r at the distance r of an electron from a nucleus, like 1 + r/2 at the distance r
    of two electrons of opposite spin, and like r (1 + r/4) for the same spin (averaged over directions). For a psi with
    other slopes, s times these, the local energy contains (s - 1) Z/r at a nucleus and (1 - s)/r between electrons.
    That coefficient is found by a straight line in r through r E_L of all pairs with r below `reach`, over Z at a
    nucleus. So it takes no evaluation of psi. "nuclei" (n_atoms,) are the slopes at the nuclei, "opposite" and "same"
    those of electrons, where there are such pairs; nan where no two have met. A slope that is off by more than 20 % and
    four error bars is said, and isn't trusted. Source: T. Kato, Commun. Pure Appl. Math. 10, 151 (1957),
    doi:10.1002/cpa.3160100201.

    Args:
        system: the molecule.
        hamiltonian: that of the evaluation; by default that of a molecule.
        reach: the largest distance in bohr; at a nucleus this over Z.
        every: they are measured at every so many steps.

    Raises:
        InputError: a setting is out of range, or the Hamiltonian isn't the Coulomb Hamiltonian of all electrons.
    """
    require_coulomb("cusps", system, hamiltonian, "leave cusps out")
    return Observable("cusps", "", partial(_local, reach), partial(_slopes, system), needs_local_energy=True,
                      every=every, doubts=_off, is_check=True)


def _local(reach: float, psi: BoundLogPsi, electrons: Electrons, system: System, key: Key, local_energy: LocalEnergy
           ) -> dict[str, Float[Array, "n_rows 5"]]:
    """Return what straight lines are made of, one in each row of "sums": the sums over the pairs that are near.

    The rows are the nuclei, and the pairs of opposite and of the same spin where there are such.
    """
    energy = local_energy.total - rough_energy(system)
    charges = jnp.asarray(system.charges, electrons.dtype)
    vectors = electrons[:, None] - jnp.asarray(system.atoms, electrons.dtype)
    found = [_sums(jnp.linalg.norm(vectors, axis=-1).T, reach / charges[:, None], energy)]
    for i, j in _pairs(system).values():
        found.append(_sums(jnp.linalg.norm(electrons[i] - electrons[j], axis=-1), reach, energy)[None])
    return {"sums": jnp.concatenate(found)}


def _pairs(system: System) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the first and the second electrons of all pairs by kind, without kinds that have none."""
    i, j = np.triu_indices(system.n_electrons, 1)
    is_same = (i < system.n_up) == (j < system.n_up)
    return {name: (i[kind], j[kind]) for name, kind in (("opposite", ~is_same), ("same", is_same)) if kind.any()}


def _sums(distances: Float[Array, "*batch n"], reach: Any, energy: Array) -> Float[Array, "*batch 5"]:
    """Return the sums over the distances below `reach` of r^2, r, 1, E r^2 and E r."""
    r, near = distances, (distances < reach).astype(distances.dtype)
    return jnp.sum(jnp.stack([r**2, r, jnp.ones_like(r), energy * r**2, energy * r], axis=-1) * near[..., None], -2)


def _slopes(system: System, mean: Mapping[str, Any], covariance: np.ndarray) -> dict[str, Any]:
    """Return the slopes over the exact ones: of the line E r = a r + b, b is (s - 1) Z or 1 - s."""
    squares, first, count, energy_squares, energy_first = mean["sums"].T
    determinant = squares * count - first**2
    is_known = determinant > 1e-9 * squares * count
    at_zero = (squares * energy_first - first * energy_squares) / np.where(is_known, determinant, 1.0)
    at_zero = np.where(is_known, at_zero, np.nan)
    n_atoms = system.n_atoms
    by_pairs = dict(zip(_pairs(system), 1.0 - at_zero[n_atoms:], strict=True))
    return {"nuclei": 1.0 + at_zero[:n_atoms] / np.asarray(system.charges, np.float64)} | by_pairs


def _off(found: ObservableEstimate) -> tuple[str, ...]:
    """Return a sentence on each kind of slope that isn't the exact one."""
    sentences = []
    for name, words in zip(("nuclei", "opposite", "same"), _WORDS, strict=True):
        if name not in found.parts:
            continue
        value, error = (np.atleast_1d(x) for x in found.parts[name])
        distance = np.where(np.isfinite(error), np.abs(value - 1.0), 0.0)
        is_off = (distance > _TOLERATED) & (distance > _MOST * error)
        if is_off.any():
            worst = np.argmax(np.where(is_off, distance, 0.0))
            sentences.append(f"the slope of psi at {words} is {value[worst]:.2f} of what it has to be (cusp condition "
                             "of Kato): the wavefunction is wrong where they meet; train longer")
    return tuple(sentences)
