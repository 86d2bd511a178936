"""What each command prints and writes."""

from __future__ import annotations

import io
import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nnqmc import catalog
from nnqmc.io import load_series
from nnqmc.job.stopping import Stop


def test_run_prints_the_result_on_stdout_and_progress_on_stderr(
    finished: Path, nnqmc_says: Callable, tmp_path: Path
) -> None:
    """Also: a run's config.toml repeats it exactly, whatever its directory is called."""
    outcome = nnqmc_says("run", "--config", str(finished / "config.toml"))
    assert outcome.code == 0
    assert outcome.out.startswith("He   E = ") and "reference -2.903724377" in outcome.out
    for words in ("2 electrons (1 up, 1 down)", "Hartree-Fock energy -2.855160 Ha", "compiling", "4/4"):
        assert words in outcome.err
    first, second = (load_series(path / "train.h5")[0] for path in (finished, tmp_path / "runs" / "He"))
    assert np.array_equal(first["energy"], second["energy"])
    again = nnqmc_says("run", "--config", str(finished / "config.toml"))
    assert again.code == 2 and "holds this run already: `nnqmc resume runs/He`" in again.err
    other = nnqmc_says("run", "He")
    assert other.code == 2 and "holds another run" in other.err


def test_resume_of_a_complete_run_says_so(finished: Path, nnqmc_says: Callable) -> None:
    outcome = nnqmc_says("resume", str(finished))
    assert outcome.code == 0 and "is complete: 4 training steps" in outcome.err and outcome.out.startswith("He   E = ")


def test_a_time_limit_that_cuts_training_has_its_own_exit_code(
    nnqmc_says: Callable, tiny_words: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock is replaced: time is over at the third look. What resume then does is the rest."""
    looks = itertools.count(1)
    with monkeypatch.context() as clock:
        clock.setattr(Stop, "is_training_time_over", property(lambda stop: next(looks) > 2))
        cut = nnqmc_says("run", "He", "--out", "run", "--max-time", "1000", *tiny_words)
        again = nnqmc_says("resume", "run", "--max-time", "1000")
    assert cut.code == again.code == 3
    assert "training was cut at step 2 of 4" in cut.out and "by the time limit; `nnqmc resume run` goes on" in cut.err
    done = nnqmc_says("resume", "run")
    assert done.code == 0 and "cut" not in done.out
    assert nnqmc_says("resume", "run").code == 0


def test_a_time_limit_that_cuts_the_evaluation_has_the_same_exit_code(
    finished: Path, nnqmc_says: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    (run / "result.json").unlink()
    with monkeypatch.context() as clock:
        clock.setattr(Stop, "is_time_over", property(lambda stop: True))
        cut = nnqmc_says("resume", "run", "--max-time", "1000")
    assert cut.code == 3 and "cut by the time limit after 10 steps" in cut.out
    assert "stopped by the time limit; `nnqmc resume run` goes on" in cut.err
    done = nnqmc_says("resume", "run")
    assert done.code == 0 and "the evaluation goes on at step 10 of 20" in done.err
    energies = [json.loads((path / "result.json").read_text())["energy"] for path in (run, finished)]
    assert energies[0] == energies[1]


def test_a_damaged_run_fails_with_a_message(finished: Path, nnqmc_says: Callable, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    for path in (tmp_path / "run").glob("checkpoint-*.h5"):
        path.write_bytes(path.read_bytes()[:1000])
    outcome = nnqmc_says("resume", "run")
    assert outcome.code == 1 and "nnqmc: error: None of the 3 checkpoints" in outcome.err


def test_evaluate_with_another_seed_gives_another_walk(finished: Path, nnqmc_says: Callable, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    before = json.loads((tmp_path / "run" / "result.json").read_text())
    outcome = nnqmc_says("evaluate", "run", "--seed", "5", "--max-steps", "30", "--quiet")
    after = json.loads((tmp_path / "run" / "result.json").read_text())
    assert outcome.code == 0 and outcome.err == ""
    assert after["energy"] != before["energy"] and after["n_samples"] > before["n_samples"]
    assert after["steps"] == before["steps"]
    assert nnqmc_says("resume", "run", "--quiet").code == 0
    assert json.loads((tmp_path / "run" / "result.json").read_text()) == after


def test_report_prints_the_summary_and_draws_the_figures(finished: Path, nnqmc_says: Callable, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    for name in ("energy.png", "blocking.png"):
        (tmp_path / "run" / name).unlink()
    outcome = nnqmc_says("report", "run")
    assert outcome.code == 0
    for words in ("He   E = ", "error bar", "R-hat", "kinetic", "4 of 4", "stuck", "largest block"):
        assert words in outcome.out
    assert (tmp_path / "run" / "energy.png").stat().st_size > 1000
    assert (tmp_path / "run" / "blocking.png").stat().st_size > 1000


def test_report_of_an_unfinished_run_says_how_to_go_on(finished: Path, nnqmc_says: Callable, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    outcome = nnqmc_says("report", "run")
    assert outcome.code == 0 and "no result yet: newest checkpoint checkpoint-0000004.h5" in outcome.out


def test_list_shows_names_aliases_and_references(nnqmc_says: Callable) -> None:
    outcome = nnqmc_says("list")
    assert outcome.code == 0 and outcome.err == ""
    water = next(line for line in outcome.out.splitlines() if line.startswith("H2O "))
    assert "water" in water and "-76.4387" in water and "10" in water and "best-estimate" in water


def test_list_parts_shows_every_part_with_a_sentence_and_its_kind_s_default(nnqmc_says: Callable) -> None:
    outcome = nnqmc_says("list", "parts")
    assert outcome.code == 0 and outcome.err == ""
    for kind, entry in catalog.KINDS.items():
        for name in entry.makers:
            shown = f"{name} (default)" if name == entry.default else name
            row = next(line for line in outcome.out.splitlines() if line.split()[:2] == [kind, name])
            assert shown in row and row.endswith(catalog.summary(catalog.find(kind, name)))


@pytest.mark.parametrize("kind", catalog.CHOSEN)
def test_every_kind_of_part_has_a_word(kind: str, nnqmc_says: Callable) -> None:
    outcome = nnqmc_says("run", "He", f"--{kind}", "x")
    assert outcome.code == 2 and f"unknown {kind} 'x'" in outcome.err
    assert all(name in outcome.err for name in catalog.KINDS[kind].makers)


def test_evaluate_measures_the_observables_that_are_asked_for(
    finished: Path, nnqmc_says: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spread() -> Callable:
        """Make an observable: the mean square of all coordinates."""
        return lambda psi, electrons, system, key: (electrons**2).mean()

    known = catalog.KINDS["observable"]
    observables = known._replace(makers={**known.makers, "spread": lambda: spread})
    monkeypatch.setattr(catalog, "KINDS", {**catalog.KINDS, "observable": observables})
    shutil.copytree(finished, tmp_path / "run")
    refused = nnqmc_says("evaluate", "run", "--observe", "spred")
    assert refused.code == 2 and "unknown observable 'spred': did you mean 'spread'" in refused.err
    assert nnqmc_says("evaluate", "run", "--observe", "spread", "--quiet").code == 0
    found = json.loads((tmp_path / "run" / "result.json").read_text())["observables"]
    assert found.keys() == {"spread", "spin_squared", "cusps", "virial"}


@pytest.mark.slow
def test_the_dipole_is_measured_reported_and_kept(
    finished: Path, nnqmc_says: Callable, tiny_words: tuple[str, ...], tmp_path: Path
) -> None:
    for words in (("run", "LiH"), ("evaluate", str(finished))):
        refused = nnqmc_says(*words, "--observe", "dipol")
        assert refused.code == 2 and "unknown observable 'dipol': did you mean 'dipole'" in refused.err
    outcome = nnqmc_says("run", "LiH", "--out", "lih", "--observe", "dipole", "--quiet", *tiny_words)
    assert outcome.code == 0 and "\n  dipole   (" in outcome.out and "not to be trusted: dipole:" in outcome.out
    shutil.copytree(finished, tmp_path / "he")
    assert nnqmc_says("evaluate", "he", "--observe", "dipole", "--quiet").code == 0
    for run in ("lih", "he"):
        found = json.loads((tmp_path / run / "result.json").read_text())["observables"]["dipole"]
        assert np.shape(found["value"]) == np.shape(found["error"]) == (3,) and found["unit"] == "debye"
        assert isinstance(found["caveats"], list) and found["notes"] == []
        length = found["parts"]["length"]
        assert 0.0 <= length["value"] < np.linalg.norm(found["value"]) and length["error"] > 0.0
        (line,) = (line for line in nnqmc_says("report", run).out.splitlines() if line.split()[:1] == ["dipole"])
        assert "debye" in line and "length" in line


def test_info_shows_geometry_and_settings_even_if_nothing_can_be_estimated(
    nnqmc_says: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise ValueError("no idea")

    monkeypatch.setattr("nnqmc.job.build.forecast_run", fail)
    outcome = nnqmc_says("info", "water", "--preset", "ferminet")
    assert outcome.code == 0 and outcome.err == ""
    for words in ("10 (5 up, 5 down)", "-76.4387", "wavefunction.hidden_one", "256", "train.walkers",
                  "ValueError: no idea"):
        assert words in outcome.out


def test_info_says_what_a_run_would_take(nnqmc_says: Callable) -> None:
    outcome = nnqmc_says("info", "H", "--preset", "quick")
    assert outcome.code == 0 and outcome.err == ""
    shown = outcome.out.partition("estimate for this machine")[2]
    for words in ("time  ", "compile", "evaluate", "GiB", "GFLOP", "error bar", "mHa"):
        assert words in shown


@pytest.mark.slow
@pytest.mark.ci
def test_a_run_says_at_its_start_what_it_will_take_and_afterwards_how_fast_it_was(
    nnqmc_says: Callable, tiny_words: tuple[str, ...]
) -> None:
    outcome = nnqmc_says("run", "He", *tiny_words)
    assert outcome.code == 0
    (line,) = (line for line in outcome.err.splitlines() if "estimate: " in line)
    assert "on this machine" in line and "GiB" in line and "mHa" in line
    assert "walker sweeps/s" in outcome.err and "of the matrix peak" in outcome.err
    found = json.loads((Path("runs") / "He" / "result.json").read_text())["performance"]
    assert found.keys() == {"walker_sweeps_per_second", "flops_per_second", "walk_flops_per_second",
                            "update_flops_per_second", "matrix_peak", "peak_memory", "estimated_seconds",
                            "estimated_memory", "estimated_error"}
    assert all(value > 0.0 for value in found.values())
    outcome = nnqmc_says("report", "runs/He")
    assert "walker sweeps/s" in outcome.out and "sampling and local energies" in outcome.out


@pytest.mark.slow
@pytest.mark.ci
def test_evaluate_with_more_walkers(finished: Path, nnqmc_says: Callable, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    assert nnqmc_says("evaluate", "run", "--walkers", "48").code == 0
    assert load_series(tmp_path / "run" / "evaluate.h5")[0]["energy"].shape == (20, 48)


FRAMES = "2\n\nHe 0 0 0\nH 0 0 0.7743\n2\n1 1\nHe 0 0 0\nH 0 0 0.8\n"


def test_atoms_come_from_standard_input_and_one_of_several_frames_is_chosen(
    nnqmc_says: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnqmc.job.build.forecast_run", lambda *arguments: None)
    (tmp_path / "walk.xyz").write_text(FRAMES)
    for system in ("-", "walk.xyz"):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(FRAMES.encode())))
        outcome = nnqmc_says("info", system, "--frame", "2")
        assert outcome.code == 0 and "charge             +1" in outcome.out and "1.511781" in outcome.out
        assert "charge 1 and 2S = 0 taken from" in outcome.err and "coordinates read as angstrom" in outcome.err
    outcome = nnqmc_says("info", "walk.xyz")
    assert outcome.code == 2 and "walk.xyz holds 2 frames; pass frame=N" in outcome.err and "--frame N" in outcome.err
    monkeypatch.setattr("sys.stdin", io.StringIO("He 0 0 0; H 0 0 1.4632"))
    outcome = nnqmc_says("info", "-", "--unit", "bohr", "--charge", "1")
    assert outcome.code == 0 and outcome.out.startswith("HeH+")


@pytest.mark.parametrize("stdin", [None, io.StringIO(""), io.BytesIO(b"\0")])
def test_standard_input_without_atoms_is_bad_input(
    nnqmc_says: Callable, monkeypatch: pytest.MonkeyPatch, stdin: object
) -> None:
    monkeypatch.setattr("sys.stdin", stdin)
    outcome = nnqmc_says("run", "-")
    assert outcome.code == 2 and outcome.err.startswith("nnqmc: error: ")


def test_a_frame_goes_with_a_file(nnqmc_says: Callable, finished: Path) -> None:
    outcome = nnqmc_says("run", "--config", str(finished / "config.toml"), "--frame", "2")
    assert outcome.code == 2 and "--unit and --frame go with SYSTEM" in outcome.err
    assert "has one geometry; leave frame out" in nnqmc_says("info", "LiH", "--frame", "1").err
