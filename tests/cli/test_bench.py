"""The benchmark table: the right systems in the right order, and one failure does not cost the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nnqmc.cli.bench import _names
from nnqmc.errors import InputError, SCFError
from nnqmc.job import Result
from nnqmc.statistics import Estimate


def test_systems_come_in_the_order_of_electrons() -> None:
    assert _names("atoms", "Be") == ["H", "He", "Li", "Be"]
    assert _names("atoms", "neon")[-1] == "Ne" and len(_names("atoms", "Ne")) == 10
    assert _names("molecules", "LiH") == ["H2", "LiH"]
    with pytest.raises(InputError, match=r"--max for atoms"):
        _names("atoms", "LiH")


def test_a_failed_system_is_a_line_of_the_table(
    nnqmc_says: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def solve(case: object, is_quiet: bool) -> Result:
        if case.name == "He":
            raise SCFError("no convergence")
        return Result(case.name, Estimate(-0.5, 0.001, 0.1, 1.0, 1.0, 100), steps=1, planned_steps=1)

    monkeypatch.setattr("nnqmc.cli.bench._solve", solve)
    outcome = nnqmc_says("bench", "atoms", "--max", "Li", "--seeds", "0,1", "--out", "table")
    assert outcome.code == 1
    assert "He, seed 0 failed: no convergence" in outcome.err
    assert [line.split()[0] for line in outcome.out.splitlines()] == ["system", "H", "H", "He", "He", "Li", "Li"]
    rows = json.loads((tmp_path / "table" / "bench.json").read_text())
    assert [row["failure"] for row in rows] == ["", "", "no convergence", "no convergence", "", ""]
    assert (tmp_path / "table" / "bench.md").read_text().count("\n") == 8


def test_a_place_where_no_directory_can_be_is_refused_before_anything_is_computed(
    nnqmc_says: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("nnqmc.cli.bench._solve", None)
    (tmp_path / "file").write_text("mine")
    for place in ("file", "file/below"):
        outcome = nnqmc_says("bench", "atoms", "--max", "H", "--out", place)
        assert outcome.code == 2 and "can't be the directory of all runs" in outcome.err and outcome.out == ""
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.slow
def test_what_is_finished_isnt_computed_again(nnqmc_says: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = ("--out", "table", "--set", "wavefunction.layers=1", "wavefunction.hidden_one=8", "pretrain.steps=5",
            "train.walkers=32", "train.steps=4", "evaluate.max_steps=20")
    first = nnqmc_says("bench", "atoms", "--max", "H", *tiny)
    assert first.code == 0 and "-0.5" in first.out
    monkeypatch.setattr("nnqmc.job.calculation._calculate", None)
    assert nnqmc_says("bench", "atoms", "--max", "H", *tiny).out == first.out
    other = nnqmc_says("bench", "atoms", "--max", "H", *tiny, "objective.clip=3")
    assert other.code == 2 and "holds a run with other settings" in other.err
