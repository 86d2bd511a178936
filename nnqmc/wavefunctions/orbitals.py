"""Orbitals of every electron: linear maps of its features, multiplied by an envelope."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from nnqmc.typing import System
from nnqmc.wavefunctions.envelopes import BottleneckEnvelope, IsotropicEnvelope, initial_exponents
from nnqmc.wavefunctions.layers import linear
from nnqmc.wavefunctions.slater_functions import SlaterSums

_SMALL = 0.03
"""The size of a network's initial part in orbitals that have Slater functions as well, relative to the usual one."""


class Orbitals(nn.Module):
    """The orbitals phi_k(r_i) = (w_k h_i) envelope_k(r_i), with weights of their own for each spin.

    With Slater functions chi they are phi_k(r_i) = (c_k chi(r_i)) (1 + a_k h_i) + (w_k h_i) envelope_k(r_i), where the
    weights a and w start small and the coefficients c at zero. Then every Slater function and every term of an envelope
    is multiplied by the orbital's reach to the atom that it is around. The reach isn't trained; it is 1 until
    `SlaterNetwork.fitted` sets it.

    A call returns a tuple of blocks (n_determinants, m, m). For full determinants it is one block with m = n_electrons,
    whose first n_up orbitals start on spin up and the others on spin down; else there is one block for each spin.
    """

    n_determinants: int
    full_determinants: bool
    envelope: str
    n_envelopes: int

    @nn.compact
    def __call__(self, features: Float[Array, "n d"], distances: Float[Array, "n n_atoms"], system: System,
                 functions: Float[Array, "n _n_functions"] | None = None
                 ) -> tuple[Float[Array, "n_determinants _m _m"], ...]:
        n_up, n, blocks = system.n_up, system.n_electrons, []
        exponents = [initial_exponents(system, n_up), initial_exponents(system, n - n_up)]
        for k, electrons in enumerate((slice(0, n_up), slice(n_up, n))):
            if electrons.start == electrons.stop:
                continue
            zeta = np.concatenate(exponents) if self.full_determinants else exponents[k]
            count = len(zeta)
            shape, width = (-1, self.n_determinants, count), features.shape[-1]
            scale = 1.0 if functions is None else _SMALL
            layer = linear(self.n_determinants * count, width, name=f"orbitals{k}", scale=scale)
            values = layer(features[electrons]).reshape(shape)
            reach = None if functions is None else self._reach(f"reach{k}", (*shape[1:], system.n_atoms))
            values = values * self._envelope(f"envelope{k}")(distances[electrons], zeta, reach)
            if functions is not None:
                sums = SlaterSums(name=f"slater{k}")(functions[electrons], system, reach)
                factor = linear(self.n_determinants * count, width, name=f"factor{k}", scale=scale)
                values = values + sums * (1.0 + factor(features[electrons])).reshape(shape)
            blocks.append(jnp.transpose(values, (1, 0, 2)))
        if self.full_determinants:
            return (jnp.concatenate(blocks, axis=1),)
        return tuple(blocks)

    def _reach(self, name: str, shape: tuple[int, int, int]) -> Float[Array, "n_determinants n_orbitals n_atoms"]:
        """Return what multiplies every part of every orbital that is around an atom, a constant of the wavefunction."""
        return jax.lax.stop_gradient(jnp.asarray(self.variable("constants", name, jnp.ones, shape, jnp.float32).value))

    def _envelope(self, name: str) -> nn.Module:
        """Return the envelope that the settings name."""
        if self.envelope == "bottleneck":
            return BottleneckEnvelope(self.n_determinants, self.n_envelopes, name=name)
        return IsotropicEnvelope(self.n_determinants, name=name)
