"""Moving walkers without measuring: burn-in."""

from __future__ import annotations

from typing import Any

import jax

from nnqmc.samplers.metropolis import LogDensity
from nnqmc.typing import Key, Sampler


def burn_in(key: Key, log_density: LogDensity, sampler: Sampler, state: Any, steps: int) -> tuple[Any, dict]:
    """Advance chains by `steps` sampler steps and forget where they started.

    Returns:
        The new sampler state, and the mean of each statistic.
    """

    def one(state: Any, key: Key) -> tuple[Any, dict]:
        return sampler.step(key, log_density, state)

    state, stats = jax.lax.scan(one, state, jax.random.split(key, steps))
    return state, {name: values.mean() for name, values in stats.items()}
