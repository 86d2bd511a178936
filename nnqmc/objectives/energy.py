"""The energy of a population, and the clipped, centred residual that its gradient is made of."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_FAR = 20.0
"""Deviations beyond this many median absolute deviations don't widen the clipping window further."""


class EnergySample(NamedTuple):
    """Mean and variance of unclipped local energies (hartree, hartree^2), and the residual for the gradient.

    `residual` is clipped and has (weighted) mean 0; walkers whose energy isn't finite have residual 0 and are counted
    in `excluded`, the share of walkers left out. `clipped` is the share of walkers that clipping moved.
    """

    energy: Array
    variance: Array
    residual: Array
    clipped: Array
    excluded: Array


def clipped_energy(energies: Float[Array, "n_walkers"], log_weight: Float[Array, "n_walkers"],
                   width: float = 5.0) -> EnergySample:
    """Statistics of local energies and the residual E_clip - <E_clip> of the energy's gradient.

    The gradient is 2 <(E_clip - <E_clip>) grad log|psi|>. Energies are clipped at `width` mean absolute deviations
    around the median; in that mean no deviation counts for more than twenty times the median one, so that an outlier
    can't widen its own window. Means are centred at the median.
    Source: von Glehn, Spencer, Pfau, arXiv:2211.13672, appendix; Pfau et al., doi:10.1103/PhysRevResearch.2.033429.
    """
    finite = jnp.isfinite(energies)
    weight = jnp.where(finite, jax.nn.softmax(log_weight), 0.0)
    weight = weight / jnp.maximum(jnp.sum(weight), jnp.finfo(energies.dtype).tiny)
    median = _median(energies, finite)
    deviation = jnp.where(finite, energies - median, 0.0)
    shift = jnp.sum(weight * deviation)
    variance = jnp.sum(weight * jnp.where(finite, deviation - shift, 0.0) ** 2)
    typical = _median(jnp.abs(deviation), finite)
    window = width * jnp.sum(weight * jnp.minimum(jnp.abs(deviation), _FAR * typical))
    clipped = jnp.clip(deviation, -window, window)
    residual = jnp.where(finite, clipped - jnp.sum(weight * clipped), 0.0)
    return EnergySample(median + shift, variance, residual, jnp.mean(jnp.abs(deviation) > window), jnp.mean(~finite))


def _median(values: Array, valid: Array) -> Array:
    """Median of the valid entries (NaN if there are none)."""
    count = jnp.sum(valid)
    ordered = jnp.sort(jnp.where(valid, values, jnp.inf))
    low, high = ordered[jnp.maximum(count - 1, 0) // 2], ordered[jnp.minimum(count // 2, values.shape[0] - 1)]
    return jnp.where(count > 0, 0.5 * (low + high), jnp.nan)
