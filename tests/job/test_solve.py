"""A whole run: its files, its repetition, and that nothing disturbs the numbers."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import nnqmc
from nnqmc.config import Layer, read_config, resolve
from nnqmc.io import load_arrays, load_series
from nnqmc.job import Result, RunDirectory, report, run
from nnqmc.system import from_dict
from stopping_reporter import StopAt


def same(first: Path, second: Path) -> None:
    """Checkpoint, series and evaluation agree bit by bit."""
    for name in ("checkpoint-0000004.h5", "train.h5", "evaluate.h5"):
        one, two = load_arrays(first / name)[0], load_arrays(second / name)[0]
        assert one.keys() == two.keys()
        different = [key for key in one if not np.array_equal(one[key], two[key], equal_nan=True)]
        assert not different, f"{name}: {different}"


def test_a_run_leaves_all_its_files(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert {"config.toml", "scf.h5", "train.h5", "evaluate.h5", "result.json", "energy.png", "blocking.png",
            "checkpoint-0000004.h5"} <= names
    assert len([name for name in names if name.startswith("checkpoint-")]) == 3
    assert not [name for name in names if "tmp" in name]


def test_the_series_has_one_row_per_step(finished: Path) -> None:
    series, attributes = load_series(finished / "train.h5")
    assert series["step"].tolist() == [1, 2, 3, 4]
    assert {"energy", "variance", "acceptance", "clipped", "kinetic"} <= set(series)
    assert attributes["seed"] == 3


def test_the_result_is_for_programs_too(finished: Path) -> None:
    plain = json.loads((finished / "result.json").read_text())
    for name in ("system", "energy", "error", "unit", "reference", "difference", "variance", "tau", "r_hat",
                 "n_samples", "acceptance", "observables", "converged", "versions", "seed"):
        assert name in plain
    assert {"scf", "pretrain", "compile", "train", "evaluate", "total"} <= set(plain["seconds"])
    assert plain["energy"] == pytest.approx(load_series(finished / "evaluate.h5")[0]["energy"].mean(), rel=1e-6)
    assert Result.from_dict(plain).steps == 4


def test_a_signal_stops_with_a_checkpoint_and_resume_gives_the_undisturbed_run(
    finished: Path, tiny: dict, tmp_path: Path
) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(nnqmc.Interrupted, match=r"SIGINT at step 2 of 4; `nnqmc resume"):
        nnqmc.solve("He", out=tmp_path / "run", seed=3, **(tiny | {"progress": StopAt("training", 2)}))
    assert signal.getsignal(signal.SIGINT) is before
    assert not (tmp_path / "run" / "result.json").exists()
    result = nnqmc.resume(tmp_path / "run", progress=False)
    same(finished, tmp_path / "run")
    assert result.hartree_fock == float(load_arrays(tmp_path / "run" / "scf.h5")[0]["energy"])
    assert result.hartree_fock == report(finished)[1].hartree_fock == pytest.approx(-2.855, abs=1e-3)
    assert "above the Hartree-Fock energy -2.855160 Ha" in str(result) and not result.trusted
    assert "only 4 training steps are recorded, too few to tell" in str(result) and not result.converged


@pytest.fixture
def signals_not_ignored() -> Iterator[None]:
    """Also where the tests themselves were started by nohup."""
    before = {each: signal.signal(each, signal.SIG_DFL) for each in (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.mark.parametrize("signals", [
    pytest.param((signal.SIGUSR1,), marks=pytest.mark.slow), pytest.param((signal.SIGTERM,), marks=pytest.mark.slow),
    (signal.SIGUSR1, signal.SIGUSR1, signal.SIGTERM), (signal.SIGTERM, signal.SIGUSR1), (signal.SIGHUP, signal.SIGHUP),
], ids=lambda signals: "-".join(each.name for each in signals))
def test_a_batch_system_s_signals_stop_with_a_checkpoint_however_often_they_come(
    signals: tuple, tiny: dict, tmp_path: Path, signals_not_ignored: None
) -> None:
    used = (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
    before = [signal.getsignal(each) for each in used]
    stop = StopAt("training", 2, *signals)
    with pytest.raises(nnqmc.Interrupted, match=rf"stopped by {signals[0].name} at step 2 of 4; `nnqmc resume"):
        nnqmc.solve("He", out=tmp_path / "run", seed=3, **(tiny | {"progress": stop}))
    assert [signal.getsignal(each) for each in used] == before
    assert (tmp_path / "run" / "checkpoint-0000002.h5").exists()
    assert len([note for note in stop.notes if "stopping after this step" in note]) == 1


@pytest.mark.slow
def test_a_signal_while_walkers_are_moved_stops_there_and_resume_gives_the_undisturbed_run(
    finished: Path, tiny: dict, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with pytest.raises(nnqmc.Interrupted, match=r"SIGINT while walkers were moved; `nnqmc resume"):
        nnqmc.solve("He", out=run, seed=3, **(tiny | {"progress": StopAt("moving the walkers", 2)}))
    assert not list(run.glob("checkpoint-*"))
    assert nnqmc.resume(run, progress=False).steps == 4
    same(finished, run)


def test_ctrl_c_isn_t_swallowed_by_a_scan_that_goes_on_after_errors(tiny: dict) -> None:
    """Nothing has been computed yet, so that there is no result."""
    begun = []
    with pytest.raises(KeyboardInterrupt, match=r"SIGINT during pretraining; nothing was kept: pass out=") as stop:
        for name in ("He", "H"):
            begun.append(name)
            try:
                nnqmc.solve(name, seed=3, **(tiny | {"progress": StopAt("pretraining", 2)}))
            except Exception:
                continue
    assert begun == ["He"] and stop.type is nnqmc.Interrupted and stop.value.result is None


def test_a_signal_in_training_leaves_the_last_energies_marked_as_cut(finished: Path, tiny: dict) -> None:
    with pytest.raises(nnqmc.Interrupted, match=r"SIGINT at step 3 of 4; error\.result has what") as stop:
        nnqmc.solve("He", seed=3, **(tiny | {"progress": StopAt("training", 3)}))
    result, energies = stop.value.result, load_series(finished / "train.h5")[0]["energy"][1:3]
    assert result.energy.value == pytest.approx(energies.mean(), rel=1e-12)
    assert (result.steps, result.planned_steps, result.complete, result.trusted) == (3, 4, False, False)
    assert "training was cut and not evaluated: this is the mean of its last 2 steps" in str(result)
    assert "training was cut at step 3 of 4 by SIGINT" in str(result)
    assert Result.from_dict(json.loads(json.dumps(result.to_dict()))).caveats == result.caveats


def test_a_signal_in_evaluation_leaves_what_was_measured(finished: Path, tiny: dict) -> None:
    with pytest.raises(nnqmc.Interrupted, match=r"SIGINT during evaluation; error\.result has what") as stop:
        nnqmc.solve("He", seed=3, **(tiny | {"progress": StopAt("evaluating", 10)}))
    result, energies = stop.value.result, load_series(finished / "evaluate.h5")[0]["energy"][:10]
    assert result.energy.value == pytest.approx(energies.mean(), rel=1e-12)
    assert result.evaluation_cut and not result.complete and "kinetic" in result.terms
    assert "evaluation was cut by SIGINT after 10 steps" in str(result)


@pytest.mark.slow
@pytest.mark.ci
def test_half_the_steps_and_then_the_rest_is_the_whole(finished: Path, tmp_path: Path) -> None:
    values = read_config(finished / "config.toml")
    values["train"]["steps"] = 2
    config = resolve(from_dict(values["system"]), [Layer("file", values)])
    assert run(config, tmp_path / "run", progress=False).steps == 2
    result = nnqmc.resume(tmp_path / "run", steps=4, progress=False)
    assert result.steps == result.planned_steps == 4
    assert RunDirectory.open(tmp_path / "run").config["train"]["steps"] == 4
    same(finished, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.ci
def test_a_run_lost_before_its_first_checkpoint_starts_again_without_another_scf(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("config.toml", "scf.h5"):
        shutil.copy(finished / name, run / name)
    monkeypatch.setattr("nnqmc.job.start.hartree_fock", None)
    nnqmc.resume(run, progress=False)
    same(finished, run)


def test_a_result_of_other_settings_is_not_passed_off_as_that_of_config_toml(finished: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(finished, tmp_path / "he")
    config = (copy / "config.toml").read_text()
    (copy / "config.toml").write_text(config.replace("cusp = true", "cusp = false"))
    with pytest.raises(nnqmc.CheckpointError, match="computed with other settings"):
        nnqmc.resume(copy, progress=False)


def test_a_complete_run_is_not_computed_again(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnqmc.job.calculation._calculate", None)
    assert nnqmc.resume(finished, progress=False).steps == 4


@pytest.mark.slow
@pytest.mark.ci
def test_a_limit_of_time_cuts_training_and_says_so(tiny: dict, tmp_path: Path) -> None:
    result = nnqmc.solve("He", out=tmp_path / "run", seed=3, max_time=0.01, **tiny)
    assert result.steps == 0 and not result.converged
    assert "training was cut at step 0 of 4 by the time limit" in str(result)


@pytest.mark.slow
def test_training_that_stops_too_early_is_said_to_be_falling() -> None:
    """The triplet of helium, whose limit is -2.17523 Ha, has not converged after 250 steps of the standard preset."""
    result = nnqmc.solve("He", spin=2, steps=250, progress=False)
    assert result.energy.value > -2.17523 + 3.0 * result.energy.error
    assert result.trusted and result.trend.is_falling() and not result.converged
    assert "the energy was still falling when training ended, by" in str(result)


@pytest.mark.slow
def test_own_objects_work_and_are_needed_again(tiny: dict, tmp_path: Path) -> None:
    from nnqmc.hamiltonian import harmonic_trap, molecular

    trapped = molecular(trap=harmonic_trap(0.5))

    def squared_radius(psi, electrons, system, key):
        return (electrons**2).sum()

    result = nnqmc.solve("He", out=tmp_path / "run", hamiltonian=trapped, observables={"r2": squared_radius},
                         **(tiny | {"optimizer": "adam"}))
    assert result.reference is None and result.hartree_fock is None and "trap" in result.terms
    # 1/2 omega^2 r^2 is the trap: the two averages of the same walk agree
    assert result.terms["trap"].value == pytest.approx(0.125 * result.observables["r2"].value, rel=1e-5)
    with pytest.raises(nnqmc.InputError, match=r"hamiltonian.*nnqmc\.resume\(directory, hamiltonian="):
        nnqmc.resume(tmp_path / "run", steps=5, progress=False)


def test_a_run_goes_on_with_what_it_was_started_with(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    with pytest.raises(nnqmc.InputError, match=r"not started with an object of its own as hamiltonian"):
        nnqmc.resume(tmp_path / "run", steps=5, progress=False, hamiltonian=nnqmc.molecular())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"wakers": 3}, r"did you mean 'walkers'"),
        ({"train": 5}, r"give a dict"),
        ({"train": {"stepps": 5}}, r"train\.steps"),
        ({"preset": "quik"}, r"quick"),
        ({"optimizer": "sprig"}, r"spring"),
        ({"walkers": 0}, r"from 2"),
        ({"wavefunction": {"layers": 0}}, r"wavefunction\.layers = 0: it has to be a whole number from 1"),
        ({"walkers": 10**6}, r"need at least .* of memory"),
        ({"charge": 2}, r"without electrons"),
        ({"hamiltonian": {"trap": nnqmc.molecular()}}, r"give a local operator"),
        ({"observables": [len]}, r"a dict of local operators"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_written(settings: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(nnqmc.InputError, match=message):
        nnqmc.solve("He", out=tmp_path / "run", progress=False, **settings)
    assert not (tmp_path / "run").exists()
