"""Attention among electrons, in a form that keeps derivatives sparse, and what networks with it have in common."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from nnqmc.errors import InputError
from nnqmc.typing import System
from nnqmc.wavefunctions.layers import linear

_HIGHEST = jax.lax.Precision.HIGHEST


def check_heads(owner: str, width: int, heads: int) -> None:
    """Make sure that the features of a network can be divided among its heads of attention.

    Raises:
        InputError: the width is no multiple of the number of heads.
    """
    if width % heads:
        raise InputError(f"{owner} width = {width} with heads = {heads}: the width has to be a multiple of the number "
                         "of heads, such as 32 for 4")


def with_spin(one: Float[Array, "n d"], system: System) -> Float[Array, "n d+1"]:
    """Return the features of each electron with its spin, 1 or -1, behind them."""
    spin = jnp.where(jnp.arange(system.n_electrons) < system.n_up, 1.0, -1.0).astype(one.dtype)
    return jnp.concatenate([one, spin[:, None]], axis=-1)


def attend(queries: Float[Array, "n heads d"], keys: Float[Array, "n heads d"], values: Float[Array, "n heads d"]
           ) -> Float[Array, "n heads d"]:
    """Return softmax_j(q_i . k_j / sqrt(d)) v_j for each head.

    It is computed as sum_j w_ij v_j / sum_j w_ij with w = exp(score): w_ij depends on what electrons i and j know and
    on nothing else, whereas a normalised weight depends on all electrons.
    """
    scores = jnp.einsum("ihd,jhd->hij", queries, keys, precision=_HIGHEST) / queries.shape[-1] ** 0.5
    weights = jnp.exp(scores - jnp.max(jax.lax.stop_gradient(scores), axis=-1, keepdims=True))
    mixed = jnp.einsum("hij,jhd->ihd", weights, values, precision=_HIGHEST)
    return mixed / jnp.sum(weights, axis=-1).T[..., None]


class SelfAttention(nn.Module):
    """Attention with queries and keys of the features `own`, values of `features`, and a final linear map.

    Attributes:
        heads: the number of heads.
        use_bias: whether the linear maps have a bias.
    """

    heads: int
    use_bias: bool = False

    @nn.compact
    def __call__(self, own: Float[Array, "n d"], features: Float[Array, "n d"]) -> Float[Array, "n d"]:
        n, width = features.shape
        queries, keys = (linear(width, width, self.use_bias, name=name)(own) for name in ("queries", "keys"))
        values = linear(width, width, self.use_bias, name="values")(features)
        mixed = attend(*(x.reshape(n, self.heads, -1) for x in (queries, keys, values)))
        return linear(width, width, self.use_bias, name="out")(mixed.reshape(n, width))
