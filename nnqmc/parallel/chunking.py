"""Choose how many walkers are evaluated together: as many as fit into the memory that one program works best in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import jaxpr_as_fun

from nnqmc.parallel.threads import threads
from nnqmc.parallel.traces import peak_bytes
from nnqmc.typing import PyTree

_CACHE, _SHARED = 2**20, 2**23
"""The bytes that walkers evaluated together should need: those of a processor's cache that one thread can count on, or
so many for each of several threads, which share every operation and need long ones to be worth it."""

_FEWEST, _MOST = 4, 512
"""On a processor, fewer walkers waste time on starting operations, and more gain nothing."""

_SHARE = 0.2
"""Walkers that are evaluated together may need this fraction of an accelerator's memory."""

_UNKNOWN_MEMORY = 2**33
"""An accelerator that doesn't say how many bytes it has is taken to have so many."""


def in_chunks(function: Callable[[PyTree], PyTree], walker: PyTree, n_walkers: int
              ) -> tuple[Callable[[PyTree], PyTree], int]:
    """Return a function of one walker, traced once, and the number of walkers to evaluate together.

    Args:
        function: works on one walker.
        walker: the arrays of one walker, or `jax.ShapeDtypeStruct`s in their place.
        n_walkers: how many walkers there are; a divisor of it is preferred, since a remainder is one more program to
            compile.
    """
    program, result = jax.make_jaxpr(function, return_shape=True)(walker)
    run, tree = jaxpr_as_fun(program), jax.tree.structure(result)

    def traced(walker: PyTree) -> PyTree:
        return jax.tree.unflatten(tree, run(*jax.tree.leaves(walker)))

    return traced, _even(_chunk_size(max(peak_bytes(program), 1)), n_walkers)


def _even(size: int, n_walkers: int) -> int:
    """Return the largest divisor of `n_walkers` between half of `size` and `size`, or `size` if there is none."""
    return next((number for number in range(min(size, n_walkers), size // 2, -1) if n_walkers % number == 0), size)


def _chunk_size(per_walker: int) -> int:
    """Return how many walkers that need so many bytes each fit into the memory."""
    device = jax.local_devices()[0]
    if device.platform == "cpu":
        room = _SHARED * threads() if threads() > 1 else _CACHE
        return min(max(_power_of_two(room // per_walker), _FEWEST), _MOST)
    return _power_of_two(int(_SHARE * _memory(device)) // per_walker)


def _memory(device: Any) -> int:
    """Return the bytes of an accelerator, or one number for all where several processes have to choose alike."""
    if jax.process_count() > 1:
        return _UNKNOWN_MEMORY
    try:
        return (device.memory_stats() or {}).get("bytes_limit", _UNKNOWN_MEMORY)
    except (jax.errors.JaxRuntimeError, NotImplementedError):
        return _UNKNOWN_MEMORY


def _power_of_two(number: int) -> int:
    """Return the largest power of two up to `number`, at least 1."""
    return 1 << max(number.bit_length() - 1, 0)
