"""The benchmark scripts: what their tables say of made-up results."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nnqmc.system import describe, molecule
from nnqmc.system.reached import reached

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "energies.py"


@pytest.fixture(scope="module")
def energies() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_energies", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def record(seed: int = 0, difference: float | None = 0.2e-3, error: float | None = 0.2e-3, **changes: Any) -> dict:
    result = {"energy": -8.070348, "error": error, "difference": difference, "difference_error": error, "steps": 600,
              "trusted": changes.pop("trusted", True)}
    return {"system": "LiH", "seed": seed, "options": [], "machine": "a laptop", "load_before": 0.1,
            "wall_seconds": 100.0 + seed, "peak_mib": 900, "failure": "", "result": result} | changes


def columns(energies: ModuleType, records: list[dict]) -> dict[str, str]:
    return dict(zip(energies._SYSTEMS, energies.summary(records), strict=True))


def test_the_summary_is_the_mean_and_the_worst_over_seeds(energies: ModuleType) -> None:
    found = columns(energies, [record(0, 0.2e-3), record(1, -0.6e-3, 0.3e-3), record(2, 1.0e-3)])
    assert found["mean (mHa)"] == "+0.20" and found["worst (mHa)"] == "+1.00"
    assert found["largest error (mHa)"] == "0.30" and found["furthest below (error bars)"] == "2.0"
    assert found["longest (s)"] == "102" and found["seeds"] == "3 of 3" and found["on target"] == "yes"


@pytest.mark.parametrize("bad", [
    record(1, 1.7e-3),  # too far above
    record(1, -1.0e-3, 0.2e-3),  # five error bars below
    record(1, 0.1e-3, 0.5e-3),  # too blurred
    record(1, 0.1e-3, None),  # no error bar
    record(1, trusted=False),
    record(1, result=None, failure="exit code 1: nnqmc: error: no convergence"),
], ids=["above", "below", "blurred", "no-error", "untrusted", "failed"])
def test_one_bad_seed_takes_a_system_off_target(energies: ModuleType, bad: dict) -> None:
    assert columns(energies, [record(0), bad])["on target"] == "no"


def test_the_report_shows_every_case_and_every_failure(energies: ModuleType) -> None:
    text = energies.report([record(0), record(1, result=None, failure="exit code 1: no convergence")])
    assert "| LiH | 0 | -8.070348 | 0.20 | +0.20 | 100 | 900 | 600 | yes |" in text
    assert "| LiH | 1 | failed |" in text and "- LiH, seed 1: exit code 1: no convergence" in text
    assert "a laptop" in text


def test_a_system_without_reference_has_energies_and_no_verdict(energies: ModuleType) -> None:
    text = energies.report([record(0, None)])
    assert "-8.070348" in text and "no reference" in text


def test_what_is_finished_is_not_computed_again(energies: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "LiH-seed0.json").write_text(json.dumps(record()), encoding="utf-8")
    assert energies.measure("LiH", 0, [], tmp_path) == record()
    with pytest.raises(SystemExit, match="give another --out"):
        energies.measure("LiH", 0, ["--preset", "quick"], tmp_path)
    (tmp_path / "LiH-seed1").mkdir()
    with pytest.raises(SystemExit, match="not timed to its end"):
        energies.measure("LiH", 1, [], tmp_path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads ru_maxrss as Linux gives it")
def test_the_clock_sees_time_memory_and_failure_of_the_child(energies: ModuleType, tmp_path: Path) -> None:
    code = "import sys, time; x = bytearray(10**8); x[:] = b'1' * 10**8; time.sleep(0.2); sys.exit('out of luck')"
    found = energies.clocked([sys.executable, "-c", code], tmp_path / "log")
    assert found["wall_seconds"] >= 0.2 and found["peak_mib"] > 90  # a forked child starts with its parent's peak
    assert found["failure"] == "exit code 1: out of luck"


def test_what_info_says_was_reached_is_what_the_results_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    publish = importlib.import_module("publish")
    assert publish.PACKAGED.read_text(encoding="utf-8") == publish.text(), "run benchmarks/publish.py"
    raw = json.loads((SCRIPT.parent / "results" / "energies" / "energies.json").read_text(encoding="utf-8"))
    known = reached("LiH")
    results = [entry["result"] for entry in raw if entry["system"] == "LiH"]
    assert known.differences == pytest.approx([result["difference"] for result in results], abs=1e-7)
    assert known.error == pytest.approx(max(result["error"] for result in results), abs=1e-7)
    assert f"{1e3 * known.differences[0]:+.2f}" in describe(molecule("LiH"))
    assert "not measured" in describe(molecule("H 0 0 0; H 0 0 7", unit="bohr"))
