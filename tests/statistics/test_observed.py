"""The mean of an observable of any shape: error bars, what is made of the mean, words, and JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nnqmc.errors import InputError
from nnqmc.statistics import ObservableEstimate, Quantity, estimate, estimate_observable, independent_blocks, jackknife

N_STEPS, N_CHAINS = 400, 32


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=(N_STEPS, N_CHAINS, *shape))


def test_a_number_has_the_value_and_the_error_bar_of_any_series():
    series = 3.0 + noise()
    found, plain = estimate_observable(series, unit="bohr"), estimate(series)
    assert (found.value, found.error, found.tau, found.r_hat) == (plain.value, plain.error, plain.tau, plain.r_hat)
    assert found.trusted and found.n_samples == series.size and isinstance(found.value, float)
    assert str(found) == f"{plain} bohr" and str(estimate_observable(series)) == str(plain)


def test_an_array_keeps_its_shape_and_each_number_has_its_error_bar():
    series = noise(2, 3) + np.arange(6.0).reshape(2, 3)
    found = estimate_observable(series)
    assert found.value.shape == found.error.shape == (2, 3)
    for index in np.ndindex(2, 3):
        one = estimate(series[:, :, *index])
        assert (found.value[index], found.error[index]) == (one.value, one.error)
    assert np.abs(found.value - np.arange(6.0).reshape(2, 3)).max() < 5.0 * found.error.max()


def test_a_large_array_has_error_bars_from_blocks():
    series = noise(10, 10) + 5.0
    found = estimate_observable(series)
    assert found.value.shape == (10, 10) and found.trusted
    np.testing.assert_allclose(found.value, series.mean(axis=(0, 1)), rtol=1e-12)
    np.testing.assert_allclose(found.error, 1.0 / np.sqrt(N_STEPS * N_CHAINS), rtol=0.2)
    drifting = series + np.linspace(0.0, 3.0, N_STEPS)[:, None, None, None]
    assert any("numbers looked at, the first of them: drift" in text for text in estimate_observable(drifting).caveats)


def test_a_dict_reports_its_entries_as_parts():
    found = estimate_observable({"spread": 2.0 + noise(), "place": noise(3)}, unit="bohr")
    assert found.value is None and found.error is None and set(found.parts) == {"place", "spread"}
    assert found.parts["place"].value.shape == (3,) and isinstance(found.parts["spread"].value, float)
    assert " bohr, spread 2.00" in str(found) and str(found).startswith("place (")


def test_what_is_made_of_the_mean_has_the_error_bar_of_the_jackknife():
    series = noise(2) + np.array([4.0, 2.0])

    def finalize(mean, covariance):
        assert mean.shape == (2,) and covariance.shape == (2, 2)
        return {"ratio": mean[0] / mean[1], "spread": np.sqrt(np.diag(covariance))}

    found = estimate_observable(series, finalize=finalize)
    blocks = independent_blocks(series, found.tau)
    expected = jackknife(blocks, lambda mean, covariance: finalize(mean, covariance))
    assert found.value.shape == (2,), "the mean is reported, too"
    np.testing.assert_allclose(found.parts["ratio"].value, series[..., 0].mean() / series[..., 1].mean(), rtol=1e-12)
    for name, error in expected.items():
        np.testing.assert_allclose(found.parts[name].error, error, rtol=1e-12)
    np.testing.assert_allclose(found.parts["spread"].value, found.error, rtol=0.3)


def test_a_number_that_hangs_on_one_block_is_not_reported():
    """Without the only block that has seen anything there is nothing, and so no error bar."""
    series = np.zeros((400, 8))
    series[5, 3] = 1.0

    def finalize(mean, covariance):
        return {"one over": 1.0 / mean if mean > 1e-12 else np.nan, "mean": 1.0 * mean}

    found = estimate_observable(series, finalize=finalize)
    assert np.isnan(found.parts["one over"].value) and np.isnan(found.parts["one over"].error)
    assert np.isfinite(found.parts["mean"]).all()


def test_what_is_called_value_replaces_the_mean_and_an_error_of_its_own_is_kept():
    def finalize(mean, covariance):
        return {"value": 2.0 * mean["x"], "sure": Quantity(1.0, 0.25), "ys": mean["y"]}

    found = estimate_observable({"x": 3.0 + noise(), "y": noise(2)}, finalize=finalize)
    np.testing.assert_allclose(found.value, 6.0, atol=0.1)
    assert found.parts["sure"] == (1.0, 0.25) and set(found.parts) == {"sure", "ys"}
    np.testing.assert_allclose(found.error, 2.0 / np.sqrt(N_STEPS * N_CHAINS), rtol=0.3)


def test_steps_that_were_not_measured_are_left_out():
    series = noise(2)
    thinned = series.copy()
    thinned[np.arange(N_STEPS) % 4 != 0] = np.nan
    assert estimate_observable(thinned).to_dict() == estimate_observable(series[::4]).to_dict()


def test_nothing_finite_gives_nothing_and_says_so():
    found = estimate_observable(np.full((10, 2, 3), np.nan), unit="bohr")
    assert np.isnan(found.value).all() and found.value.shape == (3,) and not found.trusted
    assert found.caveats == ("no sample had a finite value",) and found.n_samples == 0


def test_doubts_about_one_number_of_many_are_said_once():
    series = noise(5)
    series[:, :, 2] += np.linspace(0.0, 3.0, N_STEPS)[:, None]
    found = estimate_observable(series, caveats=("a reason",), notes=("a note",))
    assert any(caveat.startswith("1 of 5 numbers looked at, the first of them: drift") for caveat in found.caveats)
    assert "a reason" in found.caveats and found.notes == ("a note",)


def test_one_step_gives_what_it_can():
    found = estimate_observable(noise()[:1], finalize=lambda mean, covariance: {"double": 2.0 * mean})
    assert np.isfinite(found.value) and not found.trusted and np.isfinite(found.parts["double"].value)


DIPOLE = ObservableEstimate(np.array([0.01, -0.02, 5.834]), np.array([0.1, 0.1, 0.02]), "debye", 1000,
                            parts={"length": Quantity(5.831, 0.02)}, tau=1.5, r_hat=1.0)


def test_it_prints_itself_for_people():
    assert str(DIPOLE) == "(0.0(1), 0.0(1), 5.83(2)) debye, length 5.83(2)"
    assert str(ObservableEstimate(np.eye(2), np.full((2, 2), 0.1))) == "((1.0(1), 0.0(1)), (0.0(1), 1.0(1)))"
    assert str(ObservableEstimate(np.zeros((5, 5)), np.ones((5, 5)), "bohr")) == "array (5, 5) bohr"


@pytest.mark.parametrize("given", [
    DIPOLE, ObservableEstimate(1.0, 0.1),
    ObservableEstimate(float("nan"), float("inf"), "bohr", 3, ("why",), ("note",)),
    ObservableEstimate(None, None, "", 5, parts={"a": Quantity(np.array([[1.0, np.nan]]), np.array([[0.1, 0.2]]))}),
], ids=["vector", "number", "not finite", "parts alone"])
def test_json_gives_the_same_back(given):
    plain = json.loads(json.dumps(given.to_dict(), allow_nan=False))
    again = ObservableEstimate.from_dict(plain)
    assert again == given and again.to_dict() == given.to_dict()
    assert np.array_equal(np.shape(again.value), np.shape(given.value))


def test_json_is_nested_lists_with_none_for_what_is_not_finite():
    plain = ObservableEstimate(np.array([1.0, np.nan]), np.array([0.5, np.inf]), "debye").to_dict()
    assert plain["value"] == [1.0, None] and plain["error"] == [0.5, None] and plain["unit"] == "debye"
    assert plain["trusted"] is True and plain["caveats"] == [] and plain["tau"] is None


@pytest.mark.parametrize("change", [
    {"value": "x"}, {"value": [1.0, [2.0]]}, {"error": [1.0]}, {"caveats": None}, {"n_samples": None}, {"parts": 3},
    {"parts": {"length": {"value": 1.0}}}, {"tau": [1.0]}, {"unit": None, "notes": 5}], ids=str)
def test_a_damaged_one_is_refused(change):
    with pytest.raises(InputError, match=r"ObservableEstimate\.to_dict"):
        ObservableEstimate.from_dict(DIPOLE.to_dict() | change)
    with pytest.raises(InputError, match=r"ObservableEstimate\.to_dict"):
        ObservableEstimate.from_dict({"value": 1.0})


def test_heavy_tails_that_are_too_small_to_matter_are_no_caveat() -> None:
    series = 0.001 * np.random.default_rng(0).standard_normal((200, 64))
    for step in range(10, 200, 4):
        series[step, step % 64] += 0.1 * (1.0 + 0.5 * (step % 7))
    doubted, harmless = estimate_observable(series), estimate_observable(series, harmless=0.01)
    assert any("heavy tails" in each for each in doubted.caveats) and harmless.trusted
    assert harmless.error == doubted.error


def test_what_could_not_be_measured_is_said_in_a_word() -> None:
    parts = {"opposite": Quantity(0.995, 0.003), "same": Quantity(float("nan"), float("nan")),
             "both": Quantity(np.array([1.0, np.nan]), np.array([0.1, np.nan]))}
    assert str(ObservableEstimate(None, None, parts=parts)) == (
        "opposite 0.995(3), same unknown, both (1.0(1), unknown)")
