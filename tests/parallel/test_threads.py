"""XLA computes with one thread where two processors are all there is, unless the environment says otherwise."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from nnqmc.parallel import threads
from nnqmc.parallel.threads import choose_threads, processors


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without any number of threads; what a test sets is gone after it."""
    for name in ("PJRT_NPROC", "NPROC"):
        monkeypatch.setenv(name, "")
    yield


@pytest.mark.parametrize(("available", "chosen"), [(1, 1), (2, 1), (3, 3), (16, 16)])
def test_one_thread_where_there_are_two_processors(
    available: int, chosen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "processors", lambda: available)
    choose_threads()
    assert threads.threads() == chosen
    assert os.environ["PJRT_NPROC"] == ("1" if available <= 2 else "")


@pytest.mark.parametrize("name", ["PJRT_NPROC", "NPROC"])
def test_what_the_environment_says_stays(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "2")
    monkeypatch.setattr(threads, "processors", lambda: 2)
    choose_threads()
    assert os.environ[name] == "2" and threads.threads() == 2


def test_processors_are_those_this_process_may_use() -> None:
    assert 1 <= processors() <= (os.cpu_count() or 1)
