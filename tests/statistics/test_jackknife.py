"""Error bars of functions of means: equal to loops that leave out one block at a time, and right on average."""

from __future__ import annotations

import numpy as np
import pytest

from nnqmc.statistics import covariance_of_mean, independent_blocks, jackknife


def functions(mean, covariance):
    """A ratio, an array, and something that needs the covariance."""
    return {"ratio": mean[0] / mean[1], "squares": np.outer(mean, mean), "unbiased": mean @ mean - np.trace(covariance)}


def by_loops(blocks, function):
    """The same with every mean and covariance computed anew."""
    n, left = len(blocks), []
    for i in range(n):
        others = np.array([block for j, block in enumerate(blocks) if j != i])
        left.append(function(others.mean(axis=0), np.cov(others.T, ddof=1) / len(others)))
    errors = {}
    for name in left[0]:
        values = np.array([each[name] for each in left])
        errors[name] = np.sqrt((n - 1) / n * sum((value - values.mean(axis=0)) ** 2 for value in values))
    return errors


def test_it_is_that_of_loops_which_leave_out_one_block():
    blocks = np.random.default_rng(0).normal(size=(11, 3)) + np.array([3.0, 2.0, 1.0])
    found, expected = jackknife(blocks, functions), by_loops(blocks, functions)
    assert found.keys() == expected.keys() and found["squares"].shape == (3, 3)
    for name, error in expected.items():
        np.testing.assert_allclose(found[name], error, rtol=1e-9, err_msg=name)
    np.testing.assert_allclose(covariance_of_mean(blocks), np.cov(blocks.T, ddof=1) / 11, rtol=1e-12)


def test_of_a_mean_it_is_the_usual_standard_error():
    blocks = np.random.default_rng(1).normal(size=(20, 2))
    errors = jackknife(blocks, lambda mean, covariance: {"mean": mean})["mean"]
    np.testing.assert_allclose(errors, blocks.std(axis=0, ddof=1) / np.sqrt(20), rtol=1e-12)


def test_fewer_than_three_blocks_have_no_error():
    for n_blocks in (1, 2):
        blocks = np.ones((n_blocks, 2)) * np.arange(1, 3)
        found = jackknife(blocks, lambda mean, covariance: {"sum": mean.sum(), "mean": mean})
        assert np.isnan(found["sum"]) and np.isnan(found["mean"]).all() and found["mean"].shape == (2,)


@pytest.mark.parametrize(("shape", "tau", "size"), [((1000, 4), 10.0, 50), ((1000, 4), float("nan"), 8),
                                                    ((100, 256), 1.0, 50), ((40, 2), 30.0, 5), ((3, 2), 1.0, 1)])
def test_blocks_are_several_autocorrelation_times_long_neither_many_nor_few(shape, tau, size):
    series = np.random.default_rng(2).normal(size=(*shape, 3))
    blocks = independent_blocks(series, tau)
    assert blocks.shape == (shape[0] // size * shape[1], 3)
    first = series[shape[0] % size:][:size, 0]
    np.testing.assert_allclose(blocks[0], first.mean(axis=0), rtol=1e-12)


def test_the_error_is_the_spread_over_many_trials_of_correlated_chains():
    """A ratio of means of autoregressive chains (tau = 9): the error bar against what 300 trials scatter."""
    rng, phi = np.random.default_rng(3), 0.8
    ratios, errors = [], []
    for _ in range(300):
        noise = rng.normal(size=(400, 4, 2)) * np.sqrt(1.0 - phi**2)
        series = np.zeros_like(noise)
        series[0] = rng.normal(size=(4, 2))
        for step in range(1, 400):
            series[step] = phi * series[step - 1] + noise[step]
        blocks = independent_blocks(series + np.array([6.0, 3.0]), 9.0)
        ratios.append(blocks.mean(axis=0)[0] / blocks.mean(axis=0)[1])
        errors.append(jackknife(blocks, lambda mean, covariance: {"ratio": mean[0] / mean[1]})["ratio"])
    np.testing.assert_allclose(np.mean(errors), np.std(ratios), rtol=0.12)
