"""The one- and two-electron streams of FermiNet."""

from __future__ import annotations

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from nnqmc.typing import System
from nnqmc.wavefunctions.layers import linear, residual


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
