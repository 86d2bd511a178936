"""Series whose mean, variance and autocorrelation time are known."""

from __future__ import annotations

import numpy as np


def ar1(rng: np.random.Generator, n_steps: int, n_chains: int, tau: float) -> np.ndarray:
    """Autoregressive chains, (n_steps, n_chains): standard normal, with autocorrelation time `tau`."""
    phi = (tau - 1) / (tau + 1)
    noise = rng.standard_normal((n_steps, n_chains))
    for step in range(1, n_steps):
        noise[step] = phi * noise[step - 1] + np.sqrt(1 - phi**2) * noise[step]
    return noise
