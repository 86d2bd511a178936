"""The campaign scripts: what they count of a few inputs and trials, and that their verdicts can be bad."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def scripts() -> Iterator[SimpleNamespace]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        names = ("error_bars", "error_bars_chains", "error_bars_real", "overhead")
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})


@pytest.fixture
def error_bars(scripts: SimpleNamespace) -> ModuleType:
    return scripts.error_bars


# --- chains whose answer is known -------------------------------------------------------------------------------------


@pytest.mark.parametrize("tau", [1.0, 5.0])
def test_chains_have_the_mean_and_the_autocorrelation_that_they_say(scripts: SimpleNamespace, tau: float) -> None:
    for kind in scripts.error_bars_chains.CHAINS:
        case = scripts.error_bars_chains.Case(kind, tau, 400, 300)
        series = scripts.error_bars_chains.draw(np.random.default_rng(0), case)
        assert series.shape == (400, 300)
        assert abs(series.mean()) < 5.0 * series.std() * np.sqrt(tau / series.size)
        if kind != "t3":  # stretching shortens its memory a little
            clipped = np.clip(series, *np.quantile(series, (0.01, 0.99)))
            if kind == "normal":
                clipped = series
            found = np.corrcoef(clipped[:-1].ravel(), clipped[1:].ravel())[0, 1]
            assert abs(found - (tau - 1.0) / (tau + 1.0)) < 0.02


def test_heavy_chains_have_the_tails_of_local_energies(scripts: SimpleNamespace) -> None:
    from nnqmc.statistics import tail_index

    for kind in ("t3", "t3 renewed", "peak and tail", "one-sided"):
        case = scripts.error_bars_chains.Case(kind, 1.0, 1000, 400)
        index, error = tail_index(scripts.error_bars_chains.draw(np.random.default_rng(0), case), 2e-4)
        assert abs(index - 3.0) < 4.0 * error, kind


# --- what is counted --------------------------------------------------------------------------------------------------


def test_a_study_counts_and_finished_cases_are_not_computed_again(
    error_bars: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--trials", "40", "--only", "normal tau=3 steps=200", "walkers=16", "--out", str(tmp_path)]
    assert error_bars.main(words) == 0
    row = json.loads((tmp_path / "synthetic.json").read_text())["rows"][0]
    assert row["trials"] == 40 and row["n_trusted"] > 30 and 0.4 < row["covered_trusted"] < 0.95
    assert 0.7 < row["ratio"] < 1.4 and 2.5 < row["tau_found"] < 3.5
    monkeypatch.setattr(error_bars, "measure", lambda *arguments: pytest.fail("computed again"))
    assert error_bars.main(words) == 0
    assert "| normal | 3 | 200 | 16 |" in capsys.readouterr().out


def test_error_bars_that_are_too_small_are_off(error_bars: ModuleType, scripts: SimpleNamespace) -> None:
    from dataclasses import replace

    from nnqmc.statistics import estimate

    case = scripts.error_bars_chains.Case("normal", 1.0, 200, 16)
    good = error_bars.measure(case, 150)
    half = error_bars.measure(case, 150, lambda s: (lambda e: replace(e, error=0.5 * e.error))(estimate(s)))
    blind = error_bars.measure(case, 20, lambda s: replace(estimate(s), caveats=("no",)))
    assert error_bars.holds(good) and error_bars.verdict(half) == "OFF"
    assert half["ratio"] == pytest.approx(0.5 * good["ratio"])
    assert blind["n_trusted"] == 0 and error_bars.verdict(blind) == "never trusted"


def test_coverage_around_the_mean_of_all_allows_for_each_being_part_of_it(scripts: SimpleNamespace) -> None:
    rng = np.random.default_rng(0)
    found = [{"value": value, "error": 1.0, "tau": 1.0, "steps": 10, "trusted": True}
             for value in rng.standard_normal(3000)]
    many = [scripts.error_bars_real.coverage(found[first : first + 3]) for first in range(0, 3000, 3)]
    assert np.mean([each["covered_all"] for each in many]) == pytest.approx(0.683, abs=0.03)
    assert np.mean([each["chi2"] for each in many]) == pytest.approx(1.0, abs=0.07)


@pytest.mark.slow
@pytest.mark.ci
def test_shares_of_a_step_are_measured(scripts: SimpleNamespace, tmp_path: Path) -> None:
    scripts.overhead.main(["--system", "H", "--repeats", "2", "--out", str(tmp_path), "--set", "train.walkers=8",
                           "wavefunction.layers=1", "wavefunction.hidden_one=4", "train.steps=20", "sampler.sweeps=1"])
    results = json.loads((tmp_path / "overhead.json").read_text())
    assert len(results["parts"]) == 5 and all(part["share"] > 0.0 for part in results["parts"].values())
    assert results["total"] == pytest.approx(sum(part["share"] for part in results["parts"].values()))
    assert results["parts"]["checkpoint"]["per_step"] <= 1.0


@pytest.mark.slow
def test_the_script_for_gpus_runs_on_a_cpu_and_says_what_it_did_not_start(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    gpu = importlib.import_module("gpu")
    assert gpu.main(["--tiny", "--cases", "1", "--out", str(tmp_path)]) == 0
    record, = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    assert 0.0 < record["measured"]["first step (s)"] < record["measured"]["whole run (s)"]
    assert record["measured"]["step (ms)"] > 0.0 and not record["failure"]
    assert gpu.main(["--minutes", "0.01", "--cases", "3", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "gpu.md").read_text(encoding="utf-8").count("not started") == 3
