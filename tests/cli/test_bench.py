"""The benchmark table: the right systems in the right order, and one failure does not cost the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nnqmc.config import Config
from nnqmc.errors import SCFError
from nnqmc.job import Result
from nnqmc.statistics import Estimate


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that compute nothing, and fail for helium."""

    def run(config: Config, directory: Path, progress: bool) -> Result:
        if config["system"]["name"] == "He":
            raise SCFError("no convergence")
        return Result(config["system"]["name"], Estimate(-0.5, 0.001, 0.1, 1.0, 1.0, 100), seconds={"total": 1.0})

    monkeypatch.setattr("nnqmc.job.run", run)


@pytest.mark.parametrize(("words", "systems"), [
    ("atoms --max be", "H He Li Be"),
    ("atoms --max neon", "H He Li Be B C N O F Ne"),
    ("molecules --max LiH", "H2 LiH"),
])
def test_systems_come_in_the_order_of_electrons(
    words: str, systems: str, instant: None, nnqmc_says: Callable
) -> None:
    outcome = nnqmc_says("bench", *words.split(), "--quiet")
    assert [line.split()[0] for line in outcome.out.splitlines()[1:]] == systems.split()


def test_a_failed_system_is_a_line_of_the_table(instant: None, nnqmc_says: Callable, tmp_path: Path) -> None:
    outcome = nnqmc_says("bench", "atoms", "--max", "Li", "--seeds", "0,1", "--out", "table")
    assert outcome.code == 1
    assert outcome.err.count("He, seed 0 (3 of 6)\nnnqmc: error: no convergence\n") == 1
    assert [line.split()[0] for line in outcome.out.splitlines()] == ["system", "H", "H", "He", "He", "Li", "Li"]
    lines = (tmp_path / "table" / "bench.md").read_text().splitlines()
    assert len(lines) == 8 and lines[2].startswith("| H | 0 | -0.500(1) |")
    assert [line.split(" | ")[2] for line in lines[4:6]] == ["failed", "failed"]


def test_a_place_where_no_directory_can_be_is_refused_before_anything_is_computed(
    nnqmc_says: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("nnqmc.job.run", None)
    (tmp_path / "file").write_text("mine")
    for place in ("file", "file/below"):
        outcome = nnqmc_says("bench", "atoms", "--max", "H", "--out", place)
        assert outcome.code == 2 and "can't be the directory of all runs" in outcome.err and outcome.out == ""
    assert (tmp_path / "file").read_text() == "mine"


def test_seeds_that_are_twice_there_are_refused(nnqmc_says: Callable) -> None:
    for seeds in ("1,1", "1,", "-1", ""):
        outcome = nnqmc_says("bench", "atoms", "--max", "H", f"--seeds={seeds}")
        assert outcome.code == 2 and "give different whole numbers" in outcome.err


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
