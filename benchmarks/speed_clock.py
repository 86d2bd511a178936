"""Clocks for compiled programs, and what the compiler says about their operations, bytes and memory."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nnqmc.cost.forecast import trace_step
from nnqmc.methods import Step

_SHORTEST = 0.02
"""The least duration of a reading in seconds: faster programs are called several times for it."""


class Cost(NamedTuple):
    """The floating-point operations and the bytes read or written, as the compiler counts them."""

    flops: float
    bytes: float


class Program(NamedTuple):
    """A function compiled for its arguments.

    call: runs it and waits for the result.
    cost: the cost of one call, with the bodies of loops counted once.
    peak_bytes: the memory of arguments, results and temporary arrays together, with shared memory counted once.
    temp_bytes: the memory of temporary arrays alone.
    compile_seconds: the time of tracing and compilation.
    """

    call: Callable[[], Any]
    cost: Cost
    peak_bytes: int
    temp_bytes: int
    compile_seconds: float


def compiled(function: Callable[..., Any], *arguments: Any) -> Program:
    """Compile a function for its arguments without running it; a training step becomes two programs, as in a run."""
    started = time.perf_counter()
    if isinstance(function, Step):
        executables = [part.lower().compile() for part in trace_step(function, *arguments)]
        whole = Step(*executables)
    else:
        whole = jax.jit(function).lower(*arguments).compile()
        executables = [whole]
    seconds = time.perf_counter() - started
    memories, costs = [each.memory_analysis() for each in executables], map(_cost, executables)
    peak = max(memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
               - memory.alias_size_in_bytes for memory in memories)

    def call() -> Any:
        return jax.block_until_ready(whole(*arguments))

    return Program(call, Cost(*map(sum, zip(*costs, strict=True))), peak,
                   max(memory.temp_size_in_bytes for memory in memories), seconds)


def _cost(executable: Any) -> Cost:
    found = executable.cost_analysis() or {}
    return Cost(max(found.get("flops", 0.0), 0.0), max(found.get("bytes accessed", 0.0), 0.0))


def in_turns(programs: Mapping[str, Program], repeats: int) -> dict[str, list[float]]:
    """Return the seconds per call of every program, with readings taken in turns (a b c a b c ...).

    If the machine slows down half-way, it slows down all programs, and the ratios of neighbouring readings stay the
    same.

    Args:
        programs: the programs to time; each is first called once without timing.
        repeats: the number of readings of each.
    """
    calls = {}
    for name, program in programs.items():
        program.call()
        calls[name] = max(1, math.ceil(_SHORTEST / max(_seconds(program, 1), 1e-9)))
    readings: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(repeats):
        for name, program in programs.items():
            readings[name].append(_seconds(program, calls[name]))
    return readings


def _seconds(program: Program, calls: int) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        program.call()
    return (time.perf_counter() - started) / calls


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> tuple[float, float, float]:
    """Return the median and the quartiles of the ratios of neighbouring readings."""
    return median_and_quartiles([a / b for a, b in zip(numerators, denominators, strict=True)])


def median_and_quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the median, the lower and the upper quartile."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return middle, low, high


def matrix_peak(repeats: int, size: int | None = None) -> float:
    """Return the float32 operations per second of a large matrix product on this machine, the best of a few readings.

    Args:
        repeats: the number of readings.
        size: the number of rows and columns; by default 2048 on a CPU and 8192 elsewhere.
    """
    n = size or (2048 if jax.default_backend() == "cpu" else 8192)
    matrix = jax.random.normal(jax.random.key(0), (n, n), jnp.float32)
    program = compiled(lambda a, b: jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST), matrix, matrix)
    return 2.0 * n**3 / min(in_turns({"product": program}, repeats)["product"])
