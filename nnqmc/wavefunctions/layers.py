"""Layers that several networks use."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array


def linear(features: int, fan_in: int, use_bias: bool = False, name: str | None = None, scale: float = 1.0
           ) -> nn.Dense:
    """Return a dense layer x W (+ b) in full float32 precision; `fan_in` sets the size of the initial weights,
    multiplied by `scale`.

    Several layers that feed one activation share the `fan_in` of their inputs together, so that a sum of them starts
    like one layer on the concatenated inputs, without ever building those.
    """
    return nn.Dense(features, use_bias=use_bias, precision=jax.lax.Precision.HIGHEST,
                    kernel_init=_normal(scale * fan_in**-0.5), name=name)


def _normal(scale: float) -> nn.initializers.Initializer:
    """Return an initializer that draws normal numbers of this standard deviation.

    They are drawn along one axis and reshaped, since a program that draws along two takes longer to compile.
    """

    def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
        return scale * jax.random.normal(key, (math.prod(shape),), dtype).reshape(shape)

    return init


def residual(update: Array, x: Array) -> Array:
    """Return update + x where the shapes agree, else update."""
    return update + x if update.shape == x.shape else update
