"""What travels between processes, tried in one."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nnqmc
from nnqmc.errors import InputError, LostProcessError
from nnqmc.job import RunDirectory
from nnqmc.methods import to_host
from nnqmc.parallel import processes


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """As if there were others: what the first process sends to them."""
    sent: list[np.ndarray] = []

    def send(array: np.ndarray) -> np.ndarray:
        sent.append(array)
        return array.astype(np.uint32)  # as the sum over processes comes back

    monkeypatch.setattr(processes, "are_several", lambda: True)
    alone = SimpleNamespace(broadcast_one_to_all=send, process_allgather=lambda numbers: numbers[None])
    monkeypatch.setattr(processes, "multihost_utils", alone)
    return sent


def test_what_is_long_goes_in_pieces(messages: list[np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_PIECE", 100)
    told = processes.from_first(lambda: {"a": "b", "c": np.arange(200)})
    assert told["a"] == "b" and np.array_equal(told["c"], np.arange(200))
    assert max(array.nbytes for array in messages) == 100 and sum(array.nbytes for array in messages) > 1600


@pytest.mark.parametrize("value", [
    None, 1, -0.1, float("inf"), True, "x\n", [], [[]], {}, {"a": {}, "b": [None, [1, "list"], {"c": ["list"]}]},
], ids=repr)
def test_plain_values_arrive_as_they_are(value: object, messages: list[np.ndarray]) -> None:
    assert processes.from_first(lambda: value) == value
    assert messages


def test_arrays_arrive_bit_for_bit_wherever_they_stand(messages: list[np.ndarray]) -> None:
    sent = {"b": [np.arange(3, dtype=np.int32), {"x": jnp.asarray([np.nan, -0.0])}],
            "a": (np.float32(0.1), np.zeros((0, 3))), "none": [],
            "truth": np.array([True, False]), "turned": np.arange(6.0).reshape(2, 3).T}
    told = processes.from_first(lambda: sent)
    assert list(told) == list(sent) and isinstance(told["a"], list) and told["none"] == []
    for one, two in zip(map(np.asarray, jax.tree.leaves(sent)), jax.tree.leaves(told), strict=True):
        assert (one.dtype, one.shape, one.tobytes()) == (two.dtype, two.shape, two.tobytes())


def test_objects_do_not_travel(messages: list[np.ndarray]) -> None:
    for value in (np.array([{}]), object()):
        with pytest.raises((TypeError, ValueError)):
            processes.from_first(lambda value=value: {"value": value})


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


def test_others_end_as_the_first_does_or_say_that_it_has_ended(
    messages: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the first process sent is played to another."""
    def failing() -> None:
        raise error

    for error, words in ((InputError("too few"), "^$"), (KeyError("x"), r"by an error of its own \(KeyError\)")):
        messages.clear()
        with pytest.raises(type(error)):
            processes.from_first(failing)
        sent = iter([array.copy() for array in messages])
        kind = InputError if isinstance(error, InputError) else LostProcessError
        with monkeypatch.context() as other, pytest.raises(kind, match=words):
            other.setattr(processes, "is_first", lambda: False)
            other.setattr(processes.multihost_utils, "broadcast_one_to_all", lambda array, sent=sent: next(sent))
            processes.from_first(failing)


@pytest.mark.slow
@pytest.mark.ci
def test_a_run_that_is_told_to_others_is_the_same(
    finished: Path, tmp_path: Path, messages: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that the first process reads and writes goes through messages, and comes back the same."""
    for module in ("directory", "kept_evaluation"):
        monkeypatch.setattr(f"nnqmc.job.{module}.gathered", lambda tree: tree)
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    (run / "result.json").unlink()
    before, again = RunDirectory.open(finished).load_result(), nnqmc.resume(run, progress=False)
    assert again.energy == before.energy and RunDirectory.open(run).load_result().energy == before.energy
    one, two = (RunDirectory.open(path).load_mean_field() for path in (finished, run))
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True))
    assert sum(array.nbytes for array in messages) > 10_000


def test_an_evaluation_has_the_numbers_that_the_first_process_tells(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(rows: list[dict]) -> dict:
        numbers = to_host(rows)
        return numbers | {"energy": numbers["energy"] + 1.0} if "energy" in numbers else numbers

    monkeypatch.setattr("nnqmc.job.evaluation.rows_of_first", told)
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    (run / "result.json").unlink()
    before = RunDirectory.open(finished).load_result()
    assert nnqmc.resume(run, progress=False).energy.value == pytest.approx(before.energy.value + 1.0, abs=1e-4)
