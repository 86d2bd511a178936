"""Statistics of local energies, and the clipped residual that the gradient is made of."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from nnqmc.objectives import clipped_energy

pytestmark = pytest.mark.usefixtures("double_precision")


def in_numpy(energies, log_weight, width):
    """The same by loops and masks."""
    good = np.isfinite(energies)
    e = energies[good]
    w = np.exp(log_weight - log_weight.max())[good]
    w = w / w.sum()
    mean, median = np.sum(w * e), np.median(e)
    deviation = np.abs(e - median)
    window = width * np.sum(w * np.minimum(deviation, 20.0 * np.median(deviation)))
    clipped = np.clip(e, median - window, median + window)
    residual = np.zeros(len(energies))
    residual[good] = clipped - np.sum(w * clipped)
    moved = np.sum(np.abs(e - median) > window) / len(energies)
    return mean, np.sum(w * (e - mean) ** 2), residual, moved, 1.0 - good.mean()


def heavy_tailed(n=41, seed=0):
    return -8.0 + np.random.default_rng(seed).standard_t(2, size=n)


CASES = {
    "plain": heavy_tailed(),
    "even number": heavy_tailed(40),
    "one walker": np.array([-1.5]),
    "NaN and infinities": np.where(np.arange(41) % 9 == 0, [np.nan, np.inf, -np.inf, np.nan] * 10 + [np.nan],
                                   heavy_tailed()),
}


@pytest.mark.parametrize("width", [0.5, 5.0, 1e9])
@pytest.mark.parametrize("weighted", [False, True], ids=["equal weights", "weights"])
@pytest.mark.parametrize("energies", CASES.values(), ids=CASES)
def test_the_sample_is_that_of_its_numpy_twin(energies, weighted, width):
    log_weight = np.random.default_rng(1).normal(size=len(energies)) * weighted
    sample = clipped_energy(jnp.asarray(energies), jnp.asarray(log_weight), width)
    for name, ours, expected in zip(sample._fields, sample, in_numpy(energies, log_weight, width)):
        rtol = 1e-6 if name in ("clipped", "excluded") else 1e-11
        np.testing.assert_allclose(ours, expected, rtol=rtol, atol=1e-13, err_msg=name)


def test_the_energy_and_variance_are_those_before_clipping():
    energies = heavy_tailed()
    sample = clipped_energy(jnp.asarray(energies), jnp.zeros(41), 0.1)
    np.testing.assert_allclose(sample.energy, energies.mean(), rtol=1e-12)
    np.testing.assert_allclose(sample.variance, energies.var(), rtol=1e-12)
    assert sample.clipped > 0.5


def test_the_residual_has_weighted_mean_zero():
    log_weight = np.random.default_rng(1).normal(size=41)
    for energies in (CASES["plain"], CASES["NaN and infinities"]):
        sample = clipped_energy(jnp.asarray(energies), jnp.asarray(log_weight))
        assert abs(np.sum(np.exp(log_weight) * sample.residual)) < 1e-12


def test_an_outlier_is_clipped_and_does_not_move_the_middle_of_the_window():
    energies = -8.0 + 0.1 * np.random.default_rng(0).normal(size=512)
    tame = clipped_energy(jnp.asarray(energies), jnp.zeros(512))
    energies[7] = 1e6
    wild = clipped_energy(jnp.asarray(energies), jnp.zeros(512))
    assert tame.clipped == 0.0 and wild.clipped == 1 / 512
    assert wild.residual[7] < 0.01 * 1e6
    others = np.delete(np.arange(512), 7)
    spread = np.asarray(wild.residual[others] - tame.residual[others])
    np.testing.assert_allclose(spread, spread[0], atol=1e-7, err_msg="ordinary walkers were clipped too")


def test_an_outlier_can_not_widen_its_own_window():
    energies = -8.0 + 0.1 * np.random.default_rng(0).normal(size=512)
    residuals = []
    for outlier in (1e3, 1e6):
        energies[7] = outlier
        residuals.append(float(clipped_energy(jnp.asarray(energies), jnp.zeros(512)).residual[7]))
    assert residuals[1] < 2.0 * residuals[0]


def test_large_common_offsets_cost_no_digits_in_single_precision():
    deviations = np.random.default_rng(0).integers(-8, 9, 500) / 64.0
    sample = clipped_energy(jnp.asarray(-2000.0 + deviations, jnp.float32), jnp.zeros(500, jnp.float32))
    np.testing.assert_allclose(sample.variance, deviations.var(), rtol=1e-5)
    np.testing.assert_allclose(sample.energy + 2000.0, deviations.mean(), atol=2e-4)


def test_no_finite_energy_gives_no_energy_and_no_force():
    sample = clipped_energy(jnp.full(5, jnp.nan), jnp.zeros(5))
    assert np.isnan(sample.energy)
    np.testing.assert_array_equal(sample.residual, 0.0)
    assert sample.excluded == 1.0


def test_an_eigenstate_has_no_residual():
    for width in (5.0, 1e30):
        sample = clipped_energy(jnp.full(8, -0.5), jnp.zeros(8), width)
        np.testing.assert_array_equal(sample.residual, 0.0)
        assert sample.variance == 0.0 and sample.energy == -0.5
