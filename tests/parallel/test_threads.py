"""XLA computes with all processors unless the environment says otherwise, and freed memory stays with the process."""

from __future__ import annotations

import os
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from threadpoolctl import threadpool_info

from nnqmc.parallel import chunking, over_walkers, threads
from nnqmc.parallel.threads import keep_memory, one_thread_for_blas, processors


@pytest.mark.parametrize(("environment", "chosen"), [
    ({}, 3), ({"PJRT_NPROC": "2"}, 2), ({"NPROC": "5"}, 5), ({"PJRT_NPROC": "1", "NPROC": "5"}, 1),
    ({"PJRT_NPROC": "many"}, 3), ({"PJRT_NPROC": "0"}, 1)])
def test_threads_are_those_of_the_environment_or_one_for_each_processor(
    environment: dict[str, str], chosen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PJRT_NPROC", "NPROC"):
        monkeypatch.setenv(name, environment.get(name, ""))
    monkeypatch.setattr(threads, "processors", lambda: 3)
    assert threads.threads() == chosen


def test_processors_are_those_this_process_may_use() -> None:
    assert 1 <= processors() <= (os.cpu_count() or 1)


def test_several_threads_take_larger_chunks_and_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, found = [], []
    in_chunks = chunking.in_chunks

    def seen(*arguments: object) -> object:
        traced, size = in_chunks(*arguments)
        sizes.append(size)
        return traced, size

    monkeypatch.setattr("nnqmc.parallel.walkers.in_chunks", seen)
    population = jnp.asarray(np.random.default_rng(0).normal(size=(1024, 40, 40)), jnp.float32)
    for number in (1, 2):
        monkeypatch.setattr(chunking, "threads", lambda number=number: number)
        found.append(over_walkers(lambda walker: jnp.sum(walker @ walker.T @ walker))(population))
    assert 4 <= sizes[0] < sizes[1] <= 512
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4, atol=1e-3)


def test_lapack_has_one_thread_while_a_run_computes() -> None:
    def numbers() -> dict[str, int]:
        return {found["filepath"]: found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"}

    with one_thread_for_blas():
        if not any("scipy" in path for path in numbers()):
            pytest.skip("SciPy has a linear algebra here whose threads can't be counted")
        assert set(numbers().values()) == {1}
        jnp.linalg.slogdet(jnp.eye(3) + jnp.ones((4, 3, 3)))
        assert set(numbers().values()) == {1}  # nothing that is loaded later has more


@pytest.mark.skipif(not hasattr(os, "confstr") or "CS_GNU_LIBC_VERSION" not in os.confstr_names
                    or not sys.platform.startswith("linux"), reason="the setting belongs to glibc")
def test_freed_memory_stays_with_the_process() -> None:
    keep_memory()
    faults, size = [], 2**26
    for _ in range(3):
        before = _page_faults()
        bytes([1]) * size  # 64 MiB, freed at once; NumPy would ask for huge pages
        faults.append(_page_faults() - before)
    assert faults[2] < 100  # the system would give 16,384 new pages each time


def _page_faults() -> int:
    """Return the number of pages that this process was given so far."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
