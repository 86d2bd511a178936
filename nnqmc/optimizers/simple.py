"""Learning-rate schedules, and Adam in the form that the natural-gradient optimizers have."""

from __future__ import annotations

import optax

from nnqmc.errors import InputError


def hyperbolic_decay(learning_rate: float, delay: float) -> optax.Schedule:
    """Return the schedule learning_rate / (1 + t/delay) at step t, which is constant if `delay` is infinite.

    Raises:
        InputError: one of them isn't positive.
    """
    if not learning_rate > 0.0 or not delay > 0.0:
        raise InputError(f"learning_rate={learning_rate!r}, delay={delay!r}: both need to be positive")
    return lambda step: learning_rate / (1.0 + step / delay)


def adam(learning_rate: float = 3e-3, delay: float = 1e4, b1: float = 0.9, b2: float = 0.999
         ) -> optax.GradientTransformationExtraArgs:
    """Return Adam with the decaying rate learning_rate/(1 + t/delay); it ignores `batch`.

    Source: Kingma, Ba, arXiv:1412.6980.
    """
    return optax.with_extra_args_support(optax.adam(hyperbolic_decay(learning_rate, delay), b1, b2))
