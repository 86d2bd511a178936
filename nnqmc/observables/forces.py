"""The forces on the nuclei, by the zero-variance zero-bias estimator of Assaraf and Caffarel."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nnqmc.observables.coulomb import require_coulomb, rough_energy
from nnqmc.observables.observable import Observable
from nnqmc.ranges import Between
from nnqmc.statistics import ObservableEstimate, Quantity
from nnqmc.typing import BoundLogPsi, Electrons, Key, LocalEnergy, LocalOperator, System

UNIT = "hartree/bohr"

_ADVICE = "leave forces out; forces_space_warp differentiates any Hamiltonian"

_FAR_FROM_ZERO = 4.0
"""So many error bars away from zero, a number that has to vanish is no noise."""

_ROUNDING = 1e-9
"""Balanced forces in hartree/bohr that are smaller, or have smaller error bars, are rounding."""


def forces(system: System, hamiltonian: LocalOperator | None = None,
           every: Annotated[int, Between(1, 10**6)] = 1) -> Observable:
    """Return the forces on the nuclei -dE/dR_I (n_atoms, 3) in hartree/bohr, with their sum and torque (AC-ZVZB).

    With Q_I = Z_I sum_i (r_i - R_I)/|r_i - R_I| and the force F_nn of the other nuclei,

        F_I = F_nn,I + < sum_i grad_i Q_I . grad_i log|psi| > - 2 <(E_L - E) Q_I>.

    The first mean is the force of Hellmann and Feynman without its infinite variance, the second corrects for most of
    the error of psi. For the exact psi the forces are exact; else they have a bias, of the order of the error of psi
    times that of Q_I psi as its derivative, which the error bars don't include. "sum" (3,) is the sum of the forces in
    hartree/bohr and "torque" (3,) is sum_I (R_I - R) x F_I in hartree about the mean R of the positions; both vanish
    for the exact psi, and where they don't within their error bars, the estimate isn't trusted. "balanced"
    (n_atoms, 3) are the most likely forces in hartree/bohr among those without sum and torque: the noise on a heavy
    nucleus is larger than on the light ones, which know its force from theirs. "virial" is sum_I R_I . F_I of the
    balanced forces in hartree, which the virial theorem compares with 2<T> + <V> (see `virial`). A single atom has its
    force alone, which has to vanish. Source: Assaraf, Caffarel, J. Chem. Phys. 119, 10536 (2003),
    doi:10.1063/1.1621615.

    Args:
        system: the molecule.
        hamiltonian: that of the evaluation, by default that of a molecule, so that another one is refused at once.
        every: they are measured at every so many steps.

    Raises:
        InputError: `every` is out of range, or the Hamiltonian isn't the Coulomb Hamiltonian of all electrons.
    """
    require_coulomb("forces", system, hamiltonian, _ADVICE)
    return Observable("forces", UNIT, local_zvzb, partial(report, system, ZVZB), needs_local_energy=True, every=every,
                      caveats=_bias_left, doubts=doubts, compare=disagreement)


def local_zvzb(psi: BoundLogPsi, electrons: Electrons, system: System, key: Key, local_energy: LocalEnergy
               ) -> dict[str, Array]:
    """Return what the forces of one walker consist of, in bohr and hartree.

    Returns:
        "force" (n_atoms, 3), F_nn + sum_i grad_i Q . grad_i log|psi|; "q" (n_atoms, 3), Q; "energy", E_L less a fixed
        estimate of the energy, so that differences don't cancel in float32; and "energy_q", their product.
    """
    vectors = electrons[:, None] - jnp.asarray(system.atoms, electrons.dtype)
    distances = jnp.linalg.norm(vectors, axis=-1)[..., None]
    directions = vectors / distances
    charges = jnp.asarray(system.charges, electrons.dtype)[:, None]
    gradient = jax.grad(lambda electrons: psi(electrons, system).logabs)(electrons)[:, None]
    across = gradient - directions * jnp.sum(directions * gradient, axis=-1, keepdims=True)
    q, energy = charges * jnp.sum(directions, axis=0), local_energy.total - rough_energy(system)
    force = nuclear_repulsion(system, electrons.dtype) + charges * jnp.sum(across / distances, axis=0)
    return {"force": force, "q": q, "energy": energy, "energy_q": energy * q}


class Parts(NamedTuple):
    """Names the sampled quantities that a force estimator consists of, and turns their means into forces.

    The force is sign <linear> - 2 (<E_L factor> - <E_L> <factor>).

    Attributes:
        linear: the quantity whose mean enters the force as it is, in hartree/bohr.
        sign: the factor of that mean.
        factor: the quantity whose covariance with the local energy E_L enters the force, in 1/bohr.
    """

    linear: str
    sign: float
    factor: str

    def forces(self, mean: Mapping[str, Any]) -> Float[np.ndarray, "n_atoms 3"]:
        """Return the forces in hartree/bohr from the means."""
        covariance = mean[f"energy_{self.factor}"] - mean["energy"] * mean[self.factor]
        return self.sign * mean[self.linear] - 2.0 * covariance

    def covariance(self, mean: Mapping[str, Any], covariance: np.ndarray) -> Float[np.ndarray, "n_numbers n_numbers"]:
        """Return the covariance of the forces, all in one row, from that of the means in the order of their names."""
        slopes = {name: np.zeros((mean[self.factor].size, np.size(mean[name]))) for name in sorted(mean)}
        identity = np.eye(mean[self.factor].size)
        slopes |= {self.linear: self.sign * identity, f"energy_{self.factor}": -2.0 * identity,
                   self.factor: 2.0 * mean["energy"] * identity, "energy": 2.0 * mean[self.factor].reshape(-1, 1)}
        by_mean = np.concatenate(list(slopes.values()), axis=1)
        return by_mean @ covariance @ by_mean.T


ZVZB = Parts("force", 1.0, "q")


def nuclear_repulsion(system: System, dtype: np.dtype) -> Float[Array, "n_atoms 3"]:
    """Return the force F_nn of the other nuclei on each nucleus in hartree/bohr."""
    atoms, charges = jnp.asarray(system.atoms, dtype), jnp.asarray(system.charges, dtype)
    i, j = np.nonzero(~np.eye(system.n_atoms, dtype=bool))
    vectors = atoms[i] - atoms[j]
    pairs = (charges[i] * charges[j] / jnp.linalg.norm(vectors, axis=-1) ** 3)[:, None] * vectors
    return jnp.zeros((system.n_atoms, 3), dtype).at[i].add(pairs)


def report(system: System, parts: Parts, mean: Mapping[str, Any], covariance: np.ndarray) -> dict[str, Any]:
    """Return forces as "value", and for several atoms the further quantities that `forces` describes."""
    found = parts.forces(mean)
    if system.n_atoms == 1:
        return {"value": found}
    atoms = np.asarray(system.atoms, np.float64)
    arms = atoms - atoms.mean(axis=0)
    rows = np.eye(found.size).reshape(-1, *found.shape)  # each force alone: its sum and torque
    to_vanish = np.concatenate([rows.sum(axis=1), np.cross(arms, rows).sum(axis=1)], axis=1).T
    total = to_vanish @ found.ravel()
    balanced, left = _balanced(found, parts.covariance(mean, covariance), to_vanish)
    errors = _errors(np.append(np.diag(left), arms.ravel() @ left @ arms.ravel()))
    return {"value": found, "sum": total[:3], "torque": total[3:],
            "balanced": Quantity(clean(balanced), clean(errors[:-1].reshape(found.shape))),
            "virial": Quantity(float(np.sum(arms * balanced)), float(errors[-1]))}


def _balanced(found: Float[np.ndarray, "n_atoms 3"], covariance: Float[np.ndarray, "n n"],
              to_vanish: Float[np.ndarray, "6 n"]) -> tuple[Float[np.ndarray, "n_atoms 3"], Float[np.ndarray, "n n"]]:
    """Return the most likely forces among those whose sum and torque vanish, and their covariance.

    It is F - C A^T (A C A^T)^-1 A F for forces with the covariance C and the sum and torque A F.
    """
    if not np.isfinite(covariance).all():
        return found, np.full(covariance.shape, np.nan)
    share = covariance @ to_vanish.T @ np.linalg.pinv(to_vanish @ covariance @ to_vanish.T, 1e-9, hermitian=True)
    return (found - (share @ (to_vanish @ found.ravel())).reshape(found.shape),
            covariance - share @ to_vanish @ covariance)


def clean(numbers: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Return numbers with zeros in place of those that rounding has left, which are zero by the symmetry of a line."""
    return np.where(np.abs(numbers) < _ROUNDING, 0.0, numbers)


def _errors(variances: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """Return standard errors from variances, which rounding may have made negative."""
    return np.sqrt(np.maximum(variances, 0.0))


def disagreement(others: Mapping[str, ObservableEstimate]) -> tuple[str, ...]:
    """Return a sentence if AC-ZVZB and space warp have given different forces for the same walkers."""
    known = others.get("forces_space_warp")
    if known is None or "difference" not in known.parts:
        return ()
    value, error = (np.asarray(x) for x in known.parts["difference"])
    if not (x := _largest_ratio(value, error)) > _FAR_FROM_ZERO:
        return ()
    return (f"AC-ZVZB and space warp give forces that differ by up to {np.abs(value).max():.2g} {UNIT}, {x:.1f} error "
            "bars: at least one of them is wrong by more than its error bar; train longer or take a larger network",)


def _bias_left(system: System) -> tuple[str, ...]:
    """Return what the error bars of forces leave out."""
    if system.n_atoms == 1:
        return ()
    return ("the error bars leave out the bias of an imperfect wavefunction: its sign is a difference from "
            "forces_space_warp, if that is measured as well",)


def doubts(found: ObservableEstimate) -> tuple[str, ...]:
    """Return a sentence on each number that has to vanish for the exact wavefunction and doesn't."""
    words = {name: f"the {name} of the forces" for name in ("sum", "torque") if name in found.parts}
    vanish = {words[name]: found.parts[name] for name in words} or {"the force on a single atom": found}
    ratio = {name: _largest_ratio(number.value, number.error) for name, number in vanish.items()}
    return tuple(f"{name} has to vanish and is {x:.1f} error bars away from zero: the wavefunction is not good enough "
                 "for forces; train longer or take a larger network"
                 for name, x in ratio.items() if x > _FAR_FROM_ZERO)


def _largest_ratio(value: np.ndarray, error: np.ndarray) -> float:
    """Return how many error bars the farthest of several numbers is from zero, rounding in float32 left aside."""
    return float(np.max(np.abs(value) / (np.asarray(error) + 1e-5)))
