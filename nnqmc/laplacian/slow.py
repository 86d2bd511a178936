"""The obvious Laplacians: a dense Hessian, and a loop of Hessian-vector products. Twins of the forward Laplacian."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from nnqmc.typing import Electrons, LaplacianResult


def dense_laplacian(function: Callable[[Electrons], Array]) -> Callable[[Electrons], LaplacianResult]:
    """Value, gradient and Laplacian of a scalar function of one walker, from the trace of its full Hessian.

    Args:
        function: electrons (n_electrons, 3) -> scalar.

    Returns:
        A function electrons -> LaplacianResult with gradient (n_electrons, 3).
    """

    def evaluate(electrons: Electrons) -> LaplacianResult:
        size = electrons.size
        hessian = jax.hessian(function)(electrons).reshape(size, size)
        value, gradient = jax.value_and_grad(function)(electrons)
        return LaplacianResult(value, gradient, jnp.trace(hessian))

    return evaluate


def loop_laplacian(function: Callable[[Electrons], Array]) -> Callable[[Electrons], LaplacianResult]:
    """Value, gradient and Laplacian of a scalar function of one walker, one coordinate after the other.

    The method of most codes before the forward Laplacian: forward-mode derivatives of the reverse-mode gradient.
    Arguments and result as in `dense_laplacian`.
    """

    def evaluate(electrons: Electrons) -> LaplacianResult:
        directions = jnp.eye(electrons.size, dtype=electrons.dtype).reshape((-1, *electrons.shape))
        value, gradient = jax.value_and_grad(function)(electrons)

        def add_one(total: Array, direction: Array) -> tuple[Array, None]:
            _, product = jax.jvp(jax.grad(function), (electrons,), (direction,))
            return total + jnp.vdot(product, direction), None

        laplacian, _ = jax.lax.scan(add_one, jnp.zeros_like(value), directions)
        return LaplacianResult(value, gradient, laplacian)

    return evaluate
