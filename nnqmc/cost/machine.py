"""Measures this machine: the speed of its matrix products, and the memory that this process has taken."""

from __future__ import annotations

import contextlib
import sys
import time

import jax
import jax.numpy as jnp

_ON_CPU, _ON_ACCELERATOR = 1024, 8192
"""Rows of the matrices that are multiplied: large enough to keep every unit busy, small enough for a moment."""

_SHORTEST = 0.06
"""Seconds of measurement, where two products don't take longer."""


def matrix_peak() -> float:
    """Return the floating-point operations per second of square float32 matrix products, the best of a few."""
    size = _ON_CPU if jax.default_backend() == "cpu" else _ON_ACCELERATOR
    product = jax.jit(lambda matrix: jnp.matmul(matrix, matrix, precision=jax.lax.Precision.HIGHEST))
    matrix = jnp.full((size, size), 1.0 / size, jnp.float32)
    product(matrix).block_until_ready()
    best, started, count = float("inf"), time.perf_counter(), 0
    while count < 2 or time.perf_counter() - started < _SHORTEST:
        begun = time.perf_counter()
        product(matrix).block_until_ready()
        best, count = min(best, time.perf_counter() - begun), count + 1
    return 2.0 * size**3 / max(best, 1e-9)


def peak_memory() -> float | None:
    """Return the most resident memory of this process so far in bytes, or None where the system doesn't say."""
    with contextlib.suppress(ImportError, OSError):
        import resource

        largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return float(largest if sys.platform == "darwin" else 1024 * largest)
    return None
