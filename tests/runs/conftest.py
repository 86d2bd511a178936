"""A tiny run that several tests look at or copy."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import pytest

import nnqmc

TINY = MappingProxyType({
    "wavefunction": {"layers": 1, "hidden_one": 8, "hidden_two": 4, "n_determinants": 1},
    "pretrain": {"steps": 5},
    "train": {"burn_in": 5, "walkers": 32, "steps": 4, "checkpoint_steps": 1},
    "evaluate": {"max_steps": 20, "burn_in": 5, "target_error": 1.0},
    "progress": False,
})
"""Settings for `solve` that take seconds; all tests use the same, so that programs are compiled once."""


@pytest.fixture(scope="session")
def tiny() -> dict:
    return dict(TINY)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run of four steps that nothing disturbed; don't write to it."""
    out = tmp_path_factory.mktemp("runs") / "he"
    nnqmc.solve("He", out=out, seed=3, **TINY)
    return out
