"""What every objective must be: a gradient to follow, and the numbers that a run needs.

A new objective comes from the catalogue; SETTINGS has what it needs that has no default.
"""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catalogued import catalogued
from compiling import quickly_compiled
from nnqmc.objectives import energy
from nnqmc.typing import Descent, LocalEnergy, Objective, SignedLog, System, Walkers

SETTINGS = {}
OBJECTIVES = catalogued("objective", SETTINGS) | {
    "energy, hardly clipped": energy(clip=1e6),
}
HYDROGEN = System(np.zeros((1, 3)), np.ones(1), 1, 0, ("H",))
N_WALKERS = 40
RNG = np.random.default_rng(0)
ELECTRONS = jnp.asarray(RNG.normal(size=(N_WALKERS, 1, 3)), jnp.float32)
LOG_WEIGHT = jnp.asarray(RNG.normal(size=N_WALKERS), jnp.float32)
ENERGIES = jnp.asarray(-0.5 + 0.1 * RNG.normal(size=N_WALKERS), jnp.float32)


def log_psi(params, electrons, system):
    return SignedLog(jnp.ones(()), -params["a"] * jnp.linalg.norm(electrons[0]))


@pytest.fixture(scope="module", params=OBJECTIVES.values(), ids=OBJECTIVES)
def objective(request):
    return request.param


@cache
def compiled(objective):
    """Energies and a key to a descent."""
    return quickly_compiled(lambda energies, key: objective(
        log_psi, {"a": jnp.float32(0.8)}, HYDROGEN, Walkers(ELECTRONS, LOG_WEIGHT),
        LocalEnergy(energies, {"part": 0.5 * energies}), key))


def descent(objective, energies=ENERGIES, key=0):
    return compiled(objective)(energies, jax.random.key(key))


def test_it_gives_a_residual_or_a_gradient_and_the_numbers_of_a_step(objective):
    assert isinstance(objective, Objective)
    found = descent(objective)
    assert isinstance(found, Descent) and not (found.residual is None and found.gradient is None)
    assert found.residual is None or (found.residual.shape == (N_WALKERS,) and np.isfinite(found.residual).all())
    assert found.gradient is None or jax.tree.structure(found.gradient) == jax.tree.structure({"a": 0.0})
    assert {"energy", "variance", "clipped", "excluded", "part"} <= found.stats.keys()
    assert all(value.shape == () and np.isfinite(value) for value in found.stats.values())


def test_its_residual_has_weighted_mean_zero(objective):
    residual = descent(objective).residual
    if residual is not None:
        mean = jnp.sum(jax.nn.softmax(LOG_WEIGHT) * residual)
        assert abs(mean) < 1e-6 * max(1.0, jnp.max(jnp.abs(residual)))


def test_it_reports_the_energy_of_all_finite_samples(objective):
    weight = np.asarray(jax.nn.softmax(LOG_WEIGHT))
    stats = descent(objective).stats
    np.testing.assert_allclose(stats["energy"], weight @ np.asarray(ENERGIES), rtol=1e-5)
    np.testing.assert_allclose(stats["part"], 0.5 * stats["energy"], rtol=1e-5)
    assert stats["excluded"] == 0.0


def test_a_walker_without_a_finite_energy_is_left_out_and_counted(objective):
    found = descent(objective, ENERGIES.at[3].set(jnp.nan).at[5].set(jnp.inf))
    assert found.stats["excluded"] == np.float32(2.0 / N_WALKERS) and np.isfinite(found.stats["energy"])
    for leaf in jax.tree.leaves((found.residual, found.gradient)):
        assert np.isfinite(leaf).all()


def test_it_is_a_function_of_its_arguments(objective):
    for x, y in zip(jax.tree.leaves(descent(objective)), jax.tree.leaves(descent(objective))):
        np.testing.assert_array_equal(x, y)
