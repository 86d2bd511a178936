"""Adam along the natural gradient, as LAVA has it."""

from __future__ import annotations

from typing import Literal

import optax

from nnqmc.optimizers.kfac import scale_by_kfac
from nnqmc.optimizers.simple import Decay, Delay, Rate, hyperbolic_decay
from nnqmc.optimizers.spring import Damping, scale_by_spring
from nnqmc.ranges import check
from nnqmc.typing import LogPsi


def preconditioned_adam(log_psi: LogPsi, *, metric: Literal["kfac", "walkers"] = "kfac", learning_rate: Rate = 5e-4,
                        delay: Delay = 1e4, damping: Damping = 1e-3, b1: Decay = 0.9, b2: Decay = 0.99,
                        chunk_size: int | None = None) -> optax.GradientTransformationExtraArgs:
    """Return Adam along natural gradients, with the decaying rate learning_rate/(1 + t/delay).

    Adam is given F^-1 g in place of the gradient g, so that every parameter moves by about the rate in each step,
    however long F^-1 g is. The method `lava` prescribes it. Sources: Jiang et al., arXiv:2508.02570; Kingma, Ba,
    arXiv:1412.6980.

    Args:
        log_psi: the wavefunction being trained.
        metric: F, "kfac" with its factors (see `kfac`) or "walkers" for the covariance of the scores (see `min_sr`).
            Of a gradient that isn't made of scores, the second multiplies what the walkers don't reach by 1/damping.
        learning_rate: rate at step 0.
        delay: steps after which the rate has halved.
        damping: Tikhonov regularisation of F.
        b1: how much of the average of F^-1 g is kept from step to step.
        b2: how much of the average of its squares is.
        chunk_size: walkers whose scores are computed together; None chooses by itself (see `over_walkers`).

    Raises:
        InputError: a setting is out of range.
    """
    check(preconditioned_adam, metric=metric, damping=damping, b1=b1, b2=b2)
    if metric == "kfac":
        direction = scale_by_kfac(log_psi, damping=damping, decay=_KEPT, chunk_size=chunk_size)
    else:
        direction = scale_by_spring(log_psi, damping=damping, momentum=0.0, chunk_size=chunk_size)
    steps = optax.chain(optax.scale_by_adam(b1, b2, _EPSILON),
                        optax.scale_by_learning_rate(hyperbolic_decay(learning_rate, delay)))
    return optax.chain(direction, optax.flatten(steps))


_KEPT, _EPSILON = 0.95, 1e-10
"""How much of K-FAC's averaged factors is kept from step to step, and Adam's smallest denominator."""
