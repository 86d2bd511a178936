"""An evaluation that is interrupted goes on where it was, and ends with the numbers of one that nothing disturbed."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

import nnqmc
from nnqmc.errors import CheckpointError, InputError, SignatureError
from nnqmc.io import load_arrays, load_series
from nnqmc.io.container import write_container
from nnqmc.job import RunDirectory, reevaluate, report
from nnqmc.job.kept_evaluation import PARTIAL, Keeper
from nnqmc.job.progress import Reporter
from nnqmc.job.stopping import Stop
from nnqmc.methods import EvaluationState


class At(Reporter):
    """Does something at one step of the evaluation, once; remembers what is said."""

    def __init__(self, step: int, act: Callable[[], None]) -> None:
        self.title, self.step, self.act, self.notes = "", step, act, []

    def stage(self, title: str, total: int | None = None) -> None:
        self.title = title

    def update(self, done: int, text: Callable[[], str]) -> None:
        if self.title == "evaluating" and done == self.step:
            self.act()

    def note(self, text: str) -> None:
        self.notes.append(text)


class PowerCut(BaseException):
    """Ends a run without asking it."""


def stop() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


def cut() -> None:
    raise PowerCut


def nothing() -> None:
    """Only listens."""


@pytest.fixture
def trained(finished: Path, tmp_path: Path) -> Path:
    """The finished run before its evaluation."""
    run = shutil.copytree(finished, tmp_path / "run")
    for name in ("result.json", "evaluate.h5"):
        (run / name).unlink()
    return run


@pytest.fixture
def interrupted(trained: Path) -> Path:
    """The same with the evaluation stopped after 10 of 20 steps."""
    with pytest.raises(nnqmc.Interrupted, match=r"by SIGUSR1 during evaluation; `nnqmc resume .*` goes on"):
        nnqmc.resume(trained, progress=At(10, stop))
    return trained


def same(first: Path, second: Path) -> None:
    """Every number of the evaluation and the result."""
    one, two = (load_arrays(path / "evaluate.h5") for path in (first, second))
    assert one[0].keys() == two[0].keys() and one[1] == two[1]
    assert all(np.array_equal(one[0][name], two[0][name], equal_nan=True) for name in one[0])
    plain = [json.loads((path / "result.json").read_text()) for path in (first, second)]
    assert not [key for key in plain[0] if key not in ("seconds", "performance") and plain[0][key] != plain[1][key]]


def test_an_evaluation_that_is_told_to_stop_goes_on_where_it_was(finished: Path, interrupted: Path) -> None:
    assert not (interrupted / "result.json").exists()
    listening = At(20, nothing)
    result = nnqmc.resume(interrupted, progress=listening)
    assert "the evaluation goes on at step 10 of 20" in listening.notes
    same(finished, interrupted)
    assert not (interrupted / PARTIAL).exists()
    assert result.complete and result.seconds["total"] >= result.seconds["evaluate"]


@pytest.mark.slow
@pytest.mark.ci
def test_one_that_is_killed_goes_on_from_the_last_interval(finished: Path, trained: Path) -> None:
    with pytest.raises(PowerCut):
        nnqmc.resume(trained, progress=At(20, cut))
    listening = At(20, nothing)
    nnqmc.resume(trained, progress=listening)
    assert "the evaluation goes on at step 10 of 20" in listening.notes
    same(finished, trained)


@pytest.mark.slow
@pytest.mark.ci
def test_one_that_ends_in_the_block_of_the_signal_is_complete(finished: Path, trained: Path) -> None:
    assert nnqmc.resume(trained, progress=At(20, stop)).complete
    same(finished, trained)


@pytest.mark.slow
def test_one_that_the_time_limit_cuts_is_not_complete_and_goes_on(
    finished: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as clock:
        clock.setattr(Stop, "is_time_over", property(lambda stop: True))
        result = nnqmc.resume(trained, max_time=1000.0, progress=False)
    assert result.evaluation_cut and not result.complete and not result.converged
    assert "note: evaluation was cut by the time limit after 10 steps" in str(result)
    assert len(load_series(trained / "evaluate.h5")[0]["energy"]) == 10
    assert report(trained)[1].evaluation_cut
    listening = At(20, nothing)
    assert nnqmc.resume(trained, progress=listening).complete
    assert "the evaluation goes on at step 10 of 20" in listening.notes
    same(finished, trained)


@pytest.mark.slow
@pytest.mark.ci
def test_an_evaluation_again_goes_on_too_and_another_does_not_take_its_numbers(finished: Path, tmp_path: Path) -> None:
    run, whole = (shutil.copytree(finished, tmp_path / name) for name in ("run", "whole"))
    reevaluate(whole, seed=8, progress=False)
    with pytest.raises(nnqmc.Interrupted, match="the same command goes on"):
        reevaluate(run, seed=8, progress=At(10, stop))
    shutil.copytree(run, tmp_path / "other")
    listening = At(20, nothing)
    reevaluate(run, seed=8, progress=listening)
    assert "the evaluation goes on at step 10 of 20" in listening.notes
    same(whole, run)
    listening = At(20, nothing)
    reevaluate(tmp_path / "other", progress=listening)
    assert not any("goes on" in note for note in listening.notes)
    same(finished, tmp_path / "other")


@pytest.mark.slow
@pytest.mark.ci
def test_a_disk_that_refuses_it_is_no_reason_to_stop(
    finished: Path, trained: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (trained / PARTIAL).mkdir()
    with caplog.at_level(logging.WARNING, "nnqmc"):
        nnqmc.resume(trained, progress=False)
    assert any("The evaluation goes on without being kept" in text for text in caplog.messages)
    same(finished, trained)


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("method", ["save_evaluation", "save_result"])
def test_a_result_that_cannot_be_written_is_said(
    method: str, finished: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise CheckpointError("evaluate.h5 can't be written: No space left on device.")

    with monkeypatch.context() as disk:
        disk.setattr(RunDirectory, method, refused)
        with pytest.raises(CheckpointError, match=r"(?s)No space left on device\..*\nHe   E = -"):
            nnqmc.resume(trained, progress=False)
    listening = At(20, nothing)
    nnqmc.resume(trained, progress=listening)
    assert "the evaluation goes on at step 20 of 20" in listening.notes
    same(finished, trained)


EVALUATION = {"config": "abc", "settings": {"max_steps": 25, "target_error": None}, "observables": {"dipole": "1f"}}
INTERVAL = {"checkpoint_steps": 100, "checkpoint_seconds": 60.0}
BLOCK = {"energy": np.arange(20.0).reshape(10, 2), "term.kinetic": np.ones((10, 2)), "variance": np.ones(10)}
FORM = EvaluationState({"electrons": jnp.zeros((2, 1, 3))}, ({name: rows[:1] for name, rows in BLOCK.items()},))
KEPT = EvaluationState({"electrons": jnp.ones((2, 1, 3))}, (BLOCK, BLOCK), 0.5, 20)
SECRET = b"long enough to be a key"


def keeper(path: Path, evaluation: dict = EVALUATION, secret: bytes | None = None) -> Keeper:
    return Keeper(SimpleNamespace(path=path.parent, secret=secret), INTERVAL, evaluation)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of an evaluation of at most 30 steps, after 20."""
    keeper(tmp_path / PARTIAL).keep(KEPT)
    return tmp_path / PARTIAL


@pytest.mark.parametrize("progress", [KEPT, KEPT._replace(reached=None), KEPT._replace(lost=0.0, blocks=(BLOCK,))])
def test_what_is_kept_is_found_again(progress: EvaluationState, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 103.0, 103.0])
    with monkeypatch.context() as time:
        time.setattr("time.monotonic", lambda: next(clock))
        keeper(path).keep(progress)
    again = keeper(path)
    found = again.found(FORM)
    assert (found.steps, found.lost, found.reached, again.seconds) == (
        progress.steps, progress.lost, progress.reached, 3.0)
    assert found.chains["electrons"].tolist() == KEPT.chains["electrons"].tolist()
    assert all(np.array_equal(found.rows()[name], progress.rows()[name]) for name in BLOCK)
    path.unlink()
    assert keeper(path).found(FORM) is None


@pytest.mark.parametrize("other", [
    {"config": "abd"}, {"settings": {"max_steps": 26, "target_error": None}}, {"config": "abd", "observables": {}},
], ids=str)
def test_what_was_kept_of_another_evaluation_is_begun_anew_and_said(
    other: dict, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert keeper(path, EVALUATION | other).found(FORM) is None
    (text,) = caplog.messages
    assert f"{PARTIAL} is of another evaluation ({', '.join(sorted(other))} differ)" in text and "begins anew" in text


@pytest.mark.parametrize("asked", [{}, None, {"dipole": "1f", "spin": "2a"}, {"dipole": "1e"}, ["spin"]], ids=str)
def test_an_evaluation_of_other_observables_is_refused_with_the_two_ways_out(asked: object, path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(InputError, match="ask for the same ones to go on with it, or remove that file") as caught:
        keeper(path, EVALUATION | {"observables": asked}).found(FORM)
    assert f"{PARTIAL} keeps an evaluation of the observables {{'dipole': '1f'}}, and {asked} are" in str(caught.value)
    assert path.read_bytes() == before and "\n" not in str(caught.value)


@pytest.mark.parametrize("observables", [5, "x", "\x1b[2J" * 1000, [["a"]], {"a" * 10**6: 1}], ids=["", *"abcd"])
def test_whatever_a_stranger_says_is_measured_is_one_message(observables: object, path: Path) -> None:
    rewrite(path, {"evaluation": EVALUATION | {"observables": observables}}, {})
    with pytest.raises(InputError, match="ask for the same ones") as caught:
        keeper(path).found(FORM)
    assert len(str(caught.value)) < 1000


def test_lists_and_tuples_of_observables_are_the_same(path: Path) -> None:
    keeper(path, EVALUATION | {"observables": ("a", "b")}).keep(KEPT)
    assert keeper(path, EVALUATION | {"observables": ["a", "b"]}).found(FORM) is not None


def rewrite(path: Path, attributes: dict, arrays: dict) -> None:
    """The file with other content, as somebody with this code can write it."""
    old_arrays, old_attributes = load_arrays(path)
    write_container(path, old_arrays | {name: np.asarray(array) for name, array in arrays.items()},
                    old_attributes | attributes)


@pytest.mark.parametrize("change", [
    {"steps": 30}, {"steps": 15}, {"steps": 10**9}, {"steps": "x"}, {"steps": None}, {"steps": 20.0}, {"steps": True},
    {"evaluation": 5}, {"evaluation": [1]}, {"evaluation": {"settings": {}}},
], ids=str)
def test_attributes_that_no_evaluation_writes_are_not_believed(
    change: dict, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rewrite(path, change, {})
    assert keeper(path).found(FORM) is None
    assert any(PARTIAL in text and "The evaluation begins anew" in text for text in caplog.messages)


@pytest.mark.parametrize("change", [
    {"reached": -10}, {"reached": 35}, {"reached": 40}, {"reached": 20.0}, {"lost": -1.0}, {"lost": 1e308},
    {"lost": np.float32(0.5)}, {"lost": np.nan}, {"seconds": -1.0}, {"seconds": 1e308}, {"seconds": np.inf},
    {"seconds": [1.0]}, {"more": 1.0},
], ids=str)
def test_numbers_that_no_evaluation_writes_are_not_believed(
    change: dict, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rewrite(path, {}, change)
    assert keeper(path).found(FORM) is None
    assert any(PARTIAL in text and "The evaluation begins anew" in text for text in caplog.messages)


@pytest.mark.parametrize("change", ["cut off", "not finite", "a folder", "other chains", "version before"])
def test_a_damaged_one_is_not_believed(change: str, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    if change == "cut off":
        path.write_bytes(path.read_bytes()[:-100])
    elif change == "version before":
        path.write_bytes(path.read_bytes().replace(b"seal 2,", b"seal 1,", 1))
    elif change == "a folder":
        path.unlink()
        path.mkdir()
    else:
        rows = BLOCK | ({"energy": np.full((10, 2), np.nan)} if change == "not finite" else {})
        chains = {"electrons": jnp.ones((3, 1, 3))} if change == "other chains" else KEPT.chains
        keeper(path).keep(KEPT._replace(chains=chains, blocks=(rows, BLOCK)))
    assert keeper(path).found(FORM) is None
    assert any(PARTIAL in text and "The evaluation begins anew" in text for text in caplog.messages)


def test_one_without_the_right_signature_ends_the_command(path: Path) -> None:
    with pytest.raises(SignatureError, match=f"{PARTIAL} isn't signed"):
        keeper(path, secret=SECRET).found(FORM)
    keeper(path, secret=SECRET).keep(KEPT)
    assert keeper(path, secret=SECRET).found(FORM) is not None
    with pytest.raises(SignatureError, match=f"{PARTIAL} is signed"):
        keeper(path).found(FORM)


def test_it_is_kept_at_the_interval_of_checkpoints_and_less_often_as_it_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(*arguments: object) -> None:
        clock[0] += 2.0

    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    monkeypatch.setattr("nnqmc.job.kept_evaluation.save_tree", slowly)
    kept = keeper(tmp_path / PARTIAL)
    assert [kept.is_due(steps) for steps in (90, 100)] == [False, True]
    kept.keep(KEPT._replace(blocks=(BLOCK,) * 300))
    assert [kept.is_due(steps) for steps in (3100, 3290, 3300)] == [False, False, True]
    clock[0] += 99.0
    assert not kept.is_due(3010), "2 s of writing in 100 s are enough"
    clock[0] += 1.5
    assert kept.is_due(3010)
    assert not Keeper(None, {"checkpoint_steps": 1, "checkpoint_seconds": 0.0}, {}).is_due(1000)
