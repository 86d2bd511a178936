"""The natural gradient, solved in the space of walkers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nnqmc.optimizers.scores import Scores, combined, gram, make_scores, times
from nnqmc.typing import LogPsi, Params, VMCBatch


def natural_direction(log_psi: LogPsi, params: Params, batch: VMCBatch, *, damping: float, momentum: float = 0.0,
                      previous: Params | None = None, robust: bool = False, chunk_size: int | None = None) -> Params:
    """Return the damped natural gradient of an objective that has a residual, a gradient, or both.

    With O the centred scores over sqrt(B), e the residual over sqrt(B), g half of `batch.gradient`, d' the direction
    before and mu the momentum, it is the solution of

        (O^T O + damping) d = O^T e + g + damping mu d',

    by one solve among the B walkers,

        d = O^T (O O^T + 1 1^T/B + damping)^-1 (e - mu O d' - O g/damping) + mu d' + g/damping.

    The residual alone gives the direction of minSR and SPRING. For the natural gradient of any function of the
    parameters, give a batch with a residual of 0 and its gradient; d then belongs to half of that gradient, as O^T e is
    half of the gradient 2 <e O>. For a g that the scores reach, with eigenvalues s of O^T O, the terms with g/damping
    cancel but for a part damping/(s + damping), so that float32 loses digits by the factor s/damping: that is the
    condition number of the damped metric, and no other order of operations in float32 would do better.
    The robust form gains (s + damping^(3/2))/(s + damping)^2 along an eigenvalue s in d - mu d', not 1/(s + damping).
    Sources: Chen, Heyl, Nat. Phys. 20, 1476 (2024), doi:10.1038/s41567-024-02566-1; Goldshlager, Abrahamsen, Lin,
    J. Comput. Phys. 516, 113351 (2024), doi:10.1016/j.jcp.2024.113351.

    Args:
        log_psi: the wavefunction.
        params: where the scores are taken.
        batch: the walkers with their residual, and a further gradient or None.
        damping: Tikhonov regularisation of the metric, positive.
        momentum: how much of the direction before is kept.
        previous: the direction before, in the form of the parameters; None is the same as 0.
        robust: whether the direction is filtered.
        chunk_size: walkers whose scores are computed together; None chooses by itself (see `over_walkers`).

    Returns:
        The direction in the form of the parameters; a step goes against it.
    """
    weight = jax.nn.softmax(batch.log_weight)
    root = jnp.sqrt(weight)
    with jax.named_scope("scores"):
        scores = make_scores(log_psi, batch.system, chunk_size)(params, batch.electrons)
        mean = jnp.matmul(weight, scores.rest, precision=jax.lax.Precision.HIGHEST)
        scores = scores._replace(rest=scores.rest - mean)  # the rest of the centring is done in float64
    with jax.named_scope("gram"):
        matrix = gram(scores)
    with jax.named_scope("solve"):
        target = root * batch.residual
        if previous is not None:
            target = target - momentum * _explained(scores, weight, previous)
        if batch.gradient is not None:
            outside = jax.tree.map(lambda g: 0.5 / damping * g, batch.gradient)
            target = target - _explained(scores, weight, outside)
        solution = root * _solve(matrix, weight, target, damping)
    with jax.named_scope("direction"):
        direction = combined(scores, solution - weight * jnp.sum(solution), params)
        if batch.gradient is not None:
            direction = jax.tree.map(jnp.add, direction, outside)
        if robust:
            direction = _filtered(direction, scores, matrix, weight, damping)
        if previous is not None:
            direction = jax.tree.map(lambda new, old: new + momentum * old, direction, previous)
    return direction


def _filtered(direction: Params, scores: Scores, matrix: Float[Array, "b b"], weight: Float[Array, "b"], damping: float
              ) -> Params:
    """Return a natural direction n with what the walkers hardly resolve trusted less, by a second solve.

    It is w + sqrt(damping) (n - w), where w = O^T (O O^T + damping)^-1 O n lies within the span of the scores. What
    lies outside of it, 1/damping times the gradient in n, is left with 1/sqrt(damping) of it.
    """
    solution = jnp.sqrt(weight) * _solve(matrix, weight, _explained(scores, weight, direction), damping)
    within = combined(scores, solution - weight * jnp.sum(solution), direction)
    share = damping**0.5
    return jax.tree.map(lambda n, w: w + share * (n - w), direction, within)


def _explained(scores: Scores, weight: Float[Array, "b"], direction: Params) -> Float[Array, "b"]:
    """Return O times a direction: the centred change of log|psi| along it times the root of the weights."""
    along = times(scores, direction)
    return jnp.sqrt(weight) * (along - jnp.sum(weight * along))


def _solve(gram: Float[Array, "b b"], weight: Float[Array, "b"], target: Float[Array, "b"], damping: float
           ) -> Float[Array, "b"]:
    """Return (O O^T + v v^T + damping)^-1 target, computed in float64.

    Here O = sqrt(weight) (scores - mean score) and v = sqrt(weight). It is solved by Cholesky, or by clipped
    eigenvalues where that fails; the first reads the lower half of the matrix only, and the second takes its symmetric
    part.
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
