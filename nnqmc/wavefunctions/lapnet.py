"""LapNet: attention whose weights know two electrons each, so that the Laplacian of the wavefunction costs less."""

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


class LapNetEmbedding(nn.Module):
    """Blocks of attention with values of all electrons, and with queries and keys of one electron each.

    Each block is h <- h + W_o attention(own, h), h <- h + tanh(W h + b), and own <- own + tanh(V own + c) twice, where
    features `own` of an electron never depend on another one. The last update of `own`, which nothing would see, is
    left out. Both streams start as the same linear map of each electron's features and spin; features of pairs aren't
    used.
    Source: Li et al., Nat. Mach. Intell. 6, 209 (2024), doi:10.1038/s42256-024-00794-x (arXiv:2307.08214).
    """

    layers: int
    width: int
    heads: int

    @nn.compact
    def __call__(self, one: Float[Array, "n d_one"], two: Float[Array, "n n d_two"], system: System
                 ) -> Float[Array, "n d"]:
        features = with_spin(one, system)
        h = own = linear(self.width, features.shape[-1], True, name="input")(features)
        for layer in range(self.layers):
            h = h + SelfAttention(self.heads, use_bias=True, name=f"attention_{layer}")(own, h)
            h = h + jnp.tanh(linear(self.width, self.width, True, name=f"mixed_{layer}")(h))
            for time in range(2 if layer < self.layers - 1 else 0):
                own = own + jnp.tanh(linear(self.width, self.width, True, name=f"own_{layer}_{time}")(own))
        return h


class LapNet(SlaterNetwork):
    """The network of Li and coworkers, made for the forward Laplacian: its attention weights depend on two electrons.

    The published size is that of the public code, without a layer norm, less the last update of the one-electron
    stream, which nothing sees.
    Source: Li et al., Nat. Mach. Intell. 6, 209 (2024), doi:10.1038/s42256-024-00794-x (arXiv:2307.08214).

    Attributes:
        layers: the number of blocks.
        width: the number of features of each electron, all heads together; a multiple of `heads`.
        heads: the number of heads of attention.
        sizes: the settings behind each word for the size of the network, for `wavefunction.size` and the presets.
    """

    layers: Annotated[int, Between(1, 1000)] = 2
    width: Annotated[int, Between(1, 10**6)] = 32
    heads: Annotated[int, Between(1, 10**4)] = 4

    sizes = MappingProxyType({
        "small": MappingProxyType({
            "layers": 2, "width": 32, "heads": 4, "n_determinants": 4, "slater_functions": True}),
        "medium": MappingProxyType({
            "layers": 3, "width": 64, "heads": 4, "n_determinants": 8, "slater_functions": True}),
        "large": MappingProxyType({
            "layers": 4, "width": 128, "heads": 4, "n_determinants": 16, "slater_functions": True}),
        "published": MappingProxyType({
            "layers": 4, "width": 256, "heads": 4, "n_determinants": 16, "slater_functions": False}),
    })

    def __post_init__(self) -> None:
        """Refuse hyperparameters that make no network."""
        super().__post_init__()
        check_heads("LapNet", self.width, self.heads)

    def default_embedding(self) -> LapNetEmbedding:
        """Return the embedding of LapNet with the settings of this network."""
        return LapNetEmbedding(self.layers, self.width, self.heads, name="embedding")
