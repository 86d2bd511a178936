"""Statistics of local energies, and the clipped residual that the gradient is made of."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnqmc.objectives import clipped_energy, energy
from nnqmc.system import molecule
from nnqmc.typing import LocalEnergy, SignedLog, Walkers

pytestmark = pytest.mark.usefixtures("double_precision")


def in_numpy(energies, log_weight, clip, floor=0.0):
    """The same by loops and masks, and with the window found by bisection."""
    good = np.isfinite(energies)
    e = energies[good]
    w = np.exp(log_weight - log_weight.max())[good]
    w = w / w.sum()
    mean, median = np.sum(w * e), np.median(e)
    window = max(floor, window_by_bisection(np.abs(e - median), w, clip))
    clipped = np.clip(e, median - window, median + window)
    residual = np.zeros(len(energies))
    residual[good] = clipped - np.sum(w * clipped)
    moved = np.sum(np.abs(e - median) > window) / len(energies)
    return mean, np.sum(w * (e - mean) ** 2), residual, moved, 1.0 - good.mean()


def window_by_bisection(distance, weight, clip):
    """Return the largest W at which W is no larger than clip standard deviations of what it leaves."""
    low, high = 0.0, clip * np.sqrt(np.sum(weight * distance**2))
    for _ in range(200):
        middle = 0.5 * (low + high)
        is_narrow = middle**2 <= clip**2 * np.sum(weight * np.minimum(distance, middle) ** 2)
        low, high = (middle, high) if is_narrow else (low, middle)
    return low


def heavy_tailed(n=41, seed=0):
    return -8.0 + np.random.default_rng(seed).standard_t(2, size=n)


CASES = {
    "plain": heavy_tailed(),
    "even number": heavy_tailed(40),
    "one walker": np.array([-1.5]),
    "NaN and infinities": np.where(np.arange(41) % 9 == 0, [np.nan, np.inf, -np.inf, np.nan] * 10 + [np.nan],
                                   heavy_tailed()),
}


@pytest.mark.parametrize("floor", [0.0, 2.0])
@pytest.mark.parametrize("clip", [1.5, 5.0, 1e6])
@pytest.mark.parametrize("weighted", [False, True], ids=["equal weights", "weights"])
@pytest.mark.parametrize("energies", CASES.values(), ids=CASES)
def test_the_sample_is_that_of_its_numpy_twin(energies, weighted, clip, floor):
    log_weight = np.random.default_rng(1).normal(size=len(energies)) * weighted
    sample = clipped_energy(jnp.asarray(energies), jnp.asarray(log_weight), clip, floor)
    for name, ours, expected in zip(sample._fields, sample, in_numpy(energies, log_weight, clip, floor)):
        rtol = 1e-6 if name in ("clipped", "excluded") else 1e-11
        np.testing.assert_allclose(ours, expected, rtol=rtol, atol=1e-13, err_msg=name)


def test_the_energy_and_variance_are_those_before_clipping():
    energies = heavy_tailed()
    sample = clipped_energy(jnp.asarray(energies), jnp.zeros(41), clip=0.1, floor=0.0)
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
    assert residuals[1] == residuals[0]


def two_populations(n_far, distance, n_walkers=512, spread=1e-3):
    """An eigenstate but for a little noise, and a few walkers in another distribution of the electrons over atoms."""
    energies = -1.0 + spread * np.random.default_rng(0).normal(size=n_walkers)
    energies[:n_far] += distance
    return energies


@pytest.mark.parametrize("distance", [0.05, 0.5, -3.0, 1e4])
@pytest.mark.parametrize("n_far", [6, 51, 256, 506])
def test_no_population_of_more_than_a_hundredth_is_clipped(n_far, distance):
    """With the floor or without, however far it lies and however narrow the other population is."""
    energies = two_populations(n_far, distance)
    for floor in (0.0, 10.0):
        sample = clipped_energy(jnp.asarray(energies), jnp.zeros(512), clip=10.0, floor=floor)
        assert sample.clipped == 0.0
        np.testing.assert_allclose(sample.residual, energies - energies.mean(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("n_far", [1, 2, 5])
def test_even_a_single_ion_counts_in_full(n_far):
    """Up to ten hartree from the neutral atoms, which are in an eigenstate but for a thousandth of a hartree."""
    energies = two_populations(n_far, 9.0)
    sample = clipped_energy(jnp.asarray(energies), jnp.zeros(512))
    np.testing.assert_allclose(sample.residual, energies - energies.mean(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("n_far", [1, 3, 5])
@pytest.mark.parametrize("distance", [30.0, -1e6, 1e30])
def test_outliers_count_for_no_more_than_the_docstring_says(n_far, distance):
    energies = two_populations(n_far, distance, spread=0.3)
    sample = clipped_energy(jnp.asarray(energies), jnp.zeros(512), clip=10.0, floor=0.0)
    spread = np.sqrt(np.mean((energies[n_far:] - np.median(energies)) ** 2))
    window = np.abs(np.asarray(sample.residual[0] - np.median(sample.residual)))
    assert window <= 10.0 * spread / np.sqrt(1.0 - 100.0 * n_far / 512)
    assert sample.clipped == n_far / 512


def test_one_walker_moves_the_mean_by_less_than_its_error():
    """Its share of the mean of 512 walkers is at most clip/sqrt(512) = 0.44 standard errors of the clipped energies."""
    for seed in range(20):
        energies = np.random.default_rng(seed).standard_t(1.5, size=512)
        sample = clipped_energy(jnp.asarray(energies), jnp.zeros(512), clip=10.0, floor=0.0)
        clipped = np.asarray(sample.residual - np.median(sample.residual))
        error = np.sqrt(np.mean(clipped**2) / 512)
        assert np.max(np.abs(clipped)) / 512 <= 10.0 / np.sqrt(512) * error * (1.0 + 1e-9)


def test_heavy_tails_are_averaged_better_than_without_clipping():
    """Local energies near a node have tails of the third power; here one that hardly has a variance, of mean 0."""
    energies = np.random.default_rng(3).standard_t(1.5, size=(200, 512))
    ours = np.array([np.median(row) - np.median(clipped_energy(jnp.asarray(row), jnp.zeros(512)).residual)
                     for row in energies])
    assert np.std(ours) < 0.5 * np.std(energies.mean(axis=1))


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
    for clip, floor in ((5.0, 1.0), (5.0, 0.0), (1e15, 0.0)):
        sample = clipped_energy(jnp.full(8, -0.5), jnp.zeros(8), clip, floor)
        np.testing.assert_array_equal(sample.residual, 0.0)
        assert sample.variance == 0.0 and sample.energy == -0.5


def flat(params, electrons, system):
    """A wavefunction that nothing is asked of."""
    return SignedLog(jnp.ones(()), jnp.zeros(()))


@pytest.mark.parametrize(("name", "least", "most"), [("He", 0.0, 0.1), ("LiH", 7.9, 8.0)])
def test_a_single_walker_far_off_counts_in_full_in_molecules_alone(name, least, most):
    """Electrons of an atom can't be shared out in another way, so its outlier belongs to no rare population."""
    system = molecule(name)
    energies = jnp.asarray(np.where(np.arange(512) == 0, 8.0, 0.01 * (np.arange(512) % 2)))
    walkers = Walkers(jnp.zeros((512, system.n_electrons, 3)), jnp.zeros(512))
    residual = energy()(flat, {}, system, walkers, LocalEnergy(energies, {}), jax.random.key(0)).residual
    assert least < residual[0] < most
