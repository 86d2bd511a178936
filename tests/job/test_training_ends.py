"""Training that ends when little is left to gain: decided by steps and energies alone, repeated and resumed bitwise."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest

import nnqmc
from nnqmc.io import load_arrays, load_series
from nnqmc.statistics import is_enough
from stopping_reporter import StopAt


def test_training_ends_at_certain_steps_when_little_is_left() -> None:
    flat = -0.5 + 1e-4 * np.random.default_rng(0).standard_normal(250)
    assert not is_enough(200, lambda: flat[:200], None)
    ends = [step for step in range(251) if is_enough(step, lambda step=step: flat[:step], 1e-3)]
    assert ends == [200, 250]
    falling = flat + 0.1 * np.arange(1, 251) ** -1.0
    assert not is_enough(250, lambda: falling, 1e-3) and is_enough(250, lambda: falling, 4e-3)


@pytest.mark.slow
@pytest.mark.ci
def test_a_run_that_has_converged_ends_early_and_resumes_bitwise(tiny: dict, tmp_path: Path) -> None:
    """The energy of hydrogen is looked at after 200 steps, and is then far within a quarter of the accuracy."""
    settings = tiny | {"train": tiny["train"] | {"steps": 1000, "checkpoint_steps": 50}, "accuracy": 1.0, "seed": 3}
    whole = nnqmc.solve("H", out=tmp_path / "whole", **settings)
    assert whole.complete and whole.steps == whole.planned_steps == 200
    assert whole.left.value < 0.25 and "mHa probably left" in str(whole)
    with pytest.raises(nnqmc.Interrupted):
        nnqmc.solve("H", out=tmp_path / "cut", **(settings | {"progress": StopAt("training", 120, signal.SIGTERM)}))
    resumed = nnqmc.resume(tmp_path / "cut", progress=False)
    assert (resumed.steps, resumed.energy) == (200, whole.energy)
    for name in ("checkpoint-0000200.h5", "train.h5", "evaluate.h5"):
        one, two = (load_arrays(tmp_path / run / name)[0] for run in ("whole", "cut"))
        assert one.keys() == two.keys()
        assert all(np.array_equal(one[key], two[key], equal_nan=True) for key in one)
    stamp = (tmp_path / "whole" / "result.json").stat().st_mtime_ns
    assert nnqmc.resume(tmp_path / "whole", progress=False).steps == 200
    assert (tmp_path / "whole" / "result.json").stat().st_mtime_ns == stamp
    longer = nnqmc.resume(tmp_path / "whole", steps=203, progress=False)
    assert longer.complete and longer.steps == longer.planned_steps == 203
    assert len(load_series(tmp_path / "whole" / "train.h5")[0]["step"]) == 203
