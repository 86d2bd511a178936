"""A result prints itself, survives JSON, and says when it is not to be trusted."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from nnqmc.errors import CheckpointError
from nnqmc.job.result import Result
from nnqmc.statistics import Estimate, ObservableEstimate, Quantity, Remaining, Trend, signed_millihartree

GOOD = Estimate(-8.0704, 0.0002, 0.05, 1.5, 1.001, 10000)
DIPOLE = ObservableEstimate(np.array([0.01, np.nan, 5.834]), np.array([0.1, np.nan, 0.02]), "debye", 1000, (),
                            ("a note",), {"length": Quantity(5.831, 0.02)})
FLAT = Trend(1e-5, 1e-5, -1e-5, 1e-5)
SETTINGS = {"system": {}, "evaluate": {"target_error": None}}
LIH = {"energy": -8.07054846, "uncertainty": 1e-7, "kind": "exact", "source": "somebody"}


def test_it_prints_energy_reference_and_difference() -> None:
    text = str(Result("LiH", GOOD, LIH))
    assert text == "LiH   E = -8.0704(2) Ha    reference -8.07054846    difference +0.1(2) mHa"


def test_without_reference_it_says_so() -> None:
    assert str(Result("Foo", GOOD)).endswith("no reference")


def test_differences_carry_their_sign() -> None:
    assert signed_millihartree(1e-3, 2e-4) == "+1.0(2)" and signed_millihartree(-1e-3, 2e-4) == "-1.0(2)"


def test_the_uncertainty_of_the_reference_counts() -> None:
    result = Result("X", GOOD, LIH | {"uncertainty": 0.0002})
    assert result.difference_error == pytest.approx(2**0.5 * 0.0002)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"energy": replace(GOOD, caveats=("chains disagree",))}, "chains disagree"),
        ({"energy": replace(GOOD, error=float("nan"))}, "error bar isn't known"),
        ({"energy": replace(GOOD, value=-8.08)}, "lies below the exact one"),
        ({"fractions": {"excluded": 0.01}}, "1.00% of the samples"),
        ({"fractions": {"stuck": 0.2}}, "20.0% of the walkers are stuck"),
        ({"fractions": {"reseeded": 0.02}}, "2.0% of the walkers were lost"),
        ({"fractions": {"bad_proposals": 0.02}}, "2.0% of the moves led where the wavefunction isn't finite"),
        ({"hartree_fock": -8.0715}, "lies 1.1(2) mHa above the Hartree-Fock energy -8.071500 Ha that the run started"),
        ({"trend": Trend(-2e-3, 2e-4, 2e-3, 2e-4)}, "the energy rose in training: it ended 2.0(2) mHa higher than"),
    ],
)
def test_a_reason_for_distrust_is_printed_in_words(change: dict, word: str) -> None:
    result = replace(Result("LiH", GOOD, LIH), **change)
    assert not result.trusted and not result.converged
    assert f"not to be trusted: {word}" in str(result) or word in str(result)


def test_below_a_best_estimate_is_no_reason_for_distrust() -> None:
    assert Result("LiH", replace(GOOD, value=-8.08), LIH | {"kind": "best-estimate"}).trusted


def test_training_that_did_no_harm_is_no_reason_for_distrust() -> None:
    """An energy below the Hartree-Fock one or within its error bar, and a rise within it or within the noise."""
    for energy in (-7.98, -8.0705):
        assert Result("LiH", GOOD, LIH, hartree_fock=energy).trusted
    for rise, error in ((1e-4, 1e-5), (2e-3, 1e-3), (-2e-3, 1e-4)):
        assert Result("LiH", GOOD, LIH, trend=Trend(0.0, error, rise, error)).trusted


def test_converged_needs_training_that_no_longer_falls() -> None:
    """Like the triplet of helium, 1.2 mHa too high after 500 steps; what is left has to be less than the error bar."""
    falling = Result("He", GOOD, trend=Trend(1.1e-3, 2e-4, -1.1e-3, 2e-4), settings=SETTINGS)
    assert falling.trusted and not falling.converged
    assert not replace(falling, trend=None).converged
    assert replace(falling, trend=Trend(5e-5, 1e-5, -5e-5, 1e-5)).converged
    assert replace(falling, trend=Trend(5e-4, 3e-4, -5e-4, 3e-4)).converged


def test_converged_needs_that_no_more_than_the_accuracy_is_probably_left() -> None:
    flat = Result("He", GOOD, steps=10, planned_steps=10, trend=Trend(5e-5, 1e-5, -5e-5, 1e-5))
    assert replace(flat, left=Remaining(2.5e-3, 1.5e-3)).converged
    assert not replace(flat, left=Remaining(6e-3, 4e-3)).converged
    exact = replace(flat, settings={"train": {"accuracy": 1e-4}})
    assert exact.converged and not replace(exact, left=Remaining(3e-4, 1e-4)).converged


def test_converged_needs_all_steps_and_the_target() -> None:
    done = Result("LiH", GOOD, LIH, steps=10, planned_steps=10, settings={"evaluate": {"target_error": 3e-4}},
                  trend=FLAT)
    assert done.converged
    assert not replace(done, steps=9).converged
    assert not replace(done, settings={"evaluate": {"target_error": 1e-4}}).converged


def test_an_observable_that_is_not_to_be_trusted_says_so_where_it_is_printed() -> None:
    radius = ObservableEstimate(1.2, 0.1, "bohr", 1000, tau=9.0, r_hat=1.1, caveats=("the chains are short",))
    lines = str(Result("LiH", GOOD, LIH, observables={"radius": radius, "dipole": DIPOLE})).splitlines()
    assert lines[1:] == ["  not to be trusted: radius: the chains are short", "  note: dipole: a note"]


def test_json_gives_the_same_result_back() -> None:
    observables = {"r2": ObservableEstimate(18.35, 0.02, "bohr^2", 1000, tau=1.5, r_hat=1.0), "dipole": DIPOLE}
    result = Result("LiH", GOOD, LIH, {"kinetic": GOOD}, observables, 3, 4, {"acceptance": 0.5}, ("a note",),
                    {"total": 1.5}, {"seed": 3}, {"jax": "1"}, {"matrix_peak": 1e11}, False, -7.98, FLAT)
    plain = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert Result.from_dict(plain) == result
    assert plain["energy"] == GOOD.value and plain["unit"] == "hartree" and plain["seed"] == 3
    dipole = plain["observables"]["dipole"]
    assert dipole["value"] == [0.01, None, 5.834] and dipole["error"] == [0.1, None, 0.02]
    assert dipole["unit"] == "debye" and dipole["notes"] == ["a note"] and dipole["trusted"] is True
    assert dipole["parts"] == {"length": {"value": 5.831, "error": 0.02}}


@pytest.mark.parametrize("change", [{"value": "x"}, {"error": [1.0]}, {"parts": []}], ids=str)
def test_an_observable_that_no_run_writes_is_refused(change: dict) -> None:
    plain = Result("LiH", GOOD, observables={"dipole": DIPOLE}).to_dict()
    plain["observables"]["dipole"] |= change
    with pytest.raises(CheckpointError, match=r"nnqmc evaluate"):
        Result.from_dict(plain)


def test_json_has_no_nan() -> None:
    plain = Result("X", replace(GOOD, error=float("nan"), r_hat=float("inf"))).to_dict()
    assert plain["error"] is None and json.dumps(plain, allow_nan=False)


@pytest.mark.parametrize("change", [
    {"hartree_fock": "x"}, {"hartree_fock": float("inf")}, {"trend": {"fall": 1.0}}, {"trend": [1.0]},
    {"trend": FLAT._asdict() | {"rise": None}}, {"trend": FLAT._asdict() | {"more": 1.0}},
], ids=str)
def test_what_no_run_knows_of_its_training_is_refused(change: dict) -> None:
    plain = json.loads(json.dumps(Result("LiH", GOOD, settings=SETTINGS).to_dict()))
    assert Result.from_dict(plain).trend is None
    with pytest.raises(CheckpointError, match=r"nnqmc evaluate"):
        Result.from_dict(plain | change)


@pytest.mark.parametrize("plain", [{}, {"system": "x"}, {"system": "x", "estimate": 5}])
def test_something_else_is_refused(plain: dict) -> None:
    with pytest.raises(CheckpointError, match=r"nnqmc evaluate"):
        Result.from_dict(plain)
