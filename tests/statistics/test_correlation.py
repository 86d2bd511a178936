"""Autocorrelation times against slow twins and against chains whose answer is known."""

import numpy as np
import pytest

from markov_chains import ar1
from nnqmc.errors import InputError
from nnqmc.statistics import autocorrelation, autocorrelation_time, autocovariance, bulk_autocorrelation_time


def slow_autocovariance(series):
    centred = series - series.mean()
    return [np.mean(centred[: len(series) - lag] * centred[lag:]) for lag in range(len(series))]


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (17, 1), (40, 5)])
def test_transforms_equal_the_double_sum(shape):
    series = np.random.default_rng(0).standard_normal(shape) + 3.0
    assert np.allclose(autocovariance(series), slow_autocovariance(series), atol=1e-12)


def test_chunks_of_chains_do_not_change_the_sum(monkeypatch):
    series = np.random.default_rng(0).standard_normal((30, 7))
    whole = autocovariance(series)
    monkeypatch.setattr("nnqmc.statistics.correlation._SAMPLES_AT_ONCE", 128)
    assert np.allclose(autocovariance(series), whole, atol=1e-13)


def test_window_follows_geyer_rule():
    series = ar1(np.random.default_rng(3), 400, 3, 6.0)
    gamma, total, last, n_pairs = slow_autocovariance(series), 0.0, np.inf, 0
    while gamma[2 * n_pairs] + gamma[2 * n_pairs + 1] > 0.0:
        last = min(last, gamma[2 * n_pairs] + gamma[2 * n_pairs + 1])
        total, n_pairs = total + last, n_pairs + 1
    result = autocorrelation(series)
    assert result.window == 4 * n_pairs - 1
    assert np.isclose(result.tau, (2 * total / gamma[0] - 1) * (1 + result.window / series.size))


@pytest.mark.parametrize("tau", [1.0, 5.0, 20.0])
def test_known_autocorrelation_times_are_found(tau):
    series = ar1(np.random.default_rng(1), 2000, 32, tau)
    assert abs(autocorrelation_time(series) / tau - 1) < 0.1
    assert abs(autocorrelation(series).error / np.sqrt(tau / series.size) - 1) < 0.1


def test_tau_of_a_short_single_chain_is_not_too_small_on_average():
    rng = np.random.default_rng(2)
    found = np.mean([autocorrelation_time(ar1(rng, 500, 1, 5.0)) for _ in range(60)])
    assert 4.7 < found < 6.0


@pytest.mark.parametrize("tau", [1.0, 5.0, 20.0])
def test_the_bulk_forgets_as_fast_as_the_whole_where_all_is_normal(tau):
    series = ar1(np.random.default_rng(1), 1000, 64, tau)
    assert abs(bulk_autocorrelation_time(series) / tau - 1) < 0.1


def test_outliers_and_the_chains_own_means_have_no_say_in_the_bulk():
    series = ar1(np.random.default_rng(1), 400, 32, 5.0)
    usual = bulk_autocorrelation_time(series)
    series[100:103, 7] += 1e4
    assert abs(bulk_autocorrelation_time(series) / usual - 1) < 0.01
    apart = series + np.linspace(-0.1, 0.1, 32)
    assert autocorrelation_time(apart) != autocorrelation_time(series)
    assert abs(bulk_autocorrelation_time(apart) / usual - 1) < 0.05


def test_a_bulk_that_is_constant_has_nothing_to_forget():
    assert bulk_autocorrelation_time(np.full((50, 3), 0.1)) == 1.0
    assert bulk_autocorrelation_time([1.0]) == 1.0
    rare = np.zeros((40, 128))
    rare[7, 3] = 1.0
    assert bulk_autocorrelation_time(rare) == 1.0


def test_alternating_chains_are_better_than_independent_ones():
    rng = np.random.default_rng(0)
    assert 0.1 <= autocorrelation_time(ar1(rng, 1000, 4, 0.5)) < 0.6
    assert autocorrelation_time([1.0, 2.0]) == 1.0


def test_constant_series_have_nothing_to_forget():
    assert autocorrelation(np.full((50, 3), -0.1)) == (1.0, 0.0, 1)


@pytest.mark.parametrize(
    ("series", "message"),
    [
        ([[1.0, np.nan], [np.inf, 2.0]], "2 of 4 samples are not finite.*exclude"),
        (np.zeros((0, 4)), r"shape \(0, 4\)"),
        (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\)"),
        (1.0, r"shape \(\)"),
        (np.zeros(3, complex), "complex128"),
        (["a"], "dtype"),
    ],
)
def test_what_is_no_series_is_refused(series, message):
    with pytest.raises(InputError, match=message):
        autocorrelation_time(series)
