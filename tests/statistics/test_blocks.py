"""Blocking against its definition and against chains whose answer is known."""

import numpy as np
import pytest

from nnqmc.statistics import blocking


def slow_error(series, size):
    count = len(series) // size
    tail = series[len(series) - count * size :]
    blocks = [tail[k * size : (k + 1) * size, chain].mean() for chain in range(series.shape[1]) for k in range(count)]
    return np.std(blocks, ddof=1) * np.sqrt(size / series.size)


@pytest.mark.parametrize("shape", [(2, 1), (64, 1), (50, 3), (7, 2), (1, 5)])
def test_every_level_equals_its_definition(shape):
    series = np.random.default_rng(0).standard_normal(shape)
    series = series + 100.0
    table = blocking(series)
    assert np.allclose(table.errors, [slow_error(series - 100.0, size) for size in table.sizes])
    assert np.array_equal(table.n_blocks, [shape[1] * (shape[0] // size) for size in table.sizes])
    assert np.allclose(table.errors_of_errors, table.errors / np.sqrt(2 * (table.n_blocks - 1)))
    assert np.all(table.n_blocks >= 2)


def test_the_last_block_is_the_spread_of_the_chains():
    series = np.random.default_rng(0).standard_normal((50, 6))
    table = blocking(series)
    assert table.sizes[-1] == 50
    assert np.isclose(table.errors[-1], series.mean(0).std(ddof=1) / np.sqrt(6))


def test_the_choice_is_on_the_plateau():
    rng, phi = np.random.default_rng(4), 0.8
    series = rng.standard_normal((4096, 8))
    for step in range(1, 4096):
        series[step] = phi * series[step - 1] + 0.6 * series[step]
    table = blocking(series)
    assert table.resolved and 9 * 4 < table.sizes[table.choice] < 4096
    assert abs(table.error / np.sqrt(9 / series.size) - 1) < 4 / np.sqrt(2 * table.n_blocks[table.choice])


def test_a_short_series_says_that_it_is_too_short():
    walk = np.cumsum(np.random.default_rng(0).standard_normal(64))
    table = blocking(walk)
    assert not table.resolved and table.choice == len(table.sizes) - 1


def test_one_sample_has_no_error_and_a_constant_series_none_either():
    assert np.isnan(blocking([1.0]).error)
    assert blocking(np.full(64, 0.1)).error == 0.0
