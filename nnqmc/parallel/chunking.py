"""How many walkers are evaluated together: as many as the memory holds in which one walker's program works best."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import jaxpr_as_fun

from nnqmc.parallel.traces import peak_bytes
from nnqmc.typing import PyTree

_CACHE = 2**20
"""Bytes of a processor's cache that one core can count on."""

_FEWEST, _MOST = 4, 512
"""Walkers on a processor: fewer waste time on starting operations, more gain nothing."""

_SHARE = 0.2
"""Of an accelerator's memory, for what walkers need at a time."""

_UNKNOWN_MEMORY = 2**33
"""Bytes that an accelerator is taken to have if it doesn't say."""


def in_chunks(function: Callable[[PyTree], PyTree], walker: PyTree, n_walkers: int
              ) -> tuple[Callable[[PyTree], PyTree], int]:
    """A function of one walker, traced once, and the number of walkers to evaluate together.

    Args:
        function: works on one walker.
        walker: the arrays of one, or `jax.ShapeDtypeStruct`s in their place.
        n_walkers: how many there are; a divisor of it is preferred, since a remainder is one more program to compile.
    """
    program, result = jax.make_jaxpr(function, return_shape=True)(walker)
    run, tree = jaxpr_as_fun(program), jax.tree.structure(result)

    def traced(walker: PyTree) -> PyTree:
        return jax.tree.unflatten(tree, run(*jax.tree.leaves(walker)))

    return traced, _even(_chunk_size(max(peak_bytes(program), 1)), n_walkers)


def _even(size: int, n_walkers: int) -> int:
    """The largest divisor of `n_walkers` between half of `size` and `size`, or `size` if there is none."""
    return next((number for number in range(size, size // 2, -1) if n_walkers % number == 0), size)


def _chunk_size(per_walker: int) -> int:
    device = jax.local_devices()[0]
    if device.platform == "cpu":
        return min(max(_power_of_two(_CACHE // per_walker), _FEWEST), _MOST)
    return _power_of_two(int(_SHARE * _memory(device)) // per_walker)


def _memory(device: Any) -> int:
    """Bytes of an accelerator; one number for all where several processes have to choose alike."""
    if jax.process_count() > 1:
        return _UNKNOWN_MEMORY
    try:
        return (device.memory_stats() or {}).get("bytes_limit", _UNKNOWN_MEMORY)
    except (jax.errors.JaxRuntimeError, NotImplementedError):
        return _UNKNOWN_MEMORY


def _power_of_two(number: int) -> int:
    """The largest power of two up to `number`, at least 1."""
    return 1 << max(number.bit_length() - 1, 0)
