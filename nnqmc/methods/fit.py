"""The start of wavefunctions with Slater functions: their orbitals are fitted to Hartree-Fock in one go."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Float

from nnqmc.samplers import first_walkers
from nnqmc.scf import MeanField, orbitals
from nnqmc.typing import Key, Params, System

_N_POINTS = 20_000
"""About so many points are drawn like electrons, and as many around the nuclei."""

_THIN = 1e-6
"""The density in electrons per cubic bohr below which a point counts no more in populations."""

_NEAREST, _FURTHEST = 0.05, 6.0
"""The ends of the distances that points around the nuclei have: the nearest over Z, both in bohr."""

_SWEEPS, _NOTHING = 50, 1e-10
"""The most sweeps over all pairs of orbitals, and the gain below which a pair is left as it is."""


def is_fitted(wavefunction: nn.Module) -> bool:
    """Tell whether pretraining fits the orbitals of a wavefunction by least squares, without steps."""
    return bool(getattr(wavefunction, "slater_functions", False))


def fit_to_hartree_fock(wavefunction: nn.Module, params: Params, system: System, mean_field: MeanField, key: Key
                        ) -> Params:
    """Return the parameters with orbitals fitted to those of Hartree-Fock, by linear least squares.

    The orbitals are `localized` before. Their determinant stays the same, but where the network changes an orbital, it
    then changes the wavefunction around a few atoms only: with orbitals spread over distant atoms, small differences of
    their factors would be enough to put two electrons of one spin on the same atom. The network's own part of every
    orbital starts on the atoms where the orbital is.

    Args:
        wavefunction: a flax module with a method `fitted`, such as `SlaterNetwork` with `slater_functions`.
        params: those of the rest of the wavefunction.
        system: the molecule.
        mean_field: from `hartree_fock`.
        key: decides where orbitals are compared.
    """
    n_walkers = max(1, _N_POINTS // system.n_electrons)
    like_electrons = np.asarray(first_walkers(key, system, n_walkers, mean_field.populations)).reshape(-1, 3)
    points = np.concatenate([like_electrons, _around_nuclei(key, system)]).astype(np.float32)
    up, down = (np.asarray(each) for each in jax.jit(orbitals)(mean_field, jnp.asarray(points)))
    density = np.maximum(np.sum(up**2, axis=1) + np.sum(down**2, axis=1), _THIN)[:len(like_electrons)]
    nearest = np.argmin(np.linalg.norm(like_electrons[:, None] - np.asarray(system.atoms), axis=-1), axis=1)
    parts = [(nearest == atom) / (n_walkers * density) for atom in range(system.n_atoms)]  # of an integral
    inner = [each[:len(like_electrons)] for each in (up, down)]
    turns = [localized([(near.T * part) @ near for part in parts]) for near in inner]
    populations = [np.array([part @ (near @ turn) ** 2 for part in parts]).T
                   for near, turn in zip(inner, turns, strict=True)]
    turned = [each @ turn for each, turn in zip((up, down), turns, strict=True)]
    return wavefunction.fitted(params, system, points, turned, populations)


def localized(populations: Sequence[Float[np.ndarray, "m m"]]) -> Float[np.ndarray, "m m"]:
    """Return the rotation after which every orbital is on as few atoms as possible.

    It maximises the sum of the squared populations of all orbitals on all atoms, by rotations of pairs. Source:
    J. Pipek, P. G. Mezey, J. Chem. Phys. 90, 4916 (1989), doi:10.1063/1.456588.

    Args:
        populations: for each atom, the integrals of products of two orbitals over its surroundings.
    """
    charges = np.array(populations, np.float64)
    rotation = np.eye(charges.shape[1])
    for _ in range(_SWEEPS):
        angles = [0.0]
        for pair in itertools.combinations(range(len(rotation)), 2):
            both = charges[:, pair, pair]
            mixed, difference = charges[:, pair[0], pair[1]], both[:, 0] - both[:, 1]
            gain, slope = mixed @ mixed - 0.25 * difference @ difference, mixed @ difference
            if gain + np.hypot(gain, slope) < _NOTHING:
                continue
            angles.append(0.25 * np.arctan2(slope, -gain))
            turn = np.array([[np.cos(angles[-1]), -np.sin(angles[-1])], [np.sin(angles[-1]), np.cos(angles[-1])]])
            rotation[:, pair] = rotation[:, pair] @ turn
            charges[:, pair] = turn.T @ charges[:, pair]
            charges[:, :, pair] = charges[:, :, pair] @ turn
        if max(angles, key=abs) == 0.0:
            break
    return rotation


def _around_nuclei(key: Key, system: System) -> Float[np.ndarray, "_n 3"]:
    """Return points at distances from every nucleus whose logarithms are spread evenly."""
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
    each = -(-_N_POINTS // system.n_atoms)
    charges = np.maximum(np.asarray(system.charges, np.float64), 1.0)[:, None, None]
    distance = np.exp(rng.uniform(np.log(_NEAREST / charges), np.log(_FURTHEST), (system.n_atoms, each, 1)))
    direction = rng.standard_normal((system.n_atoms, each, 3))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    return (np.asarray(system.atoms, np.float64)[:, None] + distance * direction).reshape(-1, 3)
