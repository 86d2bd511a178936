"""Exponential envelopes, which make orbitals decay far from the nuclei, and their initial exponents."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from nnqmc.system.nuclei import nuclei, require_molecule
from nnqmc.system.shells import shell_exponents
from nnqmc.typing import System

_FEW_ATOMS = 4
"""Up to so many atoms a sum over them is written out: sums over a short last axis are several times slower."""


def initial_exponents(system: System, n_orbitals: int) -> Float[np.ndarray, "n_orbitals n_atoms"]:
    """Return Slater-like exponents (1/bohr) for `n_orbitals` orbitals in the order core to valence.

    Orbitals take the shells of all atoms (`system.shells.shell_exponents`) in the order of decreasing exponent; on the
    other atoms an orbital gets the shell nearest to its own exponent. Cores are left out.

    Raises:
        InputError: the system is periodic, or an element or a core is unknown.
    """
    require_molecule(system)
    atoms = [shell_exponents(*nucleus) for nucleus in nuclei(system.symbols, system.core)]
    slots = sorted((zeta for shells in atoms for zeta, capacity in shells for _ in range(capacity)), reverse=True)
    chosen = [slots[min(k, len(slots) - 1)] for k in range(n_orbitals)]
    nearest = [[min((zeta for zeta, _ in shells), key=lambda zeta: abs(zeta - own)) for shells in atoms]
               for own in chosen]
    return np.array(nearest).reshape(n_orbitals, system.n_atoms)


class IsotropicEnvelope(nn.Module):
    """The envelope sum_I pi_kI exp(-|sigma_kI| |r_i - R_I|) of every orbital k, its terms multiplied by the reach.

    Source: Pfau et al., Phys. Rev. Research 2, 033429 (2020), doi:10.1103/PhysRevResearch.2.033429, made isotropic as
    in Spencer et al., arXiv:2011.07125.
    """

    n_determinants: int

    @nn.compact
    def __call__(self, distances: Float[Array, "n n_atoms"], exponents: Float[np.ndarray, "n_orbitals n_atoms"],
                 reach: Float[Array, "n_determinants n_orbitals n_atoms"] | None = None
                 ) -> Float[Array, "n n_determinants n_orbitals"]:
        start = np.broadcast_to(exponents[None], (self.n_determinants, *exponents.shape)).astype(np.float32)
        sigma = self.param("sigma", lambda key: jnp.asarray(start))
        weight = self.param("pi", nn.initializers.ones_init(), start.shape, jnp.float32)
        weight = weight if reach is None else weight * reach
        sigma, weight = jnp.abs(sigma.astype(distances.dtype)), weight.astype(distances.dtype)
        if distances.shape[-1] > _FEW_ATOMS:
            return jnp.sum(weight * jnp.exp(-distances[:, None, None] * sigma), axis=-1)
        return sum(weight[..., atom] * jnp.exp(-distances[:, None, None, atom] * sigma[..., atom])
                   for atom in range(distances.shape[-1]))


class BottleneckEnvelope(nn.Module):
    """A few exponentials on each nucleus, mixed linearly into every orbital's envelope.

    Costs n_atoms n_envelopes exponentials per electron however many orbitals and determinants there are.
    Source: Pfau, Axelrod, Sutterud, von Glehn, Spencer, arXiv:2308.16848.
    """

    n_determinants: int
    n_envelopes: int

    @nn.compact
    def __call__(self, distances: Float[Array, "n n_atoms"], exponents: Float[np.ndarray, "n_orbitals n_atoms"],
                 reach: Float[Array, "n_determinants n_orbitals n_atoms"] | None = None
                 ) -> Float[Array, "n n_determinants n_orbitals"]:
        low, high = exponents.min(axis=0), exponents.max(axis=0)
        spread = np.linspace(0.0, 1.0, self.n_envelopes)
        start = (high[:, None] ** spread * np.minimum(low, high * 0.7)[:, None] ** (1.0 - spread)).astype(np.float32)
        sigma = self.param("sigma", lambda key: jnp.asarray(start))
        decay = jnp.exp(-distances[..., None] * jnp.abs(sigma.astype(distances.dtype)))
        shape = (self.n_determinants, exponents.shape[0], start.size)
        weight = self.param("pi", nearest_weights(exponents, start), shape, jnp.float32)
        weight = weight if reach is None else weight * jnp.repeat(reach, self.n_envelopes, axis=-1)
        return jnp.einsum("ne,kqe->nkq", decay.reshape(decay.shape[0], -1), weight.astype(distances.dtype),
                          precision=jax.lax.Precision.HIGHEST)


def nearest_weights(exponents: np.ndarray, sigma: np.ndarray) -> nn.initializers.Initializer:
    """Return initial mixing weights: each orbital takes, on each atom, the envelope nearest to its exponent."""
    nearest = np.abs(np.log(sigma[None]) - np.log(exponents[..., None])).argmin(axis=-1)
    chosen = np.eye(sigma.shape[-1])[nearest].reshape(len(exponents), -1)

    def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
        return jnp.asarray(chosen, dtype) + 0.05 * jax.random.normal(key, shape, dtype)

    return init
