"""Compute the Laplacian by two simple methods, which the forward Laplacian is tested against.

One takes the trace of the full Hessian, the other loops over products of the Hessian with unit vectors.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from nnqmc.typing import Electrons, LaplacianResult


def dense_laplacian(function: Callable[[Electrons], Array]) -> Callable[[Electrons], LaplacianResult]:
    """Return a function that gives value, gradient and Laplacian, the last from the trace of the full Hessian.

    Args:
        function: electrons (n_electrons, 3) of one walker -> scalar.

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
    """Return a function that gives value, gradient and Laplacian, the last as a sum over the coordinates in turn.

    Most codes did this before the forward Laplacian: they take forward-mode derivatives of the reverse-mode gradient.
    Arguments and result are those of `dense_laplacian`.
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
