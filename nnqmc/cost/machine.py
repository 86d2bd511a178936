"""What this machine can do and hold: the speed of its matrix products, its memory, and what can't fit into that."""

from __future__ import annotations

import contextlib
import math
import os
import resource
import sys
import timeit
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from nnqmc.errors import InputError
from nnqmc.messages import gibibytes
from nnqmc.optimizers.scores import make_scores
from nnqmc.typing import LogPsi, System, TrainState

_ON_CPU, _ON_ACCELERATOR = 1024, 8192
"""Rows of the matrices that are multiplied: large enough to keep every unit busy, small enough for a moment."""


def matrix_peak() -> float:
    """Return the floating-point operations per second of square float32 matrix products, the best of four."""
    size = _ON_CPU if jax.default_backend() == "cpu" else _ON_ACCELERATOR
    product = jax.jit(lambda matrix: jnp.matmul(matrix, matrix, precision=jax.lax.Precision.HIGHEST))
    matrix = jnp.full((size, size), 1.0 / size, jnp.float32)
    product(matrix).block_until_ready()
    seconds = min(timeit.repeat(lambda: product(matrix).block_until_ready(), number=1, repeat=4))
    return 2.0 * size**3 / max(seconds, 1e-9)


def peak_memory() -> float:
    """Return the most resident memory of this process so far in bytes."""
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(largest if sys.platform == "darwin" else 1024 * largest)


def device_memory(device: Any) -> int | None:
    """Return the bytes of memory of an accelerator's own, or None where it has none or doesn't say."""
    stats = None if device.platform == "cpu" else device.memory_stats()
    return (stats or {}).get("bytes_limit")


def host_memory() -> int:
    """Return the bytes of the host's memory that this process may use; 2**62 where the system doesn't say."""
    found = []
    with contextlib.suppress(AttributeError, ValueError, OSError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with contextlib.suppress(ValueError, OSError):
        found.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))  # the limit of a container
    return min(found, default=2**62)


def check_memory(state: TrainState, log_psi: LogPsi, system: System, *, has_scores: bool,
                 available: int | None = None) -> None:
    """Refuse what can't fit into memory.

    The estimate counts what surely has to be there at once: the state, whose form alone is read, and if the optimizer
    `has_scores`, those of all walkers and the matrix between them. `available` gives the bytes, else the device does.

    Raises:
        InputError: the run is too large; the message says by how much.
    """
    leaves, electrons = jax.tree.leaves(state.params), state.sampler.walkers.electrons
    n_params, n_walkers = sum(math.prod(leaf.shape) for leaf in leaves), electrons.shape[0]
    needed = 6 * 4 * n_params + 4 * 3 * system.n_electrons * n_walkers * 4
    available = available or device_memory(jax.local_devices()[0]) or host_memory()
    if has_scores:
        needed += 2 * 8 * n_walkers**2
        if needed + 4 * n_walkers * n_params > available:  # else there is room for them in any form
            scores = jax.eval_shape(make_scores(log_psi, system), state.params, electrons)
            needed += sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(scores))
    if needed > available:
        raise InputError(f"{n_walkers} walkers and {n_params} parameters need at least {gibibytes(needed)} of memory, "
                         f"and there are {gibibytes(available)}: use fewer --walkers or a smaller wavefunction")
