"""This module tells whether a training curve was still falling, or rising, when it ended."""

from typing import Any, NamedTuple

import numpy as np

from nnqmc.statistics.correlation import autocorrelation

FEWEST_STEPS = 100
"""The steps that a curve needs at least, so that its quarters have errors that mean something."""

_CLEAR_FALL, _CLEAR_RISE = 3.0, 4.0
"""The standard errors beyond which a change is no noise; for a rise the lowest of three windows is looked for first."""

_LEFT_OVER_FALL = 2.0
"""The share of its fall from the third to the last quarter that a curve a / n still has to go, a / N, is 2.1."""


class Trend(NamedTuple):
    """Holds how the last quarter of a curve differs from those before, in the unit of the curve.

    fall: how much lower the last quarter lies than the third.
    rise: how much higher the last quarter lies than the lowest one before.
    fall_error, rise_error: their standard errors.
    """

    fall: float
    fall_error: float
    rise: float
    rise_error: float

    def is_falling(self, tolerance: float = 0.0) -> bool:
        """Tell whether the curve was falling at its end, and has more than `tolerance` left if it falls as 1/n."""
        return self.fall > _CLEAR_FALL * self.fall_error and _LEFT_OVER_FALL * self.fall > tolerance

    def is_rising(self, tolerance: float = 0.0) -> bool:
        """Tell whether the curve ended higher than it was before, by more than `tolerance`."""
        return self.rise > _CLEAR_RISE * self.rise_error and self.rise > tolerance


def trend(series: Any) -> Trend | None:
    """Return how a curve was changing at its end, or None if it is too short to tell.

    The curve is cut into quarters, and their means are compared. Their standard errors come from the autocorrelation of
    what is left when a straight line is taken from each half of the curve, so that a fall doesn't count as noise. Flat
    noise whose autocorrelation time is at most a twentieth of the curve seems to fall or to rise in less than 2 of 100
    cases each.

    Args:
        series: (n_steps,) means of the energy over all walkers, one for each step; those that aren't finite are left
            out, and the oldest up to three, so that quarters are equal.

    Returns:
        The trend; None for fewer than 100 finite steps.
    """
    curve = np.asarray(series, np.float64)
    curve = curve[np.isfinite(curve)]
    if len(curve) < FEWEST_STEPS:
        return None
    size = len(curve) // 4
    quarters = curve[len(curve) - 4 * size :].reshape(4, size)
    means = quarters.mean(1)
    errors = np.repeat([_error_of_quarter(half) for half in quarters.reshape(2, 2 * size)], 2)
    lowest = int(np.argmin(means[:3]))
    return Trend(float(means[2] - means[3]), float(np.hypot(errors[2], errors[3])),
                 float(means[3] - means[lowest]), float(np.hypot(errors[lowest], errors[3])))


def _error_of_quarter(half: np.ndarray) -> float:
    """Return the standard error of the mean of a quarter from the noise around the straight line through its half."""
    steps = np.arange(len(half)) - 0.5 * (len(half) - 1)
    deviations = half - half.mean()
    noise = deviations - steps * (steps @ deviations) / (steps @ steps)
    return float(np.sqrt(2.0)) * autocorrelation(noise).error
