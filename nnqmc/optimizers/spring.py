"""Stochastic reconfiguration in the space of walkers: minSR, and SPRING, its successor with memory."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from nnqmc.errors import InputError
from nnqmc.optimizers.scores import combined, gram, make_scores, times
from nnqmc.optimizers.simple import Delay, Rate, hyperbolic_decay
from nnqmc.ranges import Between, check
from nnqmc.typing import LogPsi, Params, VMCBatch

Damping = Annotated[float, Between(1e-12)]
Momentum = Annotated[float, Between(0.0, 0.9999)]
MaxNorm = Annotated[float, Between(1e-12)]


class SpringState(NamedTuple):
    """The last direction, in the form of the parameters."""

    direction: Params


def spring(log_psi: LogPsi, *, learning_rate: Rate = 0.1, delay: Delay = 1000.0, damping: Damping = 1e-3,
           momentum: Momentum = 0.9, max_norm: MaxNorm = 0.3, chunk_size: int | None = None
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
        chunk_size: walkers whose scores are computed together; None chooses by itself (see `over_walkers`).

    Raises:
        InputError: a setting is out of range.
    """
    check(spring, max_norm=max_norm, damping=damping, momentum=momentum)
    length = optax.chain(optax.scale_by_learning_rate(hyperbolic_decay(learning_rate, delay)),
                         optax.clip_by_global_norm(max_norm))
    return optax.chain(scale_by_spring(log_psi, damping=damping, momentum=momentum, chunk_size=chunk_size),
                       optax.flatten(length))  # on one array: a norm of many takes long to compile


def min_sr(log_psi: LogPsi, *, learning_rate: Rate = 0.1, delay: Delay = 1000.0, damping: Damping = 1e-3,
           max_norm: MaxNorm = 0.3, chunk_size: int | None = None) -> optax.GradientTransformationExtraArgs:
    """Stochastic reconfiguration solved among walkers: `spring` without momentum.

    Source: Chen, Heyl, Nat. Phys. 20, 1476 (2024), doi:10.1038/s41567-024-02566-1.
    """
    return spring(log_psi, learning_rate=learning_rate, delay=delay, damping=damping, momentum=0.0,
                  max_norm=max_norm, chunk_size=chunk_size)


def scale_by_spring(log_psi: LogPsi, *, damping: float, momentum: float, chunk_size: int | None = None
                    ) -> optax.GradientTransformationExtraArgs:
    """The direction d_k of SPRING as an optax transformation; `update` needs the keyword `batch`."""
    def init(params: Params) -> SpringState:
        return SpringState(jax.tree.map(jnp.zeros_like, params))

    def update(grads: Params, state: SpringState, params: Params | None = None, *, batch: VMCBatch | None = None,
               **unused: Any) -> tuple[Params, SpringState]:
        if params is None or batch is None:
            raise InputError("SPRING needs optimizer.update(grads, state, params, batch=batch) with a VMCBatch")
        weight = jax.nn.softmax(batch.log_weight)
        root = jnp.sqrt(weight)
        with jax.named_scope("scores"):
            scores = make_scores(log_psi, batch.system, chunk_size)(params, batch.electrons)
            mean = jnp.matmul(weight, scores.rest, precision=jax.lax.Precision.HIGHEST)
            scores = scores._replace(rest=scores.rest - mean)  # the rest of the centring is done in float64
        with jax.named_scope("gram"):
            matrix = gram(scores)
        with jax.named_scope("solve"):
            along = times(scores, state.direction)
            explained = root * (along - jnp.sum(weight * along))
            solution = root * _solve(matrix, weight, root * batch.residual - momentum * explained, damping)
        with jax.named_scope("direction"):
            natural = combined(scores, solution - weight * jnp.sum(solution), params)
            direction = jax.tree.map(lambda new, old: new + momentum * old, natural, state.direction)
        return direction, SpringState(direction)

    return optax.GradientTransformationExtraArgs(init, update)


def _solve(gram: Float[Array, "b b"], weight: Float[Array, "b"], target: Float[Array, "b"], damping: float
           ) -> Float[Array, "b"]:
    """(O O^T + v v^T + damping)^-1 target in float64, with O = sqrt(weight) (scores - mean score) and v = sqrt(weight).

    Cholesky, or clipped eigenvalues where that fails; the first reads the lower half of the matrix only, and the
    second takes its symmetric part.
    """
    with jax.enable_x64(True):
        weight = weight.astype(jnp.float64)
        matrix, root = gram.astype(jnp.float64), jnp.sqrt(weight)
        with_mean = matrix @ weight
        matrix = matrix - with_mean[:, None] - with_mean[None] + weight @ with_mean
        matrix = root[:, None] * (matrix + 1.0) * root
        matrix = matrix + damping * jnp.eye(matrix.shape[0], dtype=jnp.float64)
        rhs = target.astype(jnp.float64)
        factor = jax.scipy.linalg.cho_factor(matrix.T, lower=True)  # LAPACK wants columns: this way nothing is moved
        direct = jax.scipy.linalg.cho_solve(factor, rhs)

        def by_eigenvalues(matrix: Array, rhs: Array) -> Array:
            values, vectors = jnp.linalg.eigh(matrix)
            return vectors @ ((vectors.T @ rhs) / jnp.maximum(values, damping))

        solution = jax.lax.cond(jnp.all(jnp.isfinite(direct)), lambda m, r: direct, by_eigenvalues, matrix, rhs)
        return solution.astype(target.dtype)
