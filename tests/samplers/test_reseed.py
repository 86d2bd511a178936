"""Lost walkers are replaced by copies of healthy ones; nobody else is touched."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnqmc.samplers import Metropolis
from nnqmc.samplers.reseed import reseed
from nnqmc.typing import System, Walkers

N_WALKERS = 40
HYDROGEN = System(np.zeros((1, 3)), np.ones(1), 1, 0, ("H",))


def density(electrons):
    return -2.0 * jnp.sum(jnp.linalg.norm(electrons, axis=-1), axis=-1)


def population(**places):
    electrons = np.random.default_rng(0).normal(size=(N_WALKERS, 1, 3)).astype(np.float32)
    for name, value in places.items():
        electrons[int(name[1:])] = value
    return jnp.asarray(electrons)


def reseeded(electrons, log_density=None, key=0):
    log_density = density(electrons) if log_density is None else log_density
    return jax.tree.map(np.asarray, reseed(jax.random.key(key), electrons, log_density))


@pytest.mark.parametrize("place", [np.nan, np.inf, -np.inf, 1e3, 1e20, 3e38], ids=str)
def test_a_lost_walker_becomes_a_copy_of_a_healthy_one(place):
    electrons = population(w3=place, w17=place)
    moved, log_density, lost = reseeded(electrons)
    assert np.flatnonzero(lost).tolist() == [3, 17]
    healthy = np.delete(np.asarray(electrons), [3, 17], axis=0)
    for walker in (3, 17):
        assert (moved[walker] == healthy).all(axis=(1, 2)).any()
    np.testing.assert_array_equal(np.delete(moved, [3, 17], axis=0), healthy)
    np.testing.assert_allclose(log_density, density(moved), rtol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)
def test_a_walker_whose_density_is_not_finite_is_lost(value):
    electrons = population()
    _, log_density, lost = reseeded(electrons, density(electrons).at[5].set(value))
    assert np.flatnonzero(lost).tolist() == [5] and np.isfinite(log_density).all()


def test_healthy_walkers_stay_bit_by_bit():
    electrons = population(w0=15.0)  # far, but on its way back
    moved, log_density, lost = reseeded(electrons)
    assert not lost.any()
    np.testing.assert_array_equal(moved, electrons)
    np.testing.assert_array_equal(log_density, density(electrons))


def test_nobody_is_replaced_where_nobody_is_healthy():
    electrons = jnp.full((N_WALKERS, 1, 3), jnp.nan)
    moved, log_density, lost = reseeded(electrons)
    assert not lost.any() and np.isnan(moved).all() and np.isnan(log_density).all()


def test_one_healthy_walker_is_enough():
    electrons = jnp.full((N_WALKERS, 1, 3), jnp.nan).at[7].set(0.5)
    moved, _, lost = reseeded(electrons)
    assert lost.sum() == N_WALKERS - 1 and (moved == 0.5).all()


def test_one_walker_at_a_spike_of_the_density_does_not_outlaw_the_others():
    electrons = population()
    assert not reseeded(electrons, density(electrons).at[2].set(1e30))[2].any()


def test_copies_are_drawn_from_all_healthy_walkers():
    electrons = population(**{f"w{i}": np.nan for i in range(N_WALKERS // 2)})
    moved, _, _ = reseeded(electrons)
    assert len(np.unique(moved[: N_WALKERS // 2, 0, 0])) > 5
    assert not np.array_equal(moved, reseeded(electrons, key=1)[0])


@pytest.mark.parametrize("place", [np.nan, 1e6], ids=str)
def test_the_chain_goes_on_and_counts(place):
    """Without this a NaN walker never moves again, and one a million bohr away takes a hundred thousand steps back."""
    sampler = Metropolis(sweeps=3)
    state = sampler.init(Walkers(population(w3=place), jnp.arange(N_WALKERS, dtype=jnp.float32)), HYDROGEN)
    step = jax.jit(lambda key, state: sampler.step(key, density, state))
    state, first = step(jax.random.key(0), state)
    assert np.isfinite(state.walkers.electrons).all() and np.abs(state.walkers.electrons).max() < 50.0
    np.testing.assert_allclose(first["reseeded"], 1 / N_WALKERS)
    assert step(jax.random.key(1), state)[1]["reseeded"] == 0.0
    np.testing.assert_array_equal(state.walkers.log_weight, np.arange(N_WALKERS))
