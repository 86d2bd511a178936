"""The start of wavefunctions with Slater functions: their orbitals are fitted to Hartree-Fock in one go."""

from __future__ import annotations

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

_NEAREST, _FURTHEST = 0.05, 6.0
"""The ends of the distances that points around the nuclei have: the nearest over Z, both in bohr."""


def fit_to_hartree_fock(wavefunction: nn.Module, params: Params, system: System, mean_field: MeanField, key: Key
                        ) -> Params:
    """Return the parameters with orbitals fitted to those of Hartree-Fock, by linear least squares.

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
    up, down = jax.jit(orbitals)(mean_field, jnp.asarray(points))
    return wavefunction.fitted(params, system, points, np.asarray(up), np.asarray(down))


def _around_nuclei(key: Key, system: System) -> Float[np.ndarray, "_n 3"]:
    """Return points at distances from every nucleus whose logarithms are spread evenly."""
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
    each = -(-_N_POINTS // system.n_atoms)
    charges = np.maximum(np.asarray(system.charges, np.float64), 1.0)[:, None, None]
    distance = np.exp(rng.uniform(np.log(_NEAREST / charges), np.log(_FURTHEST), (system.n_atoms, each, 1)))
    direction = rng.standard_normal((system.n_atoms, each, 3))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    return (np.asarray(system.atoms, np.float64)[:, None] + distance * direction).reshape(-1, 3)
