"""Warnings must come when something is wrong, and stay away when nothing is."""

import numpy as np
import pytest

from nnqmc.statistics import drift, largest_share, r_hat, tail_index


def test_r_hat_equals_its_definition():
    series = np.random.default_rng(0).standard_normal((21, 3))
    halves = [series[1 + half * 10 : 11 + half * 10, chain] for half in range(2) for chain in range(3)]
    between = 10 * np.var([half.mean() for half in halves], ddof=1)
    within = np.mean([half.var(ddof=1) for half in halves])
    assert np.isclose(r_hat(series), np.sqrt((0.9 * within + between / 10) / within))


def test_r_hat_sees_a_chain_that_disagrees():
    series = np.random.default_rng(0).standard_normal((400, 8))
    assert 0.99 < r_hat(series) < 1.01
    series[:, 3] += 2.0
    assert r_hat(series) > 1.1


def test_r_hat_of_constant_and_short_series():
    assert r_hat(np.full((10, 3), 0.1)) == 1.0
    assert r_hat(np.repeat([[0.0, 1.0]], 10, axis=0)) == np.inf
    assert np.isnan(r_hat([[1.0, 2.0], [3.0, 5.0], [4.0, 1.0]]))


def test_drift_sees_what_r_hat_does_not():
    series = np.random.default_rng(0).standard_normal((200, 256))
    assert abs(drift(series)) < 4.0
    series -= np.linspace(0.0, 0.2, 200)[:, None]
    assert drift(series) < -4.0 and r_hat(series) < 1.02


def test_drift_equals_its_definition():
    series = np.random.default_rng(1).standard_normal((11, 6))
    differences = series[6:].mean(0) - series[1:6].mean(0)
    assert np.isclose(drift(series), differences.mean() / differences.std(ddof=1) * np.sqrt(6))


def test_drift_where_it_cannot_be_had():
    assert drift(np.full((10, 3), 0.1)) == 0.0
    assert np.isnan(drift([[1.0, 2.0]])) and np.isnan(drift([1.0, 2.0, 3.0]))
    assert drift([[0.0, 0.0], [1.0, 1.0]]) == np.inf


def test_largest_share_is_the_outlier_s_part():
    series = np.array([-1.0, 1.0, -1.0, 1.0, -3.0, 3.0])
    assert np.isclose(largest_share(series), 9 / 22)
    assert np.isclose(largest_share([0.0, 2.0, 5.0, 5.0], 2), 0.5)
    assert largest_share(np.ones(4)) == 0.0


@pytest.mark.parametrize("index", [1.0, 3.0])
def test_the_tail_index_of_student_s_distribution_is_its_degrees_of_freedom(index):
    found, uncertainty = tail_index(np.random.default_rng(0).standard_t(index, (1000, 200)))
    assert abs(found - index) < 4 * uncertainty + 0.15 * index


def test_far_out_the_tail_of_a_narrow_peak_shows_what_it_is():
    rng, shape = np.random.default_rng(0), (1000, 256)
    series = np.where(rng.random(shape) < 0.01, 3.0 * rng.standard_t(3.0, shape), 0.3 * rng.standard_normal(shape))
    near, far = tail_index(series), tail_index(series, 5e-4)
    assert near[0] + near[1] < 2.0 < far[0]


def test_thin_tails_and_few_samples_raise_no_alarm():
    rng = np.random.default_rng(0)
    assert tail_index(rng.standard_normal((1000, 50)))[0] > 5
    assert tail_index(rng.standard_normal(100)) == (np.inf, np.inf)
