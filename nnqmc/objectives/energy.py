"""The energy of a population, and the clipped, centred residual that its gradient is made of."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nnqmc.errors import InputError
from nnqmc.ranges import Between, check
from nnqmc.typing import Descent, Key, LocalEnergy, LogPsi, Objective, Params, System, Walkers

_FAR = 20.0
"""Deviations beyond this many median absolute deviations don't widen the clipping window further."""


class EnergySample(NamedTuple):
    """Statistics of the local energies of a population.

    energy, variance: of the unclipped local energies, in hartree and hartree^2.
    residual: (n_walkers,), clipped and with (weighted) mean 0; it is 0 for walkers whose energy isn't finite.
    clipped: the share of walkers whose local energy was clipped.
    excluded: the share of walkers whose local energy isn't finite.
    """

    energy: Array
    variance: Array
    residual: Array
    clipped: Array
    excluded: Array


def energy(clip: Annotated[float, Between(1e-3)] = 5.0) -> Objective:
    """Return the objective that minimises the energy.

    Args:
        clip: local energies are clipped at this many mean absolute deviations from their median (`clipped_energy`).

    Raises:
        InputError: `clip` is not positive.
    """
    check(energy, clip=clip)

    def objective(log_psi: LogPsi, params: Params, system: System, walkers: Walkers, local: LocalEnergy, key: Key
                  ) -> Descent:
        """Return the clipped residual of the local energies, and the means of the energy and its terms."""
        sample = clipped_energy(local.total, walkers.log_weight, clip)
        stats = {"energy": sample.energy, "variance": sample.variance, "clipped": sample.clipped,
                 "excluded": sample.excluded}
        if taken := sorted(stats.keys() & local.terms.keys()):
            raise InputError(f"a term of the Hamiltonian is called {taken[0]!r} like a statistic of the step: give it "
                             "another name")
        valid = jnp.isfinite(local.total)
        terms = {name: _mean(term, walkers.log_weight, valid) for name, term in local.terms.items()}
        return Descent(sample.residual, None, stats | terms)

    return objective


def clipped_energy(energies: Float[Array, "n_walkers"], log_weight: Float[Array, "n_walkers"],
                   width: float = 5.0) -> EnergySample:
    """Return statistics of local energies and the residual E_clip - <E_clip> of the energy's gradient.

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
    """Return the median of the valid entries, or NaN if there are none."""
    count = jnp.sum(valid)
    ordered = jnp.sort(jnp.where(valid, values, jnp.inf))
    low, high = ordered[jnp.maximum(count - 1, 0) // 2], ordered[jnp.minimum(count // 2, values.shape[0] - 1)]
    return jnp.where(count > 0, 0.5 * (low + high), jnp.nan)


def _mean(values: Array, log_weight: Array, valid: Array) -> Array:
    """Return the weighted mean over the valid walkers (the others are counted as excluded)."""
    weight = jnp.where(valid, jax.nn.softmax(log_weight), 0.0)
    total = jnp.maximum(jnp.sum(weight), jnp.finfo(values.dtype).tiny)
    return jnp.sum(weight * jnp.where(valid, values, 0.0)) / total
