"""This module estimates what a training curve would still gain if training went on, with its uncertainty."""

import math
from typing import Any, NamedTuple

import numpy as np

from nnqmc.statistics.correlation import autocorrelation
from nnqmc.units import CHEMICAL_ACCURACY

FEWEST_STEPS = 100
"""The steps that a curve needs at least."""

_FIRST = (0.25, 0.5)
"""The shares of the steps that are left out at the start, where a curve doesn't follow a power law yet."""

_EXPONENTS = 2.0 ** np.linspace(-2.0, 3.0, 41)
_SPREAD = 0.5
"""The standard deviation of the logarithm of the exponent, before the curve is seen."""

_FARTHEST_CUT = 8.0
"""The standard deviations by which a mean may be negative; beyond, the cut distribution can't be told by float64."""


class Remaining(NamedTuple):
    """Holds what is left to gain, in the unit of the curve, and its standard error."""

    value: float
    error: float

    def is_more_than(self, accuracy: float | None) -> bool:
        """Tell whether more than an accuracy is left even if it is one standard error less than estimated.

        The accuracy has the unit of the curve; None stands for chemical accuracy in hartree.
        """
        return self.value - self.error > (CHEMICAL_ACCURACY if accuracy is None else accuracy)


def remaining(series: Any) -> Remaining | None:
    """Return how far a training curve lies above its limit, estimated by power laws.

    The curve is fitted by E + a (n / N)^-b, with n the step and N the last one, so that a is what is left. For each
    exponent b the fit is linear; the fits are weighted with their likelihood and with a log-normal prior of b around 1,
    and their spread adds to the error. Steps are correlated: the noise of the best fit is scaled up by its
    autocorrelation time. All this is done for the last three quarters and for the last half of the curve, and how much
    they differ adds to the error as well, since no real curve is a power law. Where noise makes a negative, the mean
    and the error are those of a normal distribution cut off at zero: training isn't expected to raise the energy.

    Args:
        series: (n_steps,) means of the energy over all walkers, one for each step; those that aren't finite are left
            out.

    Returns:
        What is left and its standard error; None for fewer than 100 finite steps.
    """
    curve = np.asarray(series, np.float64)
    steps = np.flatnonzero(np.isfinite(curve)) + 1.0
    curve = curve[np.isfinite(curve)]
    if len(curve) < FEWEST_STEPS:
        return None
    parts = (slice(int(first * len(curve)), None) for first in _FIRST)
    found = np.array([_of_power_laws(steps[part] / steps[-1], curve[part]) for part in parts])
    spread = float(np.sqrt(np.mean(found[:, 1] ** 2) + found[:, 0].var()))
    mean = float(found[:, 0].mean())
    return _cut_off(mean, spread) if spread > 0.0 else Remaining(max(mean, 0.0), 0.0)


def _of_power_laws(times: np.ndarray, curve: np.ndarray) -> tuple[float, float]:
    """Return a and its standard error for a curve E + a t^-b at times t up to 1, averaged over b."""
    fits = [_fit(times**-exponent, curve) for exponent in _EXPONENTS]
    means, factors = (np.array(column) for column in list(zip(*fits, strict=True))[:2])
    squares = np.array([noise @ noise for _, _, noise in fits])
    best = int(np.argmin(squares))
    variance = len(curve) * autocorrelation(fits[best][2]).error ** 2
    if variance == 0.0:
        return float(means[best]), 0.0
    log_weights = -(squares - squares[best]) / (2.0 * variance) - np.log(_EXPONENTS) ** 2 / (2.0 * _SPREAD**2)
    weights = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    mean = weights @ means
    return float(mean), float(np.sqrt(weights @ ((means - mean) ** 2 + variance * factors)))


def _fit(power: np.ndarray, curve: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Return the factor of `power` in its linear fit with a constant, its variance per unit of noise, and the rest."""
    centred = power - power.mean()
    factor = float(centred @ curve / (centred @ centred))
    return factor, float(1.0 / (centred @ centred)), curve - curve.mean() - factor * centred


def _cut_off(mean: float, spread: float) -> Remaining:
    """Return mean and standard deviation of a normal distribution without its negative part."""
    cut = min(-mean / spread, _FARTHEST_CUT)
    share = 0.5 * math.erfc(cut / math.sqrt(2.0))
    hazard = math.exp(-0.5 * cut**2) / math.sqrt(2.0 * math.pi) / share
    return Remaining(max(mean, -_FARTHEST_CUT * spread) + spread * hazard,
                     spread * math.sqrt(1.0 + cut * hazard - hazard**2))
