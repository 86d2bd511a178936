"""An energy that can't be right, or isn't the lowest, is named as such; one that may well be right isn't."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nnqmc.statistics import Estimate, Remaining, Trend, doubts, notes_on_training, training_energy

GOOD = Estimate(-1.0, 1e-3, 0.01, 1.5, 1.0, 1000)
FLAT = Trend(1e-4, 1e-3, 1e-4, 1e-3)


def series(n_steps: int) -> dict[str, np.ndarray]:
    """Make the series of a training in which nothing happens."""
    return {"step": np.arange(n_steps), "energy": np.full(n_steps, -1.0), "variance": np.full(n_steps, 0.01),
            "rejected": np.zeros(n_steps, int), "clipped": np.zeros(n_steps)}


def test_nothing_speaks_against_a_good_energy() -> None:
    assert doubts(GOOD, above_exact=(-3e-3, 1e-3), hartree_fock=-0.9, curve=FLAT) == []
    assert doubts(GOOD) == [] and notes_on_training(series(400), FLAT, GOOD) == []


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


@pytest.mark.parametrize(("change", "curve", "words"), [
    ({}, None, "only 400 training steps are recorded"),
    ({}, Trend(0.02, 1e-3, 0.0, 1e-3), "still falling when training ended, by 20(1) mHa"),
    ({"rejected": np.arange(400) < 3}, FLAT, "3 of 400 training steps were rejected"),
    ({"reseeded": np.full(400, 0.01)}, FLAT, "1 % of the walkers in training were replaced"),
    ({"clipped": np.where(np.arange(400) < 200, 0.0, 0.05)}, FLAT, "5.0% of the local energies were clipped"),
])
def test_each_thing_that_went_wrong_in_training_is_a_note(change: dict, curve: Trend | None, words: str) -> None:
    (found,) = notes_on_training(series(400) | change, curve, GOOD)
    assert words in found
    assert notes_on_training({}, FLAT, GOOD) == []


def test_what_is_left_is_a_note_if_it_is_more_than_the_accuracy() -> None:
    assert notes_on_training(series(400), FLAT, GOOD, Remaining(2.5e-3, 1.5e-3)) == []
    (found,) = notes_on_training(series(400), FLAT, GOOD, Remaining(2.5e-3, 1.5e-3), 5e-4)
    assert "training has probably 2(2) mHa left, which is more than it aims at" in found


def test_the_energy_of_training_is_that_of_its_last_half_and_never_trusted() -> None:
    known = series(40)
    known["energy"][:19], known["energy"][30] = 5.0, np.nan
    found = training_energy(known, 64)
    assert found.value == -1.0 and found.n_samples == 20 * 64 and not found.trusted
    assert training_energy({}, 64) is None
    assert training_energy(series(3) | {"energy": np.full(3, np.nan)}, 64) is None
