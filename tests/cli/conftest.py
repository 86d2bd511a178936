"""The words of a tiny run, and a way to call the command line as a person would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from nnqmc.cli import main

TINY = ("--walkers", "32", "--steps", "4", "--target-error", "1", "--seed", "3", "--set", "wavefunction.layers=1",
        "wavefunction.hidden_one=8", "wavefunction.hidden_two=4", "wavefunction.n_determinants=1",
        "wavefunction.slater_functions=false", "pretrain.steps=5",
        "train.burn_in=5", "train.checkpoint_steps=1", "evaluate.max_steps=20", "evaluate.burn_in=5")
"""The settings of the tiny run in tests/job, so that its programs are compiled once for both."""


@pytest.fixture
def tiny_words() -> tuple[str, ...]:
    """Options of `nnqmc run` for a calculation of seconds."""
    return TINY


class Outcome(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def nnqmc_says(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Call the command line in an empty working directory."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> Outcome:
        capsys.readouterr()
        code = main(list(words))
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Outcome(code, captured.out, captured.err)

    return call
