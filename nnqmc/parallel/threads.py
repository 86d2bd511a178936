"""The number of threads that XLA computes with on a processor."""

from __future__ import annotations

import os

_NAMES = ("PJRT_NPROC", "NPROC")
"""The environment variables in which XLA looks for the number, in this order."""


def choose_threads() -> None:
    """Let XLA compute with one thread if this process may use at most two processors.

    Call it before JAX computes anything. Two processors of a virtual machine are mostly the two hardware threads of one
    core, and a step of VMC consists of small operations: with two threads, steps took 1.1 to 1.4 times as long as with
    one (benchmarks/LOG.md). Compilation uses all processors in any case. A number in the environment (PJRT_NPROC) is
    kept.
    """
    if processors() <= 2 and not any(os.environ.get(name) for name in _NAMES):
        os.environ[_NAMES[0]] = "1"


def threads() -> int:
    """Return the number of threads that XLA computes with in this process."""
    found = [os.environ[name] for name in _NAMES if os.environ.get(name, "").isdecimal()]
    return max(int(found[0]), 1) if found else processors()


def processors() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(len(os.sched_getaffinity(0)), 1)
    return os.cpu_count() or 1
