"""What every sampler must do: sample its density, be repeatable, and report. A new one comes from the catalogue."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catalogued import catalogued
from nnqmc.samplers import Metropolis
from nnqmc.typing import Sampler, System, Walkers

SETTINGS = {"metropolis": {"sweeps": 5, "width": 0.5}}
SAMPLERS = catalogued("sampler", SETTINGS) | {
    "Metropolis, plain moves": Metropolis(sweeps=5, width=0.6, local=False),
    "Metropolis, one sweep": Metropolis(sweeps=1, width=0.6, acceptance=0.3),
}
N_WALKERS = 400
SYSTEM = System(np.array([[0.0, 0, 0], [1.0, 0, 0]]), np.array([3.0, 1.0]), 1, 1, ("Li", "H"))


@pytest.fixture(params=SAMPLERS.values(), ids=SAMPLERS)
def sampler(request):
    return request.param


def log_density(electrons):
    """Two electrons, apart and correlated: x1 and x2 have variance 2/3 and covariance -1/3."""
    first, second = electrons[:, 0], electrons[:, 1]
    return -0.5 * jnp.sum(first**2 + second**2 + (first + second) ** 2, axis=-1)


def start():
    electrons = np.random.default_rng(0).normal(size=(N_WALKERS, 2, 3))
    return Walkers(jnp.asarray(electrons, jnp.float32), jnp.linspace(-1.0, 1.0, N_WALKERS))


def run(sampler, n_steps, key=0, frozen=False):
    def one(state, key):
        state, stats = sampler.step(key, log_density, state)
        return state, (state.walkers.electrons, stats)

    run = jax.jit(lambda state, keys: jax.lax.scan(one, state, keys))
    state = sampler.init(start(), SYSTEM)
    return run(sampler.freeze(state) if frozen else state, jax.random.split(jax.random.key(key), n_steps))


def test_it_is_a_sampler(sampler):
    assert isinstance(sampler, Sampler)
    for ours, given in zip(sampler.init(start(), SYSTEM).walkers, start()):
        np.testing.assert_array_equal(ours, given)


def test_it_samples_the_density(sampler):
    _, (electrons, _) = run(sampler, 160, frozen=True)
    electrons = np.asarray(electrons, np.float64)[40:]
    for values, expected in ((electrons[:, :, 0] ** 2, 2 / 3), (electrons[:, :, 1] ** 2, 2 / 3),
                             (electrons[:, :, 0] * electrons[:, :, 1], -1 / 3), (electrons[:, :, 0], 0.0)):
        chains = values.mean(axis=(0, 2))
        error = chains.std(ddof=1) / np.sqrt(N_WALKERS)
        assert abs(chains.mean() - expected) < 4.5 * error and error < 0.03


def test_it_is_a_function_of_the_key(sampler):
    (first, _), (again, _), (other, _) = (run(sampler, 3, key) for key in (1, 1, 2))
    for x, y in zip(jax.tree.leaves(first), jax.tree.leaves(again)):
        np.testing.assert_array_equal(x, y)
    assert not np.array_equal(first.walkers.electrons, other.walkers.electrons)


def test_it_keeps_shapes_types_and_weights_and_reports(sampler):
    state, (_, stats) = run(sampler, 3)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), state) == jax.tree.map(
        lambda x: (x.shape, x.dtype), sampler.init(start(), SYSTEM))
    np.testing.assert_array_equal(state.walkers.log_weight, start().log_weight)
    assert {"acceptance", "stuck"} <= set(stats)
    assert all(value.shape == (3,) and np.isfinite(value).all() for value in stats.values())
    assert (stats["acceptance"] > 0).all() and (stats["acceptance"] <= 1).all()


def test_it_never_goes_where_the_density_is_not_finite(sampler):
    def walled(electrons):
        return jnp.where(jnp.any(electrons > 1.0, axis=(1, 2)), jnp.nan, log_density(electrons))

    inside = start()._replace(electrons=-jnp.abs(start().electrons))
    state = sampler.init(inside, SYSTEM)
    for key in jax.random.split(jax.random.key(0), 3):
        state, _ = jax.jit(lambda k, s: sampler.step(k, walled, s))(key, state)
    assert (state.walkers.electrons <= 1.0).all()
    assert not np.array_equal(state.walkers.electrons, inside.electrons)
