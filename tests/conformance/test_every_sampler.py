"""What every sampler must do: sample its density, be repeatable, go on from a file, and change its population.

A new sampler comes from the catalogue; one line in SETTINGS gives it other settings than its own.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catalogued import catalogued
from nnqmc.errors import InputError
from nnqmc.io import from_arrays, load_arrays, save_tree
from nnqmc.samplers import Metropolis, check_state
from nnqmc.typing import Sampler, System, Walkers

SETTINGS = {"metropolis": {"sweeps": 5, "width": 0.5}, "langevin": {"sweeps": 4, "width": 0.5},
            "one_electron": {"sweeps": 8, "width": 0.7}}
SAMPLERS = catalogued("sampler", SETTINGS) | {
    "Metropolis, plain moves": Metropolis(sweeps=5, width=0.6, local=False),
    "Metropolis, one sweep": Metropolis(sweeps=1, width=0.6, acceptance=0.3),
}
N_WALKERS = 400
SYSTEM = System(np.array([[0.0, 0, 0], [1.0, 0, 0]]), np.array([3.0, 1.0]), 1, 1, ("Li", "H"))


@pytest.fixture(scope="module", params=SAMPLERS.values(), ids=SAMPLERS)
def sampler(request):
    return request.param


@pytest.fixture(scope="module")
def step(sampler):
    """One step of the sampler, compiled once for each number of walkers."""
    return jax.jit(lambda key, state: sampler.step(key, log_density, state))


def log_density(electrons):
    """Two electrons, apart and correlated: x1 and x2 have variance 2/3 and covariance -1/3."""
    first, second = electrons[:, 0], electrons[:, 1]
    return -0.5 * jnp.sum(first**2 + second**2 + (first + second) ** 2, axis=-1)


def start(n_walkers=N_WALKERS):
    """Walkers that follow the density already, of different weights."""
    covariance = np.array([[2.0, -1.0], [-1.0, 2.0]]) / 3.0
    electrons = np.random.default_rng(0).multivariate_normal(np.zeros(2), covariance, size=(n_walkers, 3))
    return Walkers(jnp.asarray(electrons.swapaxes(1, 2), jnp.float32), jnp.linspace(-1.0, 1.0, n_walkers))


def run(step, state, n_steps, key=0):
    """The last state, the electrons after every step, and the statistics of every step."""
    electrons, stats = [], []
    for one in jax.random.split(jax.random.key(key), n_steps):
        state, found = step(one, state)
        electrons.append(state.walkers.electrons)
        stats.append(found)
    return state, np.asarray(electrons, np.float64), jax.tree.map(lambda *rows: np.stack(rows), *stats)


def assert_same(first, second):
    assert jax.tree.structure(first) == jax.tree.structure(second)
    for x, y in zip(jax.tree.leaves(first), jax.tree.leaves(second)):
        np.testing.assert_array_equal(x, y)


def assert_sampled(electrons):
    """The moments of (n_steps, n_walkers, 2, 3) are those of the density, within the error of independent chains."""
    for values, expected in ((electrons[:, :, 0] ** 2, 2 / 3), (electrons[:, :, 1] ** 2, 2 / 3),
                             (electrons[:, :, 0] * electrons[:, :, 1], -1 / 3), (electrons[:, :, 0], 0.0)):
        chains = values.mean(axis=(0, 2))
        error = chains.std(ddof=1) / np.sqrt(len(chains))
        assert abs(chains.mean() - expected) < 4.5 * error and error < 0.03


def test_it_is_a_sampler(sampler):
    assert isinstance(sampler, Sampler)
    for ours, given in zip(sampler.init(start(), SYSTEM).walkers, start()):
        np.testing.assert_array_equal(ours, given)


def test_what_belongs_to_each_walker_has_a_row_for_each(sampler, step):
    for n_walkers in (2, 3, N_WALKERS):  # there are two atoms, two electrons and three coordinates
        state = sampler.init(start(n_walkers), SYSTEM)
        assert check_state(state).n_walkers == n_walkers
    assert check_state(step(jax.random.key(0), state)[0]).n_walkers == N_WALKERS
    few, many = (sampler.init(start(n), SYSTEM).shared for n in (2, 3))
    assert_same(few, many)


def test_it_samples_the_density(sampler, step):
    """Walkers that follow it stay there, and those that start elsewhere get there."""
    _, electrons, _ = run(step, sampler.freeze(sampler.init(start(), SYSTEM)), 160)
    assert_sampled(electrons)
    elsewhere = start()._replace(electrons=2.0 * jnp.abs(start().electrons))
    _, electrons, _ = run(step, sampler.freeze(sampler.init(elsewhere, SYSTEM)), 200)
    assert_sampled(electrons[40:])


def test_it_adapts_nothing_once_it_is_frozen(sampler, step):
    moved, _, _ = run(step, sampler.init(start(), SYSTEM), 5)
    frozen = sampler.freeze(moved)
    assert_same(frozen.per_walker, moved.per_walker)
    after, _, _ = run(step, frozen, 5, key=1)
    assert_same(after.shared, frozen.shared)
    assert not np.array_equal(after.walkers.electrons, frozen.walkers.electrons)


def test_it_is_a_function_of_the_key(sampler, step):
    (first, _, _), (again, _, _), (other, _, _) = (run(step, sampler.init(start(), SYSTEM), 3, key)
                                                   for key in (1, 1, 2))
    assert_same(first, again)
    assert not np.array_equal(first.walkers.electrons, other.walkers.electrons)


def test_it_keeps_shapes_types_and_weights_and_reports(sampler, step):
    state, _, stats = run(step, sampler.init(start(), SYSTEM), 3)
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
    walled_step = jax.jit(lambda key, state: sampler.step(key, walled, state))
    state, electrons, _ = run(walled_step, sampler.init(inside, SYSTEM), 3)
    assert (electrons <= 1.0).all()
    assert not np.array_equal(state.walkers.electrons, inside.electrons)


def test_it_goes_on_from_a_file_as_if_it_had_never_stopped(sampler, step, tmp_path):
    half, _, _ = run(step, sampler.init(start(), SYSTEM), 2)
    save_tree(tmp_path / "chains.h5", half, {})
    form = jax.eval_shape(lambda: sampler.init(start(), SYSTEM))
    restored = from_arrays(load_arrays(tmp_path / "chains.h5", form)[0], form)
    assert_same(run(step, restored, 2, key=1)[0], run(step, half, 2, key=1)[0])


@pytest.mark.parametrize("n_walkers", [2 * N_WALKERS, N_WALKERS, N_WALKERS // 2], ids=["more", "same", "fewer"])
def test_another_number_of_walkers_follows_the_same_density(sampler, step, n_walkers):
    before, _, _ = run(step, sampler.init(start(), SYSTEM), 5)
    state = check_state(sampler.resize(before, n_walkers))
    assert state.n_walkers == n_walkers
    assert_same(state.shared, before.shared)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), state) == jax.tree.map(
        lambda x: (x.shape, x.dtype), jax.eval_shape(lambda: sampler.init(start(n_walkers), SYSTEM)))

    known = {walker.tobytes(): i for i, walker in enumerate(np.asarray(before.walkers.electrons))}
    parents = [known[walker.tobytes()] for walker in np.asarray(state.walkers.electrons)]
    times = np.bincount(parents, minlength=N_WALKERS)
    assert times.max() - times.min() <= 1, "copies are shared out evenly"
    np.testing.assert_array_equal(state.walkers.log_weight, before.walkers.log_weight[np.asarray(parents)])

    after, electrons, _ = run(step, sampler.freeze(state), 100)
    assert len({walker.tobytes() for walker in np.asarray(after.walkers.electrons)}) == n_walkers, "copies have parted"
    assert_sampled(electrons)


def test_the_same_number_of_walkers_changes_nothing(sampler, step):
    state, _, _ = run(step, sampler.init(start(), SYSTEM), 2)
    assert_same(sampler.resize(state, N_WALKERS), state)


def test_no_walkers_are_refused(sampler):
    with pytest.raises(InputError, match="n_walkers is 0: it must be at least 1"):
        sampler.resize(sampler.init(start(2), SYSTEM), 0)
