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


_ERROR_OF_MEDIAN = 1.25
"""The standard error of a median of normal noise, over that of its mean."""


class Trend(NamedTuple):
    """Holds how the last quarter of a curve differs from those before, in the unit of the curve.

    fall: how much lower the last quarter lies than the third.
    rise: how much higher the last quarter, or the last twentieth where that is clearer, lies than the lowest before.
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
    cases each. What rises only in the last twentieth is told by medians, which a single step can't move.

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
    errors = np.repeat([np.sqrt(2.0) * _error_around_line(half) for half in quarters.reshape(2, 2 * size)], 2)
    lowest = int(np.argmin(means[:3]))
    rise, rise_error = means[3] - means[lowest], np.hypot(errors[lowest], errors[3])
    late = np.median(curve[-(len(curve) // 20) :]) - np.median(quarters[lowest])
    late_error = _ERROR_OF_MEDIAN * np.sqrt(1.0 + 5.0) * np.median([_error_around_line(part) for part in quarters[:3]])
    if late * rise_error > rise * late_error:
        rise, rise_error = late, late_error
    return Trend(float(means[2] - means[3]), float(np.hypot(errors[2], errors[3])), float(rise), float(rise_error))


def _error_around_line(part: np.ndarray) -> float:
    """Return the standard error of the mean of a part from the noise around the straight line through it."""
    steps = np.arange(len(part)) - 0.5 * (len(part) - 1)
    deviations = part - part.mean()
    noise = deviations - steps * (steps @ deviations) / (steps @ steps)
    return autocorrelation(noise).error
