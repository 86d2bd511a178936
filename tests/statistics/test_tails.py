"""Rare and large samples: the error bar is inflated by what may have been missed, and holds where it is believed."""

import math
from types import MappingProxyType

import numpy as np
import pytest

from nnqmc.statistics import error_bars, estimate
from nnqmc.statistics.tails import tails_of


def power_law(index, shape=(100, 64)):
    return lambda rng: rng.pareto(index, shape) - 1.0 / (index - 1.0)


def two_populations(visits, shape=(100, 64)):
    """A narrow peak, and `visits` samples on average elsewhere, of a mean size 1 with a tail like local energies."""

    def drawn(rng):
        far = rng.random(shape) < visits / math.prod(shape)
        return 1e-3 * rng.standard_normal(shape) + far * 2.0 * rng.pareto(3.0, shape) - visits / math.prod(shape)

    return drawn


SERIES = MappingProxyType({"power 1.2": power_law(1.2, (200, 128)), "power 1.5": power_law(1.5),
                           "power 2.5": power_law(2.5), "visits": two_populations(30.0),
                           "Gaussian": lambda rng: rng.standard_normal((100, 64))})


def drawn(name, n_trials):
    rng = np.random.default_rng(3)
    return [SERIES[name](rng) for _ in range(n_trials)]


def is_heavy(result):
    return any("heavy" in caveat for caveat in result.caveats)


def coverage(results):
    return np.mean([abs(result.value) <= result.error for result in results])


@pytest.mark.parametrize("name", ["power 1.2", "power 1.5", "power 2.5", "visits"])
def test_inflated_error_bars_hold_also_where_they_are_believed_because_they_came_out_small(name):
    """But for a power of 1.2, where only all together do: of the smaller half two error bars hold."""
    results = [(estimate(series), series) for series in drawn(name, 100)]
    heavy = [(result, series) for result, series in results if is_heavy(result)]
    bounded = [result for result, series in heavy if tails_of(series - series.mean(), result.tau).is_bounded]
    smaller = [result for result in bounded if result.error <= np.median([each.error for each in bounded])]
    if name == "power 1.2":
        smaller = [2.0 * result - result.value for result in smaller]
    for some in (bounded, smaller):
        assert coverage(some) > 0.683 - 3.0 * math.sqrt(0.683 * 0.317 / len(some))


def test_without_inflation_they_would_not_hold():
    found = [(series.mean(), error_bars(series)["chains"].error) for series in drawn("power 1.2", 60)]
    small = np.median([error for _, error in found])
    assert np.mean([abs(value) <= error for value, error in found if error <= small]) < 0.3


@pytest.mark.parametrize("name", ["power 1.2", "power 1.5"])
def test_samples_without_a_variance_are_trusted_only_if_their_error_bar_is_small(name):
    heavy = [(result, series) for series in drawn(name, 30) if is_heavy(result := estimate(series))]
    assert len(heavy) > 18
    for result, series in heavy:
        is_bounded = tails_of(series - series.mean(), result.tau).is_bounded
        assert is_heavy(estimate(series, harmless=0.99 * result.error))
        assert is_heavy(estimate(series, harmless=1.01 * result.error)) is not is_bounded


def test_normal_samples_are_left_alone():
    for series in drawn("Gaussian", 20):
        assert estimate(series, harmless=1.0) == estimate(series) and not is_heavy(estimate(series))
        assert tails_of(series - series.mean(), 1.0).share < 0.1
    assert estimate(series).error == error_bars(series)["chains"].error


@pytest.mark.parametrize("visits", [1, 2, 4, 8])
def test_a_few_that_stand_out_say_too_little_of_the_others(visits):
    deviations = 1e-3 * np.random.default_rng(0).standard_normal((100, 64))
    deviations[10 :: 90 // visits, 0][:visits] += np.linspace(1.0, 3.0, visits)
    assert not tails_of(deviations, 1.0).is_bounded and is_heavy(estimate(deviations, harmless=1e6))


def test_the_inflation_is_what_its_docstring_says():
    series = SERIES["visits"](np.random.default_rng(1))
    deviations = series - series.mean()
    sizes = np.sort(np.abs(deviations.reshape(20, 5, 64).mean(1)).ravel())[::-1]
    share = sizes[0] ** 2 / np.sum(sizes**2)
    index = 1.0 / np.mean(np.log(sizes[:10] / sizes[10]))
    tails = tails_of(deviations, 1.0)
    assert tails.is_bounded and (tails.largest, tails.share) == (pytest.approx(index), pytest.approx(share))
    factor = 2.3 * index / (index - 1.0)
    assert tails.inflation == pytest.approx(math.sqrt(1.0 - share + factor**2 * share))


def test_blocks_of_one_size_may_have_been_missed_as_a_poisson_mean_says():
    deviations = np.zeros((100, 64))
    deviations[::10, 0] = 1.0
    deviations[5, 1] = 1.0
    tails = tails_of(deviations, 1.0)
    assert math.isinf(tails.largest) and tails.inflation == pytest.approx(math.sqrt(1.0 + (2.3**2 - 1.0) * tails.share))
