"""Three estimates of the error of a mean, and the choice of the one to report."""

from typing import Any, NamedTuple

import numpy as np

from nnqmc.statistics.blocks import blocking
from nnqmc.statistics.chains import centred
from nnqmc.statistics.correlation import Autocorrelation, autocorrelation

MANY_CHAINS = 16  # from here on the spread of the chains is the most reliable of the three
_CLEARLY = 2.0  # standard errors by which another estimate must be larger to be believed instead


class ErrorBar(NamedTuple):
    """An error of the mean, and the standard error of that error; both are nan where they can't be had."""

    error: float
    uncertainty: float


def error_bars(series: Any, correlation: Autocorrelation | None = None) -> dict[str, ErrorBar]:
    """Return the error of the mean from the spread of the chains, from blocks of steps, and from autocovariances.

    `chains` takes chains as independent and nothing else; `blocking` averages over chains first, so that it also sees
    what they have in common; `autocorrelation` uses every pair of samples in each chain.

    Args:
        series: (n_steps, n_chains) or (n_steps,).
        correlation: `autocorrelation(series)` if it is at hand.

    Returns:
        The three error bars by name.

    Raises:
        InputError: for a series that is empty, not real or not finite.
    """
    _, deviations = centred(series)
    n_chains, n_samples = deviations.shape[1], deviations.size
    unknown = ErrorBar(float("nan"), float("nan"))
    spread = unknown
    if n_chains > 1:
        error = float(deviations.mean(0).std(ddof=1)) / np.sqrt(n_chains)
        spread = ErrorBar(error, error / np.sqrt(2.0 * (n_chains - 1)))
    table = blocking(deviations.mean(1))
    correlation = autocorrelation(deviations) if correlation is None else correlation
    relative = np.sqrt(correlation.window / (2.0 * n_samples))
    paired = ErrorBar(correlation.error, correlation.error * relative) if len(deviations) > 1 else unknown
    return {"chains": spread, "blocking": ErrorBar(table.error, table.error_of_error), "autocorrelation": paired}


def choose(bars: dict[str, ErrorBar], n_chains: int) -> float:
    """Return the error to report: the most reliable of `error_bars`, unless another is clearly larger.

    Simply taking the largest of three noisy numbers would be too large on average, so another one replaces the first
    only if it exceeds it by twice the standard error of their difference.

    Args:
        bars: what `error_bars` returned.
        n_chains: number of chains.

    Returns:
        The error of the mean; nan where nothing could be had.
    """
    order = ("chains", "autocorrelation", "blocking") if n_chains >= MANY_CHAINS else ("autocorrelation", "chains")
    known = [name for name in (*order, *bars) if np.isfinite(bars[name].error)]
    if not known:
        return float("nan")
    first = bars[known[0]]
    larger = [
        other.error
        for other in (bars[name] for name in known[1:])
        if other.error - first.error > _CLEARLY * np.hypot(other.uncertainty, first.uncertainty)
    ]
    return max([first.error, *larger])
