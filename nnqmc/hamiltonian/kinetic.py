"""The kinetic energy."""

from __future__ import annotations

from functools import partial

import jax.numpy as jnp
from jaxtyping import Array

from nnqmc.laplacian import forward_laplacian
from nnqmc.typing import BoundLogPsi, Electrons, Key, LaplacianMethod, LocalOperator, Scalar, System


def kinetic(laplacian: LaplacianMethod = forward_laplacian) -> LocalOperator:
    """Return the operator of the local kinetic energy -1/2 (lap log|psi| + |grad log|psi||^2) in hartree.

    Args:
        laplacian: how derivatives are taken; see `nnqmc.laplacian`.

    Returns:
        A local operator.
    """

    return partial(_local_kinetic, laplacian)


def _local_kinetic(laplacian: LaplacianMethod, psi: BoundLogPsi, electrons: Electrons, system: System, key: Key
                   ) -> Scalar:
    """Return -1/2 (lap psi)/psi of one walker in hartree."""

    def log_abs(positions: Electrons) -> Array:
        return psi(positions, system).logabs

    result = laplacian(log_abs)(electrons)
    return -0.5 * (result.laplacian + jnp.sum(result.gradient**2))
