"""Exponential envelopes: what makes orbitals decay far from the nuclei, and their starting exponents."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from nnqmc.system.elements import nuclear_charge
from nnqmc.typing import System

_SHELL_CAPACITY = (1, 4, 4, 9, 9, 16, 16)
"""Spatial orbitals in each shell of an atom, roughly in the order of the periodic table."""

_FEW_ATOMS = 4
"""Up to so many atoms a sum over them is written out: sums over a short last axis are several times slower."""


def initial_exponents(system: System, n_orbitals: int) -> Float[np.ndarray, "n_orbitals n_atoms"]:
    """Slater-like exponents (1/bohr) for `n_orbitals` orbitals in the order core to valence.

    The innermost shell of an atom decays with its charge Z, the outermost with 1, those between with Slater's
    screened charge over the shell's number. Orbitals take the shells of all atoms in the order of decreasing
    exponent; on the other atoms an orbital gets the shell nearest to its own exponent.
    """
    shells = [_shell_exponents(nuclear_charge(symbol)) for symbol in system.symbols]
    slots = sorted((zeta for atom in shells for zeta, capacity in zip(atom, _SHELL_CAPACITY, strict=False)
                    for _ in range(capacity)), reverse=True)
    chosen = [slots[min(k, len(slots) - 1)] for k in range(n_orbitals)]
    return np.array([[min(atom, key=lambda zeta: abs(zeta - own)) for atom in shells] for own in chosen]
                    ).reshape(n_orbitals, system.n_atoms)


def _shell_exponents(z: int) -> list[float]:
    """One exponent for each occupied shell of an atom, decreasing from Z to 1."""
    exponents, electrons = [float(z)], 2
    for n, capacity in enumerate(_SHELL_CAPACITY[1:], start=2):
        if electrons >= z:
            break
        is_last = electrons + 2 * capacity >= z
        exponents.append(1.0 if is_last else max(1.0, (z - electrons) / n))
        electrons += 2 * capacity
    return exponents


class IsotropicEnvelope(nn.Module):
    """sum_I pi_kI exp(-|sigma_kI| |r_i - R_I|) for every orbital k.

    Source: Pfau et al., Phys. Rev. Research 2, 033429 (2020), doi:10.1103/PhysRevResearch.2.033429, made isotropic as
    in Spencer et al., arXiv:2011.07125.
    """

    n_determinants: int

    @nn.compact
    def __call__(self, distances: Float[Array, "n n_atoms"], exponents: Float[np.ndarray, "n_orbitals n_atoms"]
                 ) -> Float[Array, "n n_determinants n_orbitals"]:
        start = np.broadcast_to(exponents[None], (self.n_determinants, *exponents.shape)).astype(np.float32)
        sigma = self.param("sigma", lambda key: jnp.asarray(start))
        weight = self.param("pi", nn.initializers.ones_init(), start.shape, jnp.float32)
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
    def __call__(self, distances: Float[Array, "n n_atoms"], exponents: Float[np.ndarray, "n_orbitals n_atoms"]
                 ) -> Float[Array, "n n_determinants n_orbitals"]:
        low, high = exponents.min(axis=0), exponents.max(axis=0)
        spread = np.linspace(0.0, 1.0, self.n_envelopes)
        start = (high[:, None] ** spread * np.minimum(low, high * 0.7)[:, None] ** (1.0 - spread)).astype(np.float32)
        sigma = self.param("sigma", lambda key: jnp.asarray(start))
        decay = jnp.exp(-distances[..., None] * jnp.abs(sigma.astype(distances.dtype)))
        shape = (self.n_determinants, exponents.shape[0], start.size)
        weight = self.param("pi", nearest_weights(exponents, start), shape, jnp.float32).astype(distances.dtype)
        return jnp.einsum("ne,kqe->nkq", decay.reshape(decay.shape[0], -1), weight,
                          precision=jax.lax.Precision.HIGHEST)


def nearest_weights(exponents: np.ndarray, sigma: np.ndarray) -> nn.initializers.Initializer:
    """Initial mixing weights: each orbital takes, on each atom, the envelope nearest to its exponent."""
    nearest = np.abs(np.log(sigma[None]) - np.log(exponents[..., None])).argmin(axis=-1)
    chosen = np.eye(sigma.shape[-1])[nearest].reshape(len(exponents), -1)

    def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
        return jnp.asarray(chosen, dtype) + 0.05 * jax.random.normal(key, shape, dtype)

    return init
