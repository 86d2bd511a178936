"""The one- and two-electron streams of FermiNet."""

from __future__ import annotations

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from nnqmc.typing import System
from nnqmc.wavefunctions.layers import Linear, residual


class FermiNetEmbedding(nn.Module):
    """h_i <- tanh(W [h_i, mean_up h, mean_down h, mean_up h_ij, mean_down h_ij] + b) + h_i, and the pair stream.

    The weight matrix acts block by block, so that what all electrons share is multiplied once and not once for each
    electron. The last pair layer, which no orbital would see, is left out.
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

            def linear(name: str, bias: bool = False, layer: int = layer, fan_in: int = fan_in) -> Linear:
                return Linear(self.hidden_one, fan_in, bias, name=f"{name}_{layer}")

            update = linear("own", bias=True)(one)
            for k, spin in enumerate(spins):
                shared = linear(f"mean{k}")(jnp.mean(one[spin], axis=0, keepdims=True))
                update = update + shared + linear(f"pairs{k}")(jnp.mean(two[:, spin], axis=1))
            one = residual(jnp.tanh(update), one)
            if layer < self.layers - 1:
                pair = Linear(self.hidden_two, two.shape[-1], True, name=f"two_{layer}")(two)
                two = residual(jnp.tanh(pair), two)
        return one
