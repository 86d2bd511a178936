"""Numbers that aren't finite in a whole run: seen while it runs, in its files and in its result, or a clear stop."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import nnqmc
from nnqmc.errors import NumericalError
from nnqmc.io import load_arrays, load_series
from nnqmc.io.checkpoints import list_checkpoints
from nnqmc.job import reevaluate
from nnqmc.job.calculation import report
from nnqmc.job.progress import Reporter
from nnqmc.job.stopping import Stop
from nnqmc.methods import train


class Lines(Reporter):
    """Remembers every line that it was given."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def update(self, done: int, text: Callable[[], str]) -> None:
        self.lines.append(text())


def with_bad_walkers(n_bad: int, after: int = 1, damage: Callable[[], None] = lambda: None) -> Callable:
    """The training loop, with so many walkers that become NaN after a step; files may suffer at the same time."""

    def faulty(step, start, n_steps):
        for done, state, stats in train(step, start, after):
            yield done, state, stats
        damage()
        chains = state.sampler.per_walker
        chains = chains._replace(electrons=chains.electrons.at[:n_bad].set(jnp.nan))
        yield from train(step, state._replace(sampler=state.sampler._replace(per_walker=chains)), n_steps)

    return faulty


def same_numbers(first: Path, second: Path) -> None:
    """The last checkpoint, the series and the evaluation are the same bit by bit."""
    for name in ("checkpoint-0000004.h5", "train.h5", "evaluate.h5"):
        one, two = load_arrays(first / name)[0], load_arrays(second / name)[0]
        assert one.keys() == two.keys()
        assert all(np.array_equal(one[key], two[key], equal_nan=True) for key in one), name


@pytest.mark.slow
@pytest.mark.ci
def test_what_is_left_out_is_seen_while_it_runs_in_the_files_and_in_the_result(tiny: dict, tmp_path: Path) -> None:
    def holed(psi, electrons, system, key):
        return jnp.where(electrons[0, 0] > 0.7, jnp.nan, 0.0)

    seen = Lines()
    result = nnqmc.solve("He", out=tmp_path / "run", hamiltonian=nnqmc.molecular(holed=holed),
                         **(tiny | {"progress": seen}))
    assert any("excluded" in line and "tau" not in line for line in seen.lines), "training"
    assert any("excluded" in line and "tau" in line for line in seen.lines), "evaluation"
    training, evaluation = (load_series(tmp_path / "run" / name)[0]["excluded"] for name in ("train.h5", "evaluate.h5"))
    assert training.mean() > 0.01
    assert result.fractions["excluded"] == pytest.approx(evaluation.mean()) and result.fractions["excluded"] > 0.01
    plain = json.loads((tmp_path / "run" / "result.json").read_text())
    assert plain["excluded"] == result.fractions["excluded"] and plain["trusted"] is False
    text = str(result)
    assert f"not to be trusted: {result.fractions['excluded']:.2%} of the samples had no finite local energy" in text
    assert f"{100 * training.mean():.2g} % of the walkers in training had no finite local energy" in text
    assert text.count("of the samples had no finite") == 1


def test_a_walker_that_breaks_is_replaced_and_counted(
    tiny: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnqmc.job.training.train", with_bad_walkers(1))
    seen = Lines()
    result = nnqmc.solve("He", out=tmp_path / "run", seed=3, **(tiny | {"progress": seen}))
    assert result.steps == 4 and "reseeded 1" in seen.lines[-4]
    assert load_series(tmp_path / "run" / "train.h5")[0]["reseeded"].tolist() == [0, 1 / 32, 0, 0]
    assert "0.78 % of the walkers in training were replaced" in str(result)
    assert result.fractions["reseeded"] == result.fractions["excluded"] == 0.0


@pytest.mark.slow
@pytest.mark.ci
def test_where_every_walker_breaks_the_run_stops_and_goes_on_from_the_last_good_checkpoint(
    finished: Path, tiny: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("nnqmc.job.training.train", with_bad_walkers(32))
        patch.setattr(sys.modules["nnqmc.methods.train"], "_PATIENCE", 2)
        advice = r"`nnqmc evaluate .* measures it.*`nnqmc resume .* same steps; with --walkers N it takes others"
        named = r"up to step 3 .* good checkpoint .* is .*checkpoint-0000001\.h5.*"
        with pytest.raises(NumericalError, match=named + advice):
            nnqmc.solve("He", out=run, seed=3, **tiny)
    assert [path.name for path in list_checkpoints(run)] == ["checkpoint-0000000.h5", "checkpoint-0000001.h5"]
    assert not (run / "result.json").exists()
    led_here = load_series(run / "train.h5")[0]
    assert led_here["step"].tolist() == [1, 2, 3] and led_here["rejected"].tolist() == [0, 1, 1]
    report(run)
    assert (run / "energy.png").exists() and "figures" not in caplog.text
    nnqmc.resume(run, progress=False)
    same_numbers(finished, run)


@pytest.mark.parametrize(("n_torn", "expected"), [
    (1, r"can be read whole\) is .*checkpoint-0000001\.h5"),
    pytest.param(3, r"None of the 3 checkpoints in .* can be used", marks=pytest.mark.slow),
])
def test_the_checkpoint_that_is_named_can_be_read(
    n_torn: int, expected: str, tiny: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"

    def tear() -> None:
        for path in list_checkpoints(run)[-n_torn:]:
            path.write_bytes(path.read_bytes()[:-1000])

    monkeypatch.setattr("nnqmc.job.training.train", with_bad_walkers(32, after=2, damage=tear))
    monkeypatch.setattr(sys.modules["nnqmc.methods.train"], "_PATIENCE", 2)
    with pytest.raises(NumericalError, match=rf"2 training steps in a row up to step 4 .*{expected}"):
        nnqmc.solve("He", out=run, seed=3, **tiny)


@pytest.mark.slow
def test_a_run_that_ends_with_broken_walkers_keeps_the_last_good_checkpoint(
    finished: Path, tiny: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two bad steps are no reason to stop training, but their walkers can't be evaluated."""
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("nnqmc.job.training.train", with_bad_walkers(32, after=2))
        with pytest.raises(NumericalError, match=r"evaluation: no walker .* good checkpoint .*checkpoint-0000002\.h5"):
            nnqmc.solve("He", out=run, seed=3, **tiny)
    assert load_series(run / "train.h5")[0]["rejected"].tolist() == [0, 0, 1, 1]
    nnqmc.resume(run, progress=False)
    same_numbers(finished, run)


@pytest.mark.slow
def test_a_last_step_that_was_rejected_is_kept_so_that_its_evaluation_can_be_repeated(
    tiny: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rejecting(step, start, n_steps):
        for done, state, stats in train(step, start, n_steps):
            yield done, state, stats | {"rejected": float(done == n_steps)}

    run = tmp_path / "run"
    monkeypatch.setattr("nnqmc.job.training.train", rejecting)
    nnqmc.solve("He", out=run, seed=3, **tiny)
    assert list_checkpoints(run)[-1].name == "checkpoint-0000004.h5"
    once = load_arrays(run / "evaluate.h5")[0]
    reevaluate(run, progress=False)
    again = load_arrays(run / "evaluate.h5")[0]
    assert all(np.array_equal(once[name], again[name], equal_nan=True) for name in once)


def test_times_are_never_negative_whatever_the_clock_does(finished: Path, tmp_path: Path) -> None:
    assert Stop(started=time.monotonic() + 1e6).elapsed == 0.0
    run = shutil.copytree(finished, tmp_path / "run")
    (run / "result.json").unlink()
    result = nnqmc.resume(run, progress=False, started=time.monotonic() + 1e6)
    assert all(value >= 0.0 for value in result.seconds.values())


def test_nothing_is_lost_if_the_run_ends_while_the_parts_of_a_step_are_timed(
        tiny: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(step, state):
        raise MemoryError("timing")

    monkeypatch.setattr("nnqmc.job.training.seconds_of_parts", fails)
    with pytest.raises(MemoryError, match="timing"):
        nnqmc.solve("H", out=tmp_path / "run", **(tiny | {"train": tiny["train"] | {"checkpoint_steps": 1000}}))
    steps = tiny["train"]["steps"]
    assert (tmp_path / "run" / f"checkpoint-{steps:07d}.h5").exists()
    assert len(load_series(tmp_path / "run" / "train.h5")[0]["energy"]) == steps
