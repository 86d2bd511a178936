"""How energies of ever larger networks approach their limit: a power law, a line against the variance, error bars."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

import numpy as np

from nnqmc.errors import InputError

_FEWEST, _DRAWS, _MOST_SUBSETS = 4, 200, 200
"""The members of which a limit may be extrapolated, the samples of the bootstrap, and the most subsets left out."""

_HARMLESS = 1e-3
"""An uncertainty in hartree that never speaks against a limit."""

_EXPONENTS = np.geomspace(0.05, 5.0, 200)
"""The exponents among which that of a power law is looked for."""


class PowerLaw(NamedTuple):
    """E(P) = limit + amplitude P^-exponent, P relative to the geometric mean of all sizes."""

    limit: float
    amplitude: float
    exponent: float


class Scaling(NamedTuple):
    """What a ladder of sizes tells of the limit; None stands for what is refused.

    Attributes:
        extrapolated: the energy at variance zero in hartree, from a line through all members.
        error: its standard error: the larger of bootstrap and leave-k-out, and half of the difference to the limit of
            the power law, in quadrature.
        beta: the exponent of the power law, which belongs to `power_law_limit` and to no other limit.
        beta_error: its standard error, the larger of bootstrap and leave-k-out.
        power_law_limit: the limit of the power law in hartree.
        verdict: in a sentence, whether a limit is extrapolated, and if not, why.
    """

    extrapolated: float | None
    error: float | None
    beta: float | None
    beta_error: float | None
    power_law_limit: float | None
    verdict: str


def scaling(parameters: np.ndarray, energies: np.ndarray, errors: np.ndarray, variances: np.ndarray, *, seed: int = 0
            ) -> Scaling:
    """Return the limit of the energies of networks that were trained alike, and the exponent of their approach.

    The limit is that of the line E = E0 + k V against the variance, and the exponent that of E = E0 + alpha P^-beta
    with an E0 of its own. Members scatter by more than their error bars, since training ends by chance here or there;
    that scatter is estimated from the residuals of each fit and added to the error bars in its bootstrap. Leave-k-out
    is the jackknife that leaves k members out, k a third of those that the fit could do without.

    Args:
        parameters: (n,) numbers of parameters, positive.
        energies: (n,) in hartree.
        errors: (n,) their standard errors, positive.
        variances: (n,) of the local energy in hartree^2.
        seed: of the bootstrap.

    Raises:
        InputError: the arrays aren't of one length, or have numbers that aren't finite, or aren't positive where they
            have to be.
    """
    columns = [np.asarray(column, np.float64) for column in (parameters, energies, errors, variances)]
    if len({column.shape for column in columns}) > 1 or columns[0].ndim != 1:
        raise InputError(f"arrays of the shapes {[column.shape for column in columns]}: give one number of each kind "
                         "for each member")
    if not all(np.isfinite(column).all() for column in columns) or not min(
            column.min(initial=1.0) for column in (columns[0], columns[2], columns[3])) > 0.0:
        raise InputError("sizes, errors and variances must be positive and finite, and energies finite")
    size, energy, error, variance = (column[np.argsort(columns[0], kind="stable")] for column in columns)
    if (reason := _reason_to_refuse(size, variance)) is not None:
        return Scaling(None, None, None, None, None, f"refused: {reason}")
    line = np.array([variance, energy, error])
    law = np.array([size, energy, error])
    limit, limit_error = _with_error(line, lambda data: _line(*data), 2, seed)
    fitted = power_law(*law)
    power, power_error = _with_error(law, lambda data: np.array(power_law(*data)), 3, seed)
    total = float(np.hypot(limit_error[0], 0.5 * (limit[0] - power[0])))
    beta, beta_error = fitted.exponent, float(power_error[2])
    if limit[1] <= 0.0:
        return Scaling(None, None, beta, beta_error, fitted.limit, "refused: the energy doesn't fall with the variance")
    if total > (gap := float(energy.min() - limit[0])) and total > _HARMLESS:
        reason = f"the limit is uncertain by {1e3 * total:.2g} mHa, but {1e3 * gap:.2g} mHa from the best member"
        return Scaling(None, None, beta, beta_error, fitted.limit, f"refused: {reason}")
    return Scaling(float(limit[0]), total, beta, beta_error, fitted.limit,
                   "extrapolated to variance zero; this number isn't variational")


def power_law(size: np.ndarray, energy: np.ndarray, error: np.ndarray) -> PowerLaw:
    """Return the power law E0 + alpha P^-beta of least squares, weighted by the errors; beta is from 0.05 to 5.

    For a given exponent the fit is linear; the exponent is that of the least sum of squares on a grid, refined once.

    Args:
        size, energy, error: (n,) with n at least 3.
    """
    relative, grid = size / np.exp(np.mean(np.log(size))), _EXPONENTS
    for _ in range(2):
        intercepts, slopes, squares = _weighted(relative ** -grid[:, None], energy, error)
        best = int(np.argmin(squares))
        found = PowerLaw(float(intercepts[best]), float(slopes[best]), float(grid[best]))
        grid = np.geomspace(grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)], 50)
    return found


def _reason_to_refuse(size: np.ndarray, variance: np.ndarray) -> str | None:
    """Return why nothing is extrapolated from members in the order of their sizes, or None."""
    if len(size) < _FEWEST:
        return f"{len(size)} members are too few, it takes {_FEWEST}"
    if len(np.unique(size)) < _FEWEST:
        return f"there are fewer than {_FEWEST} different sizes"
    half = len(size) // 2
    if np.exp(np.mean(np.log(variance[-half:]))) >= np.exp(np.mean(np.log(variance[:half]))):
        return "the variance doesn't fall with the size, so that larger networks aren't better here"
    return None


def _weighted(x: np.ndarray, y: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return intercept, slope and the sum of squares of the weighted line through points, for every row of x."""
    weight = error**-2.0 / np.sum(error**-2.0)
    x_off, y_mean = x - (x @ weight)[..., None], weight @ y
    slope = (x_off * (y - y_mean)) @ weight / np.maximum(x_off**2 @ weight, 1e-300)
    intercept = y_mean - slope * (x @ weight)
    return intercept, slope, np.sum(((y - intercept[..., None] - slope[..., None] * x) / error) ** 2, axis=-1)


def _line(x: np.ndarray, y: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return intercept and slope."""
    return np.array(_weighted(x[None], y, error)[:2])[:, 0]


def _with_error(data: np.ndarray, fit: Callable[[np.ndarray], np.ndarray], n_fitted: int, seed: int
                ) -> tuple[np.ndarray, np.ndarray]:
    """Return what a fit of the columns (x, energy, error) finds, and the standard errors: bootstrap or leave-k-out."""
    data = data.copy()
    n = data.shape[1]
    data[2] = np.hypot(data[2], _scatter(data, fit, n_fitted))
    found, rng = fit(data), np.random.default_rng(seed)
    draws = [fit(np.array([data[0], data[1] + data[2] * rng.standard_normal(n), data[2]])) for _ in range(_DRAWS)]
    k = max(1, (n - n_fitted) // 3)
    subsets = list(combinations(range(n), n - k))
    if len(subsets) > _MOST_SUBSETS:
        subsets = [subsets[i] for i in rng.choice(len(subsets), _MOST_SUBSETS, replace=False)]
    left_out = np.array([fit(data[:, list(kept)]) for kept in subsets]) - found
    jackknife = np.sqrt((n - k) / k * np.mean(left_out**2, axis=0))
    return found, np.maximum(np.std(draws, axis=0, ddof=1), jackknife)


def _scatter(data: np.ndarray, fit: Callable[[np.ndarray], np.ndarray], n_fitted: int) -> float:
    """Return the standard deviation that members have besides their error bars, from the residuals of a fit."""
    found = fit(data)
    x = data[0] if n_fitted == 2 else (data[0] / np.exp(np.mean(np.log(data[0])))) ** -found[2]
    residual = data[1] - found[0] - found[1] * x
    surplus = np.sum(residual**2) / (data.shape[1] - n_fitted) - np.mean(data[2] ** 2)
    return float(np.sqrt(max(surplus, 0.0)))
