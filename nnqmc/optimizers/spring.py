"""Optimizers that follow the natural gradient: minSR, and SPRING, which adds momentum to it."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from nnqmc.errors import InputError
from nnqmc.optimizers.guard import Guard, guarded
from nnqmc.optimizers.natural import natural_direction
from nnqmc.optimizers.simple import Delay, Rate, hyperbolic_decay
from nnqmc.ranges import Between, check
from nnqmc.typing import LogPsi, Params, VMCBatch

Damping = Annotated[float, Between(1e-12)]
Momentum = Annotated[float, Between(0.0, 0.9999)]
MaxNorm = Annotated[float, Between(1e-12)]
MaxGrowth = Annotated[float, Between(1.0)]


class SpringState(NamedTuple):
    """The state of SPRING: the last direction, in the form of the parameters."""

    direction: Params


def spring(log_psi: LogPsi, *, learning_rate: Rate = 0.1, delay: Delay = 1000.0, damping: Damping = 1e-3,
           momentum: Momentum = 0.9, max_norm: MaxNorm = 0.3, max_growth: MaxGrowth = 1e6,
           chunk_size: int | None = None) -> optax.GradientTransformationExtraArgs:
    """Return SPRING: natural-gradient steps that project out what the last step's direction already explains.

    With O the centred scores over sqrt(B), e the residual (the centred local energies) over sqrt(B), g half of any
    gradient besides, and mu the momentum, the direction d_k solves

        (O^T O + damping) d_k = O^T e + g + damping mu d_{k-1}

    among the walkers (`natural_direction`), and the step is -learning_rate/(1 + t/delay) d_k, shortened to a norm of at
    most `max_norm`. A solution longer than `max_growth` times d_{k-1} is shortened to that before it becomes d_k: one
    walker with a huge score, near a node, can make one direction ten times as long as the others, and momentum would
    repeat it.
    Source: Goldshlager, Abrahamsen, Lin, J. Comput. Phys. 516, 113351 (2024), doi:10.1016/j.jcp.2024.113351.

    Args:
        log_psi: the wavefunction being trained.
        learning_rate: rate at step 0.
        delay: steps after which the rate has halved.
        damping: Tikhonov regularisation of the metric, relative to unit scores.
        momentum: 0 gives minSR.
        max_norm: largest Euclidean norm of a step in parameter space.
        max_growth: how many times as long as the one before a direction may be; the first may have any length.
        chunk_size: walkers whose scores are computed together; None chooses by itself (see `over_walkers`).

    Raises:
        InputError: a setting is out of range.
    """
    check(spring, max_norm=max_norm, damping=damping, momentum=momentum, max_growth=max_growth)
    direction = scale_by_spring(log_psi, damping=damping, momentum=momentum, max_growth=max_growth,
                                chunk_size=chunk_size)
    return optax.chain(direction, _steps(learning_rate, delay, max_norm))


def robust_spring(log_psi: LogPsi, *, learning_rate: Rate = 0.1, delay: Delay = 1000.0, damping: Damping = 1e-3,
                  momentum: Momentum = 0.9, max_norm: MaxNorm = 0.3, guard: Guard = 0.0, chunk_size: int | None = None
                  ) -> optax.GradientTransformationExtraArgs:
    """Return robust SPRING: `spring` with a metric that shortens steps along directions with small eigenvalues.

    On an eigenvalue h of the metric its gain is (h + damping^(3/2))/(h + damping)^2 in place of 1/(h + damping), which
    is the same where h is far above the damping, a fourth of 1/h in place of a half where they are equal, and
    1/sqrt(damping) in place of 1/damping outside of the span of the scores. A step takes a second solve.

    Args:
        log_psi: the wavefunction being trained.
        learning_rate: as in `spring`, like `delay`, `damping`, `momentum`, `max_norm` and `chunk_size`.
        guard: a direction so many times longer than usual rewinds some tens of steps (see `guarded`); 0 never does.
    """
    check(robust_spring, max_norm=max_norm, damping=damping, momentum=momentum, guard=guard)
    direction = scale_by_spring(log_psi, damping=damping, momentum=momentum, robust=True, chunk_size=chunk_size)
    return guarded(direction, _steps(learning_rate, delay, max_norm), guard)


def _steps(learning_rate: float, delay: float, max_norm: float) -> optax.GradientTransformation:
    """Return the transformation from directions to steps."""
    length = optax.chain(optax.scale_by_learning_rate(hyperbolic_decay(learning_rate, delay)),
                         optax.clip_by_global_norm(max_norm))
    return optax.flatten(length)  # on one array: a norm of many takes long to compile


def min_sr(log_psi: LogPsi, *, learning_rate: Rate = 0.1, delay: Delay = 1000.0, damping: Damping = 1e-3,
           max_norm: MaxNorm = 0.3, chunk_size: int | None = None) -> optax.GradientTransformationExtraArgs:
    """Return minSR, stochastic reconfiguration solved among walkers: `spring` without momentum.

    Source: Chen, Heyl, Nat. Phys. 20, 1476 (2024), doi:10.1038/s41567-024-02566-1.
    """
    return spring(log_psi, learning_rate=learning_rate, delay=delay, damping=damping, momentum=0.0,
                  max_norm=max_norm, chunk_size=chunk_size)


def scale_by_spring(log_psi: LogPsi, *, damping: float, momentum: float, max_growth: float = 1e6, robust: bool = False,
                    chunk_size: int | None = None) -> optax.GradientTransformationExtraArgs:
    """Return an optax transformation to the direction d_k of SPRING; its `update` needs the keyword `batch`."""

    def init(params: Params) -> SpringState:
        return SpringState(jax.tree.map(jnp.zeros_like, params))

    def update(grads: Params, state: SpringState, params: Params | None = None, *, batch: VMCBatch | None = None,
               **unused: Any) -> tuple[Params, SpringState]:
        if params is None or batch is None:
            raise InputError("SPRING needs optimizer.update(grads, state, params, batch=batch) with a VMCBatch")
        direction = natural_direction(log_psi, params, batch, damping=damping, momentum=momentum,
                                      previous=state.direction, robust=robust, chunk_size=chunk_size)
        direction = _shortened(direction, state.direction, max_growth)
        return direction, SpringState(direction)

    return optax.GradientTransformationExtraArgs(init, update)


def _shortened(direction: Params, before: Params, max_growth: float) -> Params:
    """Return a direction of at most `max_growth` times the length of the one before, unless that is 0."""
    length, limit = (jnp.linalg.norm(ravel_pytree(tree)[0]) for tree in (direction, before))
    share = jnp.where((limit > 0.0) & (length > max_growth * limit), max_growth * limit / length, 1.0)
    return jax.tree.map(lambda leaf: share.astype(leaf.dtype) * leaf, direction)
