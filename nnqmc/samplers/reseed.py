"""Replace walkers that are lost far outside of the density by copies of healthy ones, and count them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from nnqmc.typing import Key, Population

_FAR_OUT, _FAR_OUT_PER_ELECTRON = 50.0, 30.0
"""A walker whose log density lies this far below the median is lost: a sample of the density is so with a probability
below e^-50, and at such a distance from the nuclei moves lead nowhere."""


def reseed(key: Key, electrons: Population, log_density: Float[Array, "n_walkers"]
           ) -> tuple[Population, Float[Array, "n_walkers"], Bool[Array, "n_walkers"]]:
    """Return the population with copies of healthy walkers, drawn at random, in the place of lost ones.

    A walker is lost if its coordinates or its density aren't finite, or if it lies far outside of the density. Without
    a single healthy walker everything stays as it is.

    Args:
        key: draws the healthy walkers.
        electrons: the population, bohr.
        log_density: log|psi|^2 of each walker.

    Returns:
        The population, its log densities, and which walkers were replaced.
    """
    n_walkers, n_electrons = electrons.shape[:2]
    known = jnp.isfinite(log_density) & jnp.all(jnp.isfinite(electrons), axis=(1, 2))
    ordered = jnp.sort(jnp.where(known, log_density, -jnp.inf))
    median = ordered[jnp.minimum(n_walkers - (jnp.sum(known) + 1) // 2, n_walkers - 1)]
    healthy = known & (log_density >= median - _FAR_OUT - _FAR_OUT_PER_ELECTRON * n_electrons)
    n_healthy = jnp.sum(healthy)
    drawn = jnp.floor(jax.random.uniform(key, (n_walkers,)) * n_healthy).astype(jnp.int32)
    drawn = jnp.minimum(drawn, jnp.maximum(n_healthy - 1, 0))
    source = jnp.argsort(~healthy, stable=True)[drawn]  # the healthy ones come first
    replaced = ~healthy & (n_healthy > 0)
    return (jnp.where(replaced[:, None, None], electrons[source], electrons),
            jnp.where(replaced, log_density[source], log_density), replaced)
