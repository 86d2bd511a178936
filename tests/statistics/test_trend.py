"""A curve that falls, rises or does neither is told from its noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from nnqmc.statistics import Trend, autocorrelation_time, trend
from nnqmc.statistics.trend import FEWEST_STEPS


def noise(n_curves: int, n_steps: int, tau: float, is_heavy: bool = False, seed: int = 0) -> np.ndarray:
    """Curves of unit variance whose autocorrelation time is `tau`; heavy tails fall off with the third power."""
    rng = np.random.default_rng(seed)
    shape = (n_curves, n_steps + 10 * int(tau))
    drawn = rng.standard_t(3.0, shape) / 3.0**0.5 if is_heavy else rng.normal(size=shape)
    memory = (tau - 1.0) / (tau + 1.0)
    return lfilter([(1.0 - memory**2) ** 0.5], [1.0, -memory], drawn)[:, -n_steps:]


def test_the_made_up_noise_is_what_it_says() -> None:
    curves = noise(50, 4000, 10.0)
    assert np.var(curves) == pytest.approx(1.0, rel=0.05)
    assert np.mean([autocorrelation_time(curve) for curve in curves]) == pytest.approx(10.0, rel=0.1)


@pytest.mark.parametrize("is_heavy", [False, True], ids=["normal", "heavy"])
@pytest.mark.parametrize(("n_steps", "tau"), [(100, 1.0), (100, 5.0), (500, 5.0), (500, 25.0), (2000, 100.0)])
def test_flat_noise_seldom_seems_to_fall_or_to_rise(n_steps: int, tau: float, is_heavy: bool) -> None:
    """Less than 2 of 100 in the long run; 200 curves have 11 by chance in 1 of 300 cases."""
    found = [trend(curve) for curve in noise(200, n_steps, tau, is_heavy)]
    assert sum(each.is_falling() for each in found) < 11
    assert sum(each.is_rising() for each in found) < 11


def test_errors_are_those_of_the_differences() -> None:
    found = [trend(curve) for curve in noise(200, 1000, 5.0)]
    pulls = np.array([each.fall / each.fall_error for each in found])
    assert abs(pulls.mean()) < 0.2 and pulls.std() == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("n_steps", [200, 500, 2000])
def test_a_curve_that_is_still_falling_is_seen(n_steps: int) -> None:
    """a / n, as training does at its end, of which 2 mHa are left, with noise that a quarter averages to 0.1 mHa."""
    steps = np.arange(1, n_steps + 1)
    curves = -2.0 + 2e-3 * n_steps / steps + 1e-4 * (n_steps / 12.0) ** 0.5 * noise(50, n_steps, 3.0)
    found = [trend(curve) for curve in curves]
    assert all(each.is_falling() and not each.is_rising() for each in found)
    assert np.mean([each.fall for each in found]) == pytest.approx(8e-3 * np.log(9 / 8), rel=0.1)
    assert all(each.is_falling(3e-4) and not each.is_falling(5e-3) for each in found)


def test_a_curve_that_has_fallen_long_ago_is_flat() -> None:
    """It fell by a hundred hartree in the first tenth, which must not hide the noise of the end either."""
    steps = np.arange(500)
    found = [trend(100.0 * np.exp(-steps / 10.0) + 1e-3 * curve) for curve in noise(200, 500, 5.0)]
    assert sum(each.is_falling() for each in found) < 10 and not any(each.is_rising() for each in found)


def test_a_curve_that_climbs_from_its_start_or_from_its_middle_is_seen() -> None:
    """Such as two hydrogen atoms at 10 bohr, which began at -0.9986 Ha and ended at -0.957 Ha."""
    time = np.linspace(0.0, 1.0, 500)
    for shape in (-0.9986 + 0.04 * time, -0.96 - 0.04 * np.sin(np.pi * time)):
        found = [trend(shape + 5e-3 * curve) for curve in noise(50, 500, 5.0)]
        assert all(each.is_rising(3e-4) and not each.is_falling() for each in found)
        assert np.mean([each.rise for each in found]) == pytest.approx(0.03, rel=0.3)


def test_a_climb_at_the_very_end_is_seen_and_a_single_wild_step_is_none() -> None:
    time = np.linspace(0.0, 1.0, 2000)
    flat = -2.9 + 0.1 * np.exp(-10.0 * time) + 1e-3 * noise(1, 2000, 5.0)[0]
    assert not trend(flat).is_rising()
    for climb in (0.25 * np.maximum(0.0, time - 0.9), 0.02 * (time > 0.95)):
        assert trend(flat + climb).is_rising(3e-3) and not trend(flat - climb).is_rising()
    flat[-20] += 5.0
    assert not trend(flat).is_rising()


def test_steps_that_are_not_finite_are_left_out_and_short_curves_tell_nothing() -> None:
    curve = np.linspace(1.0, 0.0, FEWEST_STEPS) ** 2
    assert trend(curve[1:]) is None and trend(np.zeros(0)) is None
    holes = np.insert(curve, [10, 50, 99], [np.nan, np.inf, -np.inf])
    assert trend(holes) == trend(curve) and trend(curve).is_falling()


def test_a_curve_without_noise_is_exact() -> None:
    assert trend(np.full(200, -0.5)) == Trend(0.0, 0.0, 0.0, 0.0)
    assert not trend(np.full(200, -0.5)).is_falling() and not trend(np.full(200, -0.5)).is_rising()
    line = trend(-np.arange(200.0))
    assert line.fall == 50.0 and line.fall_error < 1e-9 and line.is_falling(99.0) and not line.is_falling(101.0)
