"""What travels between processes, tried in one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import nnqmc
from nnqmc.errors import InputError, LostProcessError
from nnqmc.job import RunDirectory
from nnqmc.parallel import processes


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """As if there were others: what the first process sends to them."""
    sent: list[np.ndarray] = []

    def send(array: np.ndarray) -> np.ndarray:
        sent.append(array)
        return array.astype(np.uint32)  # as the sum over processes comes back

    monkeypatch.setattr(processes, "are_several", lambda: True)
    monkeypatch.setattr(processes, "multihost_utils", SimpleNamespace(broadcast_one_to_all=send))
    return sent


def test_what_is_long_goes_in_pieces(messages: list[np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_PIECE", 100)
    told = processes.arrays_from_first(lambda: ("a", {"b": np.arange(200)}))
    assert told[0] == "a" and np.array_equal(told[1]["b"], np.arange(200))
    assert max(array.nbytes for array in messages) == 100 and sum(array.nbytes for array in messages) > 1600


def test_a_length_may_be_beyond_the_integers_of_jax() -> None:
    lengths = [0, 2**31 + 5, 2**40]
    assert processes._sizes_of(processes._as_bytes(lengths)) == lengths


@pytest.mark.parametrize("error", [KeyError("x"), MemoryError(), KeyboardInterrupt(), InputError("too few")])
def test_whatever_goes_wrong_on_the_first_process_the_others_are_told(
    error: BaseException, messages: list[np.ndarray]
) -> None:
    def compute() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        processes.from_first(compute)
    assert raised.value is error
    assert f'"{type(error).__name__}"' in b"".join(array.tobytes() for array in messages).decode(errors="replace")


def test_others_end_as_the_first_does_or_say_that_it_has_ended() -> None:
    assert isinstance(processes._as_told("InputError"), InputError) and not str(processes._as_told("InputError"))
    lost = processes._as_told("KeyError")
    assert isinstance(lost, LostProcessError) and "by an error of its own (KeyError)" in str(lost)


def test_an_evaluation_has_the_numbers_that_the_first_process_tells(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(measurement: Callable) -> Callable:
        def measure(*arguments: object) -> tuple:
            chains, row = measurement(*arguments)
            return chains, row | {"energy": row["energy"] + 1.0}

        return measure

    monkeypatch.setattr("nnqmc.job.evaluation.measurement_from_first", told)
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    (run / "result.json").unlink()
    before = RunDirectory.open(finished).load_result()
    assert nnqmc.resume(run, progress=False).energy.value == pytest.approx(before.energy.value + 1.0, abs=1e-4)
