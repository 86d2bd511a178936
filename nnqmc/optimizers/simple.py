"""Learning-rate schedules, and first-order optimizers in the form that the natural-gradient ones have."""

from __future__ import annotations

from typing import Annotated

import optax

from nnqmc.ranges import Between, check

Rate = Annotated[float, Between(1e-12, 100.0)]
"""The learning rate at step 0."""

Delay = Annotated[float, Between(1e-6)]
"""The number of steps after which a learning rate has halved."""

Decay = Annotated[float, Between(0.0, 0.999999)]
"""The decay of an exponential average."""


def hyperbolic_decay(learning_rate: Rate = 0.1, delay: Delay = 1000.0) -> optax.Schedule:
    """Return the schedule learning_rate / (1 + t/delay) at step t, which is constant if `delay` is infinite.

    Raises:
        InputError: one of them isn't positive.
    """
    check(hyperbolic_decay, learning_rate=learning_rate, delay=delay)
    return lambda step: learning_rate / (1.0 + step / delay)


def adam(learning_rate: Rate = 3e-3, delay: Delay = 1e4, b1: Decay = 0.9, b2: Decay = 0.999
         ) -> optax.GradientTransformationExtraArgs:
    """Return Adam with the decaying rate learning_rate/(1 + t/delay); it ignores `batch`.

    Source: Kingma, Ba, arXiv:1412.6980.
    """
    check(adam, b1=b1, b2=b2)
    return optax.with_extra_args_support(optax.adam(hyperbolic_decay(learning_rate, delay), b1, b2))


def lamb(learning_rate: Rate = 1e-2, delay: Delay = 1e4, b1: Decay = 0.9, b2: Decay = 0.999
         ) -> optax.GradientTransformationExtraArgs:
    """Return LAMB with the decaying rate learning_rate/(1 + t/delay): Adam whose steps are, array by array, as long as
    the array; it ignores `batch`.

    Source: You et al., arXiv:1904.00962.
    """
    check(lamb, b1=b1, b2=b2)
    return optax.with_extra_args_support(optax.lamb(hyperbolic_decay(learning_rate, delay), b1, b2))
