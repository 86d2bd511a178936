"""Psiformer: determinants of orbitals from layers of self-attention among the electrons."""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from nnqmc.ranges import Between
from nnqmc.typing import System
from nnqmc.wavefunctions.layers import linear
from nnqmc.wavefunctions.network import SlaterNetwork
from nnqmc.wavefunctions.self_attention import SelfAttention, check_heads, with_spin


class PsiformerEmbedding(nn.Module):
    """Blocks h <- h + W_o attention(h), h <- h + tanh(W h + b), each sum followed by a layer norm if wanted.

    The first h is a linear map of each electron's features and spin; features of pairs aren't used.
    Source: von Glehn, Spencer, Pfau, arXiv:2211.13672.
    """

    layers: int
    width: int
    heads: int
    layer_norm: bool

    @nn.compact
    def __call__(self, one: Float[Array, "n d_one"], two: Float[Array, "n n d_two"], system: System
                 ) -> Float[Array, "n d"]:
        features = with_spin(one, system)
        h = linear(self.width, features.shape[-1], name="input")(features)
        for layer in range(self.layers):
            h = self._normal(f"norm_{layer}_0", h + SelfAttention(self.heads, name=f"attention_{layer}")(h, h))
            h = self._normal(f"norm_{layer}_1", h + jnp.tanh(linear(self.width, self.width, True, f"own_{layer}")(h)))
        return h

    def _normal(self, name: str, h: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Return the features with mean 0 and variance 1, scaled and shifted, or as they are."""
        return nn.LayerNorm(1e-5, use_fast_variance=False, name=name)(h) if self.layer_norm else h


class Psiformer(SlaterNetwork):
    """The wavefunction transformer of von Glehn, Spencer and Pfau: FermiNet's determinants of an attention network.

    The published size is that of the paper: one tanh layer in each block, and a layer norm after each sum. The public
    code has the same layers, but two tanh layers in each block and no layer norm by default.
    Source: von Glehn, Spencer, Pfau, arXiv:2211.13672.

    Attributes:
        layers: the number of blocks.
        width: the number of features of each electron, all heads together; a multiple of `heads`.
        heads: the number of heads of attention.
        layer_norm: whether each sum is followed by a layer norm.
        sizes: the settings behind each word for the size of the network, for `wavefunction.size` and the presets.
    """

    layers: Annotated[int, Between(1, 1000)] = 2
    width: Annotated[int, Between(1, 10**6)] = 32
    heads: Annotated[int, Between(1, 10**4)] = 4
    layer_norm: bool = False

    sizes = MappingProxyType({
        "small": MappingProxyType({"layers": 2, "width": 32, "heads": 4, "layer_norm": False, "n_determinants": 4,
                                   "slater_functions": True}),
        "medium": MappingProxyType({"layers": 3, "width": 64, "heads": 4, "layer_norm": False, "n_determinants": 8,
                                    "slater_functions": True}),
        "large": MappingProxyType({"layers": 4, "width": 128, "heads": 4, "layer_norm": False, "n_determinants": 16,
                                   "slater_functions": True}),
        "published": MappingProxyType({"layers": 4, "width": 256, "heads": 4, "layer_norm": True, "n_determinants": 16,
                                       "slater_functions": False}),
    })

    def __post_init__(self) -> None:
        """Refuse hyperparameters that make no network."""
        super().__post_init__()
        check_heads("Psiformer", self.width, self.heads)

    def default_embedding(self) -> PsiformerEmbedding:
        """Return the embedding of Psiformer with the settings of this network."""
        return PsiformerEmbedding(self.layers, self.width, self.heads, self.layer_norm, name="embedding")
