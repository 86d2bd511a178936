"""Stochastic reconfiguration in the space of walkers: minSR, and SPRING, its successor with memory."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from nnqmc.errors import InputError
from nnqmc.optimizers.simple import hyperbolic_decay
from nnqmc.parallel import over_walkers
from nnqmc.typing import LogPsi, Params, VMCBatch

_HIGHEST = jax.lax.Precision.HIGHEST


class SpringState(NamedTuple):
    """The last direction, flattened (n_params,)."""

    direction: Array


def spring(log_psi: LogPsi, *, learning_rate: float = 0.1, delay: float = 1000.0, damping: float = 1e-3,
           momentum: float = 0.9, max_norm: float = 0.3, chunk_size: int | None = None
           ) -> optax.GradientTransformationExtraArgs:
    """SPRING: natural-gradient steps that project out what the last step's direction already explains.

    With O the centred scores over sqrt(B), e the centred local energies over sqrt(B) and mu the momentum,

        d_k = O^T (O O^T + 1 1^T/B + damping)^-1 (e - mu O d_{k-1}) + mu d_{k-1},

    and the step is -learning_rate/(1 + t/delay) d_k, shortened to a norm of at most `max_norm`.
    Source: Goldshlager, Abrahamsen, Lin, J. Comput. Phys. 516, 113351 (2024), doi:10.1016/j.jcp.2024.113351.

    Args:
        log_psi: the wavefunction being trained.
        learning_rate: rate at step 0.
        delay: steps after which the rate has halved.
        damping: Tikhonov regularisation of the metric, relative to unit scores.
        momentum: 0 gives minSR.
        max_norm: largest Euclidean norm of a step in parameter space.
        chunk_size: walkers whose scores are computed together.

    Raises:
        InputError: a setting is out of range.
    """
    if not max_norm > 0.0:
        raise InputError(f"max_norm={max_norm!r}: needs a positive number")
    return optax.chain(scale_by_spring(log_psi, damping=damping, momentum=momentum, chunk_size=chunk_size),
                       optax.scale_by_learning_rate(hyperbolic_decay(learning_rate, delay)),
                       optax.clip_by_global_norm(max_norm))


def min_sr(log_psi: LogPsi, *, learning_rate: float = 0.1, delay: float = 1000.0, damping: float = 1e-3,
           max_norm: float = 0.3, chunk_size: int | None = None) -> optax.GradientTransformationExtraArgs:
    """Stochastic reconfiguration solved among walkers: `spring` without momentum.

    Source: Chen, Heyl, Nat. Phys. 20, 1476 (2024), doi:10.1038/s41567-024-02566-1.
    """
    return spring(log_psi, learning_rate=learning_rate, delay=delay, damping=damping, momentum=0.0,
                  max_norm=max_norm, chunk_size=chunk_size)


def scale_by_spring(log_psi: LogPsi, *, damping: float, momentum: float, chunk_size: int | None = None
                    ) -> optax.GradientTransformationExtraArgs:
    """The direction d_k of SPRING as an optax transformation; `update` needs the keyword `batch`."""
    if not damping > 0.0:
        raise InputError(f"damping={damping!r}: needs a positive number")
    if not 0.0 <= momentum < 1.0:
        raise InputError(f"momentum={momentum!r}: needs a number from 0 to below 1")

    def init(params: Params) -> SpringState:
        return SpringState(jnp.zeros_like(ravel_pytree(params)[0]))

    def update(grads: Params, state: SpringState, params: Params | None = None, *, batch: VMCBatch | None = None,
               **unused: Any) -> tuple[Params, SpringState]:
        if params is None or batch is None:
            raise InputError("SPRING needs optimizer.update(grads, state, params, batch=batch) with a VMCBatch")
        _, unravel = ravel_pytree(params)
        weight = jnp.sqrt(jax.nn.softmax(batch.log_weight))
        scores = centred_scores(log_psi, params, batch, chunk_size) * weight[:, None]
        explained = jnp.matmul(scores, state.direction, precision=_HIGHEST)
        target = batch.residual * weight - momentum * explained
        solution = _solve(jnp.matmul(scores, scores.T, precision=_HIGHEST), weight, target, damping)
        direction = jnp.matmul(solution, scores, precision=_HIGHEST) + momentum * state.direction
        return unravel(direction), SpringState(direction)

    return optax.GradientTransformationExtraArgs(init, update)


def centred_scores(log_psi: LogPsi, params: Params, batch: VMCBatch, chunk_size: int | None
                   ) -> Float[Array, "n_walkers n_params"]:
    """grad_params log|psi| of every walker, less its weighted mean."""

    def score(electrons: Array) -> Array:
        gradient = jax.grad(lambda p: log_psi(p, electrons, batch.system).logabs)(params)
        return ravel_pytree(gradient)[0]

    scores = over_walkers(score, chunk_size)(batch.electrons)
    return scores - jnp.matmul(jax.nn.softmax(batch.log_weight), scores, precision=_HIGHEST)


def _solve(gram: Float[Array, "b b"], null: Float[Array, "b"], target: Float[Array, "b"], damping: float
           ) -> Float[Array, "b"]:
    """(G + v v^T + damping)^-1 target in float64 (v: null): Cholesky, or clipped eigenvalues where that fails."""
    size, dtype = gram.shape[0], gram.dtype
    with jax.enable_x64(True):
        matrix = gram.astype(jnp.float64)
        matrix = 0.5 * (matrix + matrix.T) + jnp.outer(null, null) + damping * jnp.eye(size, dtype=jnp.float64)
        rhs = target.astype(jnp.float64)
        factor = jax.scipy.linalg.cho_factor(matrix, lower=True)
        direct = jax.scipy.linalg.cho_solve(factor, rhs)

        def by_eigenvalues(matrix: Array, rhs: Array) -> Array:
            values, vectors = jnp.linalg.eigh(matrix)
            return vectors @ ((vectors.T @ rhs) / jnp.maximum(values, damping))

        solution = jax.lax.cond(jnp.all(jnp.isfinite(direct)), lambda m, r: direct, by_eigenvalues, matrix, rhs)
        return solution.astype(dtype)
