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
from nnqmc.statistics.formatting import format_with_error, in_millihartree, signed_millihartree
from nnqmc.statistics.jackknife import Quantity, covariance_of_mean, independent_blocks, jackknife
from nnqmc.statistics.observed import ObservableEstimate, estimate_observable
from nnqmc.statistics.remaining import Remaining, remaining
from nnqmc.statistics.scaling import PowerLaw, Scaling, power_law, scaling
from nnqmc.statistics.training import is_enough, notes_on_training, training_energy
from nnqmc.statistics.trend import Trend, trend
from nnqmc.statistics.trust import doubts

__all__ = [
    "Autocorrelation",
    "Blocking",
    "ErrorBar",
    "Estimate",
    "ObservableEstimate",
    "PowerLaw",
    "Quantity",
    "Remaining",
    "Scaling",
    "Trend",
    "autocorrelation",
    "autocorrelation_time",
    "autocovariance",
    "blocking",
    "bulk_autocorrelation_time",
    "covariance_of_mean",
    "doubts",
    "drift",
    "error_bars",
    "estimate",
    "estimate_observable",
    "format_with_error",
    "in_millihartree",
    "independent_blocks",
    "is_enough",
    "jackknife",
    "largest_share",
    "notes_on_training",
    "power_law",
    "r_hat",
    "remaining",
    "scaling",
    "signed_millihartree",
    "tail_index",
    "training_energy",
    "trend",
]
