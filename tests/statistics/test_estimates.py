"""An error bar holds the truth in about 68 of 100 trials, or says why it may not."""

import json
import math
import pickle
import re
from types import MappingProxyType

import numpy as np
import pytest

from markov_chains import ar1
from nnqmc.errors import InputError
from nnqmc.statistics import Estimate, error_bars, estimate


def heavy(normal):
    """Student's distribution with three degrees of freedom, close enough: variance finite, fourth moment not."""
    from scipy.stats import norm, t

    grid = np.linspace(-6.0, 6.0, 4001)
    return np.interp(normal, grid, t.ppf(norm.cdf(grid), 3))


def peak_and_tail(normal):
    """A narrow peak, and a hundredth of the samples in a tail that falls off as the local energy's does."""
    from scipy.stats import norm, t

    far = np.geomspace(60.0, 1e4, 2000)
    grid = np.concatenate([-far[:0:-1], np.linspace(-60.0, 60.0, 40001), far[1:]])
    probability = 0.99 * norm.cdf(grid / 0.3) + 0.01 * t.cdf(grid / 3.0, 3)
    return np.interp(norm.cdf(normal), probability, grid)


def trials(shape, n_steps, n_chains, tau, n_trials=500):
    """Whether each error bar held the true mean, 0, and whether it was trusted: (n_trials,) each."""
    rng = np.random.default_rng(7)
    pool = shape(ar1(rng, n_steps, n_trials * n_chains, tau))  # independent chains, dealt out to all trials
    results = [estimate(chains) for chains in np.split(pool, n_trials, axis=1)]
    return np.array([abs(r.value) <= r.error for r in results]), np.array([r.trusted for r in results])


def assert_68_percent(hits, standard_errors=3.0):
    assert abs(np.mean(hits) - 0.683) < standard_errors * math.sqrt(0.683 * 0.317 / len(hits))


@pytest.mark.parametrize(
    ("n_steps", "n_chains", "tau", "shape"),
    [(300, 16, 4.0, np.asarray), (300, 16, 4.0, heavy), (60, 128, 2.0, np.asarray), (500, 4, 5.0, np.asarray),
     (500, 16, 10.0, np.asarray)],
)
def test_error_bars_hold(n_steps, n_chains, tau, shape):
    hits, trusted = trials(shape, n_steps, n_chains, tau)
    assert trusted.mean() > 0.8
    assert_68_percent(hits[trusted])


def test_a_narrow_peak_with_a_heavy_tail_is_trusted_and_its_error_bar_holds():
    hits, trusted = trials(peak_and_tail, 100, 256, 2.0, 120)
    assert trusted.mean() > 0.8
    assert_68_percent(hits[trusted])


@pytest.mark.parametrize("shape", [np.asarray, heavy])
def test_chains_shorter_than_asked_for_are_not_trusted_because_their_error_bar_came_out_small(shape):
    hits, trusted = trials(shape, 100, 16, 4.5, 600)  # just short of or just beyond 25 autocorrelation times
    assert 0.02 < trusted.mean() < 0.98
    assert_68_percent(hits[trusted])


def test_chains_far_too_short_are_never_trusted():
    assert not trials(np.asarray, 200, 64, 30.0, 20)[1].any()


def test_a_good_sample_is_trusted_and_complete():
    series = ar1(np.random.default_rng(0), 400, 64, 3.0).astype(np.float32) * np.float32(0.1) - np.float32(8.0)
    result = estimate(series)
    assert result.trusted and result.caveats == ()
    assert isinstance(result.value, float) and result.n_samples == 400 * 64
    assert np.isclose(result.value, series.astype(np.float64).mean(), rtol=1e-13)
    assert np.isclose(result.variance, series.astype(np.float64).var(ddof=1), rtol=1e-9)
    assert 2.7 < result.tau < 3.3 and 1.0 < result.r_hat < 1.02
    assert 0.75 < result.error / (0.1 * math.sqrt(3.0 / series.size)) < 1.3


def test_tails_are_measured_where_there_are_enough_samples():
    result = estimate(power_law(3.0))
    assert result.trusted and abs(result.tail_index - 3.0) < 0.3
    assert 0.0 < result.largest_share < 0.05
    few = estimate(noise(20, 4))
    assert math.isnan(few.tail_index) and few.largest_share > 0.0


def test_small_deviations_from_a_large_mean_survive():
    noise = np.random.default_rng(0).standard_normal((200, 32))
    assert np.isclose(estimate(1e-6 * noise - 2000.0).error, 1e-6 * estimate(noise).error, rtol=1e-4)


@pytest.mark.parametrize("series", [np.full((30, 4), -0.1), np.full(7, -0.5, np.float32), np.full((1, 8), 0.3)])
def test_an_exact_wavefunction_has_no_error(series):
    result = estimate(series)
    assert (result.error, result.variance, result.tau, result.r_hat) == (0.0, 0.0, 1.0, 1.0)
    assert result.trusted and result.value == float(series.flat[0])


def test_a_given_variance_is_reported():
    assert estimate(np.random.default_rng(0).standard_normal((100, 16)), variance=7.0).variance == 7.0


def test_what_chains_have_in_common_is_not_averaged_away():
    rng = np.random.default_rng(0)
    common = ar1(rng, 400, 1, 3.0)
    result = estimate(common + 0.1 * rng.standard_normal((400, 32)))
    assert result.error > 0.7 * math.sqrt(3.0 / 400)


def test_error_bars_equal_their_definitions():
    series = ar1(np.random.default_rng(0), 512, 32, 3.0)
    bars = error_bars(series)
    assert np.isclose(bars["chains"].error, series.mean(0).std(ddof=1) / math.sqrt(32))
    assert np.isclose(bars["chains"].uncertainty, bars["chains"].error / math.sqrt(62))
    for bar in bars.values():
        assert abs(bar.error - math.sqrt(3.0 / series.size)) < 4 * bar.uncertainty


def noise(*shape):
    return np.random.default_rng(0).standard_normal(shape)


def stuck():
    series = noise(400, 64)
    series[100:300, 5] += 30.0
    return series


def power_law(index, shape=(800, 256)):
    """As many samples beyond each size as there should be, in any order and of both signs."""
    rng, n = np.random.default_rng(0), math.prod(shape)
    sizes = ((np.arange(n) + 1.0) / n) ** (-1.0 / index)
    return rng.permutation(sizes * rng.choice([-1.0, 1.0], n)).reshape(shape)


DOUBTFUL = MappingProxyType(
    {
        "one sample": lambda: noise(1, 1),
        "one step of 8 chains": lambda: noise(1, 8),
        "a single chain": lambda: noise(400),
        "autocorrelation time unresolved: only 100 steps": lambda: ar1(np.random.default_rng(0), 100, 64, 20.0),
        "R-hat": lambda: noise(400, 16) + np.arange(16.0),
        "drift: the second half of the steps lies .* below": lambda: (
            noise(200, 256) - np.linspace(0, 0.2, 200)[:, None]
        ),
        "heavy tails: the largest of": stuck,
        "heavy tails: they fall off with the power 1.6": lambda: power_law(1.6),
    }
)


@pytest.mark.parametrize("sentence", DOUBTFUL)
def test_doubts_are_put_in_words(sentence):
    result = estimate(DOUBTFUL[sentence]())
    assert not result.trusted
    assert re.search(sentence, "\n".join(result.caveats))


def test_few_numbers_give_what_they_can():
    assert math.isnan(estimate([1.0]).error) and estimate([1.0]).value == 1.0
    two = estimate([[1.0, 3.0]])
    assert np.isclose(two.error, 1.0) and math.isnan(two.tau)
    assert np.isclose(estimate([1.0, 3.0]).error, 1.0, rtol=0.5)


def test_non_finite_samples_are_refused():
    with pytest.raises(InputError, match=r"1 of 4 samples are not finite.*exclude.*report"):
        estimate([[1.0, np.nan], [2.0, 3.0]])


def test_estimates_print_and_survive_json():
    result = Estimate(-8.07039, 2.1e-4, 0.02, math.nan, 1.001, 1000, ("a reason",))
    assert str(result) == "-8.0704(2)" and float(result) == result.value
    plain = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert plain["tau"] is None
    again = Estimate.from_dict(plain | {"unit": "hartree"})
    assert again.to_dict() == result.to_dict() and math.isnan(again.tau)
    older = {name: value for name, value in plain.items() if name not in ("tail_index", "largest_share")}
    assert math.isnan(Estimate.from_dict(older).largest_share)
    trusted = Estimate(-1.0, 0.1, 0.2, 1.0, 1.0, 10, (), 3.0, 0.1)
    assert Estimate.from_dict(trusted.to_dict()) == trusted


ONE, TWO = Estimate(-8.0, 0.3, 0.02, 2.0, 1.01, 1000), Estimate(-7.5, 0.4, 0.03, 3.0, 1.02, 500, ("a reason",))


def test_sums_and_differences_carry_independent_errors():
    for found, value in ((ONE - TWO, -0.5), (ONE + TWO, -15.5), (TWO - ONE, 0.5)):
        assert (found.value, found.error) == (pytest.approx(value), pytest.approx(0.5))
        assert math.isnan(found.variance) and math.isnan(found.tau)
        assert (found.r_hat, found.n_samples, found.caveats) == (1.02, 500, ("a reason",))
        assert not found.trusted
    total = sum([ONE, ONE.minus(0.0), TWO])
    assert (total.value, total.error) == (pytest.approx(-23.5), pytest.approx(math.sqrt(0.3**2 + 0.3**2 + 0.4**2)))


def test_the_error_of_a_difference_is_that_of_many_trials():
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(2, 100_000))
    a, b = 0.3 * shared[0], 0.4 * (0.6 * shared[0] + 0.8 * shared[1])
    assert ONE.minus(TWO, correlation=0.6).error == pytest.approx((a - b).std(), rel=0.01)
    assert ONE.plus(TWO, correlation=0.6).error == pytest.approx((a + b).std(), rel=0.01)


def test_an_estimate_is_wholly_correlated_with_itself():
    assert ((ONE - ONE).value, (ONE - ONE).error) == (0.0, 0.0)
    assert ((ONE + ONE).value, (ONE + ONE).error) == ((2 * ONE).value, pytest.approx((2 * ONE).error))
    assert ONE.minus(ONE, correlation=0.0).error == pytest.approx(0.3 * math.sqrt(2.0))
    assert ONE.minus(TWO, correlation=1.0).error == pytest.approx(0.1)
    for wrong in (1.5, -2.0, math.nan):
        with pytest.raises(InputError, match="a correlation is a number from -1 to 1"):
            ONE.plus(TWO, correlation=wrong)


@pytest.mark.parametrize("number", [int, float, np.float64, np.float32, np.int64, np.array],
                         ids=lambda kind: kind.__name__)
def test_exact_numbers_shift_and_scale(number):
    two = number(2)
    for found, value in ((ONE + two, -6.0), (two + ONE, -6.0), (ONE - two, -10.0), (two - ONE, 10.0)):
        assert (type(found), found.value, found.error, found.variance, found.tau) == (Estimate, value, 0.3, 0.02, 2.0)
    for found in (ONE * two, two * ONE):
        assert (type(found), found.value, found.error, found.variance) == (Estimate, -16.0, 0.6, 0.08)
    assert (ONE / two, (ONE / two).variance) == (ONE * 0.5, 0.005)
    assert (ONE / 3).value == -8.0 / 3
    assert -ONE == ONE * -1 and +ONE is ONE and (-ONE).error == 0.3


def test_what_has_no_meaning_is_a_type_error():
    for wrong in (lambda: ONE + "x", lambda: ONE * TWO, lambda: 1.0 / ONE, lambda: ONE - None, lambda: [1] - ONE,
                  lambda: ONE + np.ones(2), lambda: ONE * np.array(1j)):
        with pytest.raises(TypeError):
            wrong()


def test_unknown_errors_stay_unknown():
    unknown = Estimate(1.0, math.nan, 0.1, math.nan, math.nan, 1, ("one sample: it has no error bar",))
    assert math.isnan((ONE - unknown).error) and math.isnan((unknown + ONE).r_hat) and not (unknown - ONE).trusted


def test_estimates_are_formatted_as_numbers_or_as_text():
    result = Estimate(-8.07039, 2.1e-4, 0.02, math.nan, 1.001, 1000)
    assert f"{result:.4f}" == "-8.0704" and f"{result:+.2e}" == "-8.07e+00" and f"{result:10.3f}" == "    -8.070"
    assert f"{result}" == f"{result!s}" == "-8.0704(2)" and "{:.1f}".format(result) == "-8.1"  # noqa: UP032
    assert f"{result:>12}" == f"{result:>12s}" == "  -8.0704(2)" and f"{result:*^14}" == "**-8.0704(2)**"
    assert "%.3f" % result == "-8.070" and f"{float(result):g}" == "-8.07039"  # noqa: UP031
    with pytest.raises(ValueError, match="format"):
        f"{result:nonsense}"


def test_differences_print_and_survive_json_too():
    difference = (ONE - TWO) * 627.5
    assert str(difference) == "-300(300)"
    again = Estimate.from_dict(json.loads(json.dumps(difference.to_dict(), allow_nan=False)))
    assert (again.value, again.error, again.caveats) == (difference.value, difference.error, difference.caveats)
    assert pickle.loads(pickle.dumps(difference)).error == difference.error


def test_a_damaged_estimate_is_refused():
    plain = Estimate(-1.0, 0.1, 0.2, 1.0, 1.0, 10).to_dict()
    for change in ({"value": "x"}, {"caveats": None}, {"n_samples": None}, {"n_samples": math.inf}):
        with pytest.raises(InputError, match=r"Estimate\.to_dict"):
            Estimate.from_dict(plain | change)
    with pytest.raises(InputError, match=r"Estimate\.to_dict"):
        Estimate.from_dict({"value": 1.0})
