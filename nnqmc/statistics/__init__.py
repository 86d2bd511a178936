"""Means with error bars, computed in float64 numpy on the host from series of shape (n_steps, n_chains)."""

from nnqmc.statistics.blocks import Blocking, blocking
from nnqmc.statistics.convergence import drift, largest_share, r_hat, tail_index
from nnqmc.statistics.correlation import (
    Autocorrelation,
    autocorrelation,
    autocorrelation_time,
    autocovariance,
    bulk_autocorrelation_time,
)
from nnqmc.statistics.errorbar import ErrorBar, error_bars
from nnqmc.statistics.estimates import Estimate, estimate
from nnqmc.statistics.formatting import format_with_error
from nnqmc.statistics.jackknife import Quantity, covariance_of_mean, independent_blocks, jackknife
from nnqmc.statistics.observed import ObservableEstimate, estimate_observable
from nnqmc.statistics.trend import Trend, trend

__all__ = [
    "Autocorrelation",
    "Blocking",
    "ErrorBar",
    "Estimate",
    "ObservableEstimate",
    "Quantity",
    "Trend",
    "autocorrelation",
    "autocorrelation_time",
    "autocovariance",
    "blocking",
    "bulk_autocorrelation_time",
    "covariance_of_mean",
    "drift",
    "error_bars",
    "estimate",
    "estimate_observable",
    "format_with_error",
    "independent_blocks",
    "jackknife",
    "largest_share",
    "r_hat",
    "tail_index",
    "trend",
]
