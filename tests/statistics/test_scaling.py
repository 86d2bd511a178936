"""Limits of ladders of sizes: exact where the law is exact, honest where it isn't."""

from __future__ import annotations

import numpy as np
import pytest

from nnqmc.errors import InputError
from nnqmc.statistics import power_law, scaling

SIZES = np.array([1e3, 2e3, 5e3, 1e4, 3e4])


def ladder(rng=None, error=1e-4, limit=-7.0, beta=0.6):
    """Energies that follow both laws, and their noise."""
    excess = 0.05 * (SIZES / SIZES[0]) ** -beta
    noise = 0.0 if rng is None else error * rng.standard_normal(len(SIZES))
    return SIZES, limit + excess + noise, np.full(len(SIZES), error), 4.0 * excess


def test_an_exact_law_is_found():
    fitted = power_law(*ladder()[:3])
    assert fitted.limit == pytest.approx(-7.0, abs=2e-5) and fitted.exponent == pytest.approx(0.6, abs=1e-3)
    found = scaling(*ladder())
    assert found.extrapolated == pytest.approx(-7.0, abs=2e-5) and found.beta == pytest.approx(0.6, abs=1e-3)
    assert found.error < 5e-4 and found.verdict.startswith("extrapolated")


def test_error_bars_hold_the_truth():
    """Of 25 ladders with noise, about two thirds within one error bar and nearly all within two."""
    rng = np.random.default_rng(0)
    found = [scaling(*ladder(rng, 5e-4)) for _ in range(25)]
    pulls = np.array([abs(each.extrapolated + 7.0) / each.error for each in found])
    assert np.mean(pulls < 1.0) > 0.55 and np.mean(pulls < 2.0) > 0.9
    assert np.mean([abs(each.beta - 0.6) < 2.0 * each.beta_error for each in found]) > 0.85


def test_members_off_the_law_widen_the_error_bar_and_do_so_when_small_ones_are_dropped():
    """Small networks that follow another law move the limit when they are dropped; the error bar covers the move."""
    sizes, energies, errors, variances = ladder(error=1e-5)
    energies = energies + np.array([4e-3, 1e-3, 0.0, 0.0, 0.0])
    found, dropped = scaling(sizes, energies, errors, variances), scaling(*(
        column[1:] for column in (sizes, energies, errors, variances)))
    move = abs(found.extrapolated - dropped.extrapolated)
    assert move > 2e-4
    assert found.error > move
    assert found.error > 10 * scaling(*ladder(error=1e-5)).error


@pytest.mark.parametrize(("change", "word"), [
    (lambda s, e, d, v: (s[:3], e[:3], d[:3], v[:3]), "too few"),
    (lambda s, e, d, v: (s, e, d, v[::-1]), "variance doesn't fall"),
    (lambda s, e, d, v: (s, e[::-1], d, v), "energy doesn't fall"),
    (lambda s, e, d, v: (np.full(5, 1e3), e, d, v), "different sizes"),
    (lambda s, e, d, v: (s, e, 300 * d, v), "uncertain"),
])
def test_nothing_is_extrapolated_where_that_makes_no_sense(change, word):
    found = scaling(*change(*ladder()))
    assert found.extrapolated is None and found.error is None
    assert found.verdict.startswith("refused: ") and word in found.verdict


def test_arrays_that_cannot_be_used_are_refused():
    sizes, energies, errors, variances = ladder()
    for arrays in ((sizes[:2], energies, errors, variances), (sizes, energies, 0.0 * errors, variances),
                   (sizes, np.nan * energies, errors, variances)):
        with pytest.raises(InputError):
            scaling(*arrays)
