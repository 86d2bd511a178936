"""Error bars that hold: float64 numpy on the host, from series of shape (n_steps, n_chains)."""

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

__all__ = [
    "Autocorrelation",
    "Blocking",
    "ErrorBar",
    "Estimate",
    "autocorrelation",
    "autocorrelation_time",
    "autocovariance",
    "blocking",
    "bulk_autocorrelation_time",
    "drift",
    "error_bars",
    "estimate",
    "format_with_error",
    "largest_share",
    "r_hat",
    "tail_index",
]
