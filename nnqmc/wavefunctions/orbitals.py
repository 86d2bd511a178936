"""Orbitals of every electron: linear maps of its features, multiplied by an envelope."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from nnqmc.typing import System
from nnqmc.wavefunctions.envelopes import BottleneckEnvelope, IsotropicEnvelope, initial_exponents
from nnqmc.wavefunctions.layers import linear


class Orbitals(nn.Module):
    """The orbitals phi_k(r_i) = (w_k h_i) envelope_k(r_i), with weights of their own for each spin.

    A call returns a tuple of blocks (n_determinants, m, m). For full determinants it is one block with m = n_electrons,
    whose first n_up orbitals start on spin up and the others on spin down; else there is one block for each spin.
    """

    n_determinants: int
    full_determinants: bool
    envelope: str
    n_envelopes: int

    @nn.compact
    def __call__(self, features: Float[Array, "n d"], distances: Float[Array, "n n_atoms"], system: System
                 ) -> tuple[Float[Array, "n_determinants _m _m"], ...]:
        n_up, n, blocks = system.n_up, system.n_electrons, []
        exponents = [initial_exponents(system, n_up), initial_exponents(system, n - n_up)]
        for k, electrons in enumerate((slice(0, n_up), slice(n_up, n))):
            if electrons.start == electrons.stop:
                continue
            zeta = np.concatenate(exponents) if self.full_determinants else exponents[k]
            count = len(zeta)
            layer = linear(self.n_determinants * count, features.shape[-1], name=f"orbitals{k}")
            values = layer(features[electrons]).reshape((-1, self.n_determinants, count))
            values = values * self._envelope(f"envelope{k}")(distances[electrons], zeta)
            blocks.append(jnp.transpose(values, (1, 0, 2)))
        if self.full_determinants:
            return (jnp.concatenate(blocks, axis=1),)
        return tuple(blocks)

    def _envelope(self, name: str) -> nn.Module:
        """Return the envelope that the settings name."""
        if self.envelope == "bottleneck":
            return BottleneckEnvelope(self.n_determinants, self.n_envelopes, name=name)
        return IsotropicEnvelope(self.n_determinants, name=name)
