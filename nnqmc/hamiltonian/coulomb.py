"""The Coulomb terms of a molecule, each a local operator in hartree."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from nnqmc.typing import BoundLogPsi, Electrons, Key, Scalar, System


def electron_electron(psi: BoundLogPsi, electrons: Electrons, system: System, key: Key) -> Scalar:
    """Return the repulsion of the electrons, sum_{i<j} 1/|r_i - r_j|, of one walker in hartree."""
    i, j = np.triu_indices(system.n_electrons, k=1)
    return jnp.sum(1.0 / jnp.linalg.norm(electrons[i] - electrons[j], axis=-1))


def electron_nucleus(psi: BoundLogPsi, electrons: Electrons, system: System, key: Key) -> Scalar:
    """Return the attraction by the nuclei, -sum_{i,I} Z_I/|r_i - R_I|, of one walker in hartree.

    Z_I is the effective charge: where a pseudopotential replaces a core, this is its long-range part.
    """
    distances = jnp.linalg.norm(electrons[:, None] - jnp.asarray(system.atoms, electrons.dtype), axis=-1)
    return -jnp.sum(jnp.asarray(system.charges, electrons.dtype) / distances)


def nucleus_nucleus(psi: BoundLogPsi, electrons: Electrons, system: System, key: Key) -> Scalar:
    """Return the repulsion of the nuclei, sum_{I<J} Z_I Z_J/|R_I - R_J|, in hartree, the same for all walkers."""
    i, j = np.triu_indices(system.n_atoms, k=1)
    atoms, charges = jnp.asarray(system.atoms, electrons.dtype), jnp.asarray(system.charges, electrons.dtype)
    return jnp.sum(charges[i] * charges[j] / jnp.linalg.norm(atoms[i] - atoms[j], axis=-1))
