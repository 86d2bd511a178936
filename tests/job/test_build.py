"""What is refused before anything is computed, because no Hamiltonian stands for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nnqmc.config import resolve
from nnqmc.errors import InputError
from nnqmc.job import solve
from nnqmc.system import molecule


def test_a_core_that_no_term_stands_for_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    carbon = molecule("C", core=2)
    assert resolve(carbon)["system"]["core"] == [2]
    with pytest.raises(InputError, match=r"C has cores of \[2\] electrons, and molecular has no pseudopotential"):
        solve(carbon, out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()
