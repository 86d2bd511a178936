"""FermiNet: determinants of orbitals that a one-electron stream and a pair stream make."""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from nnqmc.ranges import Between
from nnqmc.typing import System
from nnqmc.wavefunctions.layers import linear, residual
from nnqmc.wavefunctions.network import SlaterNetwork


class FermiNetEmbedding(nn.Module):
    """The one-electron stream of FermiNet with its pair stream.

    Each layer is h_i <- tanh(W [h_i, mean_up h, mean_down h, mean_up h_ij, mean_down h_ij] + b) + h_i. The weight
    matrix acts block by block, so that what all electrons share is multiplied once and not once for each electron. The
    last pair layer, which no orbital would see, is left out.
    Source: Pfau et al., Phys. Rev. Research 2, 033429 (2020), doi:10.1103/PhysRevResearch.2.033429.
    """

    layers: int
    hidden_one: int
    hidden_two: int

    @nn.compact
    def __call__(self, one: Float[Array, "n d_one"], two: Float[Array, "n n d_two"], system: System
                 ) -> Float[Array, "n d"]:
        spins = [s for s in (slice(0, system.n_up), slice(system.n_up, system.n_electrons)) if s.start < s.stop]
        for layer in range(self.layers):
            fan_in = one.shape[-1] * (1 + len(spins)) + two.shape[-1] * len(spins)
            shared = jnp.concatenate([jnp.mean(one[s], axis=0, keepdims=True) for s in spins], axis=-1)
            pairs = jnp.concatenate([jnp.mean(two[:, s], axis=1) for s in spins], axis=-1)
            update = linear(self.hidden_one, fan_in, True, name=f"own_{layer}")(one)
            update = update + linear(self.hidden_one, fan_in, name=f"shared_{layer}")(shared)
            update = update + linear(self.hidden_one, fan_in, name=f"pairs_{layer}")(pairs)
            one = residual(jnp.tanh(update), one)
            if layer < self.layers - 1:
                pair = linear(self.hidden_two, two.shape[-1], True, name=f"two_{layer}")(two)
                two = residual(jnp.tanh(pair), two)
        return one


class FermiNet(SlaterNetwork):
    """The Fermionic neural network of Pfau et al., a sum of determinants of orbitals that see all electrons.

    Source: Pfau et al., Phys. Rev. Research 2, 033429 (2020), doi:10.1103/PhysRevResearch.2.033429; without the cusp
    factor (`cusp=False`) and Slater functions it has the published form.

    Attributes:
        layers: the number of one-electron layers; the pair stream has one fewer.
        hidden_one: the width of the one-electron stream.
        hidden_two: the width of the pair stream.
        sizes: the settings behind each word for the size of the network, for `wavefunction.size` and the presets.
    """

    layers: Annotated[int, Between(1, 1000)] = 3
    hidden_one: Annotated[int, Between(1, 10**6)] = 32
    hidden_two: Annotated[int, Between(1, 10**6)] = 8

    sizes = MappingProxyType({
        "small": MappingProxyType({
            "layers": 3, "hidden_one": 32, "hidden_two": 8, "n_determinants": 4, "slater_functions": True}),
        "medium": MappingProxyType({
            "layers": 3, "hidden_one": 64, "hidden_two": 16, "n_determinants": 8, "slater_functions": True}),
        "large": MappingProxyType({
            "layers": 4, "hidden_one": 128, "hidden_two": 16, "n_determinants": 16, "slater_functions": True}),
        "published": MappingProxyType({
            "layers": 4, "hidden_one": 256, "hidden_two": 32, "n_determinants": 16, "slater_functions": False}),
    })

    def default_embedding(self) -> FermiNetEmbedding:
        """Return the embedding of FermiNet with the widths of this network."""
        return FermiNetEmbedding(self.layers, self.hidden_one, self.hidden_two, name="embedding")
