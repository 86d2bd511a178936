"""What a training curve has left to gain, from made-up curves whose limit is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import truncnorm

from nnqmc.statistics import remaining
from nnqmc.statistics.remaining import _cut_off


def noise(rng: np.random.Generator, n_curves: int, n_steps: int) -> np.ndarray:
    """Return correlated noise, (n_curves, n_steps), with standard deviation 5e-3 and autocorrelation time 9."""
    found = np.zeros((n_curves, n_steps))
    for step in range(1, n_steps):
        found[:, step] = 0.8 * found[:, step - 1] + 3e-3 * rng.standard_normal(n_curves)
    return found


@pytest.mark.parametrize("exponent", [0.7, 1.0, 1.3])
def test_what_is_left_of_a_power_law_is_found_within_its_error(exponent: float) -> None:
    steps = np.arange(1, 801)
    curves = -8.0 + 0.01 * (steps / 800) ** -exponent + noise(np.random.default_rng(1), 30, 800)
    found = np.array([remaining(curve) for curve in curves])
    assert np.mean(np.abs(found[:, 0] - 0.01) < 2.0 * found[:, 1]) > 0.85
    assert 2e-3 < found[:, 1].mean() < 1e-2


def test_a_flat_curve_has_nothing_left_but_its_noise() -> None:
    found = np.array([remaining(curve) for curve in noise(np.random.default_rng(2), 30, 800)])
    assert np.median(found[:, 0]) < 3.5e-3 and (found[:, 0] < 3.0 * found[:, 1]).all()


def test_without_noise_the_value_is_that_of_the_curve() -> None:
    steps = np.arange(1, 401)
    value, error = remaining(-1.0 + 0.02 * (steps / 400) ** -1.0)
    assert value == pytest.approx(0.02, rel=1e-3) and error < 1e-4
    assert remaining(np.full(200, -0.5)) == pytest.approx((0.0, 0.0), abs=1e-12)


def test_short_curves_and_holes() -> None:
    assert remaining(np.linspace(0.0, -1.0, 99)) is None and remaining([]) is None
    curve = -8.0 + 0.01 * (np.arange(1, 401) / 400) ** -1.0 + noise(np.random.default_rng(3), 1, 400)[0]
    holes = curve.copy()
    holes[[7, 200]] = np.nan, np.inf
    assert remaining(holes).value == pytest.approx(remaining(curve).value, rel=0.1)


@pytest.mark.parametrize("mean", [1.0, 0.0, -1.0, -3.9])
def test_the_distribution_without_its_negative_part_is_scipy_s(mean: float) -> None:
    twin = truncnorm(-mean / 0.5, np.inf, mean, 0.5)
    assert _cut_off(mean, 0.5) == pytest.approx((twin.mean(), twin.std()), rel=1e-9)
    assert _cut_off(-1e6, 0.5).value < 0.07
