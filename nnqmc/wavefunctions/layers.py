"""Layers shared by the wavefunctions."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float


class Linear(nn.Module):
    """x W (+ b) in full float32 precision; `fan_in` sets the scale of the initial weights.

    Several Linears that feed one activation share the `fan_in` of their inputs together, so that a sum of them
    starts like one layer on the concatenated inputs, without ever building those.
    """

    features: int
    fan_in: int
    use_bias: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "*batch d_in"]) -> Float[Array, "*batch d_out"]:
        init = nn.initializers.normal(self.fan_in**-0.5)
        kernel = self.param("kernel", init, (x.shape[-1], self.features), jnp.float32)
        y = jnp.matmul(x, kernel.astype(x.dtype), precision=jax.lax.Precision.HIGHEST)
        if self.use_bias:
            y = y + self.param("bias", nn.initializers.zeros_init(), (self.features,), jnp.float32).astype(x.dtype)
        return y


def residual(update: Array, x: Array) -> Array:
    """update + x where the shapes agree, else update."""
    return update + x if update.shape == x.shape else update
