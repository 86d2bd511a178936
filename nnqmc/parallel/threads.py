"""What a run computes with on a processor: threads, and memory that stays with the process."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator

from threadpoolctl import threadpool_limits

_NAMES = ("PJRT_NPROC", "NPROC")
"""The environment variables in which XLA looks for the number, in this order."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""The names of two settings of glibc's `mallopt`, as its header file numbers them."""


def keep_memory() -> None:
    """Let this process keep the memory that it frees, up to 1 GiB, instead of returning it to the system.

    Every step frees the large arrays of the step before, and memory that comes from the system again has to be cleared
    page by page: that is a sixth of an update of the nitrogen atom (benchmarks/LOG.md). Nothing is done where the C
    library isn't glibc.
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        for setting in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
            library.mallopt(setting, 2**30)


@contextlib.contextmanager
def one_thread_for_blas() -> Iterator[None]:
    """Let linear algebra outside of XLA use one thread while the block runs.

    XLA calls LAPACK in SciPy's OpenBLAS to solve the equations of the natural gradient. Threads of that library wait
    busily for their next task and take the processors from XLA's own: with them, a step of the boron atom takes 1.4
    times as long on two processors (benchmarks/LOG.md).
    """
    import scipy.linalg  # noqa: F401 - loads the library, which can't be limited before

    with threadpool_limits(1, user_api="blas"):
        yield


def threads() -> int:
    """Return the number of threads that XLA computes with in this process."""
    found = [os.environ[name] for name in _NAMES if os.environ.get(name, "").isdecimal()]
    return max(int(found[0]), 1) if found else processors()


def processors() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(len(os.sched_getaffinity(0)), 1)
    return os.cpu_count() or 1
