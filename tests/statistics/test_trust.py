"""An energy that can't be right, or isn't the lowest, is named as such; one that may well be right isn't."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nnqmc.statistics import Estimate, Trend, doubts, unfinished

GOOD = Estimate(-1.0, 1e-3, 0.01, 1.5, 1.0, 1000)
FLAT = Trend(1e-4, 1e-3, 1e-4, 1e-3)


def test_nothing_speaks_against_a_good_energy() -> None:
    assert doubts(GOOD, above_exact=(-3e-3, 1e-3), hartree_fock=-0.9, curve=FLAT) == []
    assert doubts(GOOD) == [] and unfinished(GOOD, FLAT, 400) == ""


@pytest.mark.parametrize(("energy", "known", "words"), [
    (replace(GOOD, error=float("nan")), {}, "error bar isn't known"),
    (GOOD, {"above_exact": (-5e-3, 1e-3)}, "below the exact one by 5.0 error bars"),
    (GOOD, {"above_exact": (-5e-3, 0.0)}, "below the exact one"),
    (GOOD, {"hartree_fock": -1.01}, "lies 10(1) mHa above the Hartree-Fock energy -1.010000 Ha"),
    (GOOD, {"curve": Trend(-0.02, 1e-3, 0.02, 1e-3)}, "ended 20(1) mHa higher"),
])
def test_each_reason_is_a_sentence(energy: Estimate, known: dict, words: str) -> None:
    (found,) = doubts(energy, **known)
    assert words in found


def test_training_that_is_too_short_or_still_falls_is_unfinished() -> None:
    assert "only 12 training steps" in unfinished(GOOD, None, 12)
    assert "still falling when training ended, by 20(1) mHa" in unfinished(GOOD, Trend(0.02, 1e-3, 0.0, 1e-3), 400)
