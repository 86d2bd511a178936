"""External potentials, each a local operator in hartree."""

from __future__ import annotations

from functools import partial

import jax.numpy as jnp

from nnqmc.typing import BoundLogPsi, Electrons, Key, LocalOperator, Scalar, System


def harmonic_trap(omega: float) -> LocalOperator:
    """Return the potential 1/2 omega^2 sum_i |r_i|^2 of a harmonic trap at the origin; omega is in hartree."""
    return partial(_local_trap, omega)


def _local_trap(omega: float, psi: BoundLogPsi, electrons: Electrons, system: System, key: Key) -> Scalar:
    """Return 1/2 omega^2 sum_i |r_i|^2 of one walker in hartree."""
    return 0.5 * omega**2 * jnp.sum(electrons**2)
