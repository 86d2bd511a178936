"""The scripts that compare networks and methods: what is computed again, and what their tables say of made-up runs."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def contest() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("contest")


def record(case: str, seconds: float = 10.0, **changes: Any) -> dict:
    return {"system": "Be", "seed": 0, "case": case, "seconds": seconds, "steps": 100, "parameters": 10715,
            "walkers": 512, "energy": -14.66536, "error": 5e-4, "variance": 0.05, "reference": -14.66736,
            "curve": [[1.0, -14.6, 0.01]], "machine": "a laptop", "date": "today", "evaluation": 400,
            "settings": {"case": case}} | changes


def test_only_missing_runs_of_a_contest_are_done(
    contest: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = [record("FermiNet, SPRING"), record("LapNet, SPRING", 5.0),
            record("Psiformer, SPRING", settings={}, energy=-1.0)]  # of another preset
    (tmp_path / "contest.json").write_text(json.dumps(kept))
    asked: list[tuple] = []

    def compare(name: str, seed: int, seconds: float, cases: list[str]) -> Iterator[dict]:
        asked.append((name, seed, seconds, cases))
        yield from (record(case, seconds, seed=seed, energy=-14.66836) for case in cases)

    monkeypatch.setattr(contest, "settings", lambda name, seed, case: {"case": case})
    monkeypatch.setattr(contest, "compare", compare)
    monkeypatch.setattr(contest, "figure", lambda *unused: None)
    cases = ["FermiNet, SPRING", "Psiformer, SPRING", "LapNet, SPRING"]
    words = ["Be=10", "--seeds", "0", "--cases", *cases, "--out", str(tmp_path)]
    assert contest.main(words) == 0 and asked == [("Be", 0, 10.0, cases[1:])]
    assert contest.main(words) == 0 and asked.pop() == ("Be", 0, 10.0, [])
    assert contest.main([*words, "--again"]) == 0 and len(asked) == 1
    text = (tmp_path / "contest.md").read_text()
    assert "| Be | 10 | 0 | FermiNet, SPRING | 10,715 | 100 | 100 | +2.0 +- 0.5 | 0.050 |" in text
    assert "| -1.0 +- 0.5 |" in text and "| Be | 5 |" in text
    records = json.loads((tmp_path / "contest.json").read_text())
    assert {row["seconds"] for row in contest.longest(records, "Be")} == {10.0}
    assert [row["energy"] for row in records if row["case"] == cases[1]] == [-14.66836]


def test_a_learning_curve_is_of_equal_parts_of_the_time(contest: ModuleType) -> None:
    series = [(0.1 * i, 1.0 if i < 120 else 0.0) for i in range(240)]
    points = np.array(contest.curve(series, 24.0))
    assert points.shape == (8, 3) and np.all(points[:4, 1] == 1.0) and np.all(points[4:, 1:] == 0.0)
    assert contest.curve(series[:3], 24.0) == []


def test_the_fraction_of_the_peak_is_of_counted_operations(contest: ModuleType) -> None:
    stages = importlib.import_module("stages")
    row = {"system": "Be", "network": "lapnet", "parameters": 1000, "walkers": 512, "machine": "a laptop", "peak": 1e11,
           "flops": dict(zip(stages.STAGES, (1e9, 2e9, 3e9), strict=True)),
           "seconds": dict(zip(stages.STAGES, (0.1, 0.1, 0.04), strict=True))}
    text = stages.report([row])
    assert "| 100 ms, 1 GFLOP, 10% | 100 ms, 2 GFLOP, 20% | 40 ms, 3 GFLOP, 75% | 25% | 100 |" in text


def test_powers_of_the_number_of_electrons_are_given_from_three_systems_on(contest: ModuleType) -> None:
    family = importlib.import_module("family")
    results = json.loads((BENCHMARKS / "results" / "family" / "family.json").read_text())
    assert "Powers" not in family.report(results)
    assert family.report(results) == (BENCHMARKS / "results" / "family" / "family.md").read_text()
    third = [row | {"system": "Ca", "electrons": 20, "ms": {"nnqmc": 50.0, "folx": 9.0}} for row in results["rows"][:2]]
    text = family.report(results | {"rows": [*results["rows"], *third]})
    assert "Powers of the number of electrons" in text and "| FermiNet | 2.0" in text and "| LapNet |  |" not in text
