"""Diffusion Monte Carlo, where walkers are born and die, is a sampler like any other."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from branching import Branching, branched
from nnqmc import objectives
from nnqmc.hamiltonian import hamiltonian
from nnqmc.hamiltonian.external import harmonic_trap
from nnqmc.io import from_arrays, load_arrays, save_tree
from nnqmc.methods import init_state, make_step
from nnqmc.optimizers import adam
from nnqmc.samplers import check_state
from nnqmc.typing import Sampler, SignedLog, System, Walkers

N_WALKERS = 400
SAMPLER = Branching()
TRAP = System(np.zeros((0, 3)), np.zeros(0), 1, 0, ())


def log_density(electrons):
    return -0.5 * jnp.sum(electrons**2, axis=(1, 2))


def log_psi(params, electrons, system):
    """A Gaussian whose density is exp(-a r^2 / 2)."""
    return SignedLog(jnp.ones(()), -0.25 * params["a"] * jnp.sum(electrons**2))


def population(n_walkers=N_WALKERS):
    return jnp.asarray(np.random.default_rng(0).normal(size=(n_walkers, 1, 3)), jnp.float32)


@pytest.fixture(scope="module")
def walk():
    """Many steps: (key, state, number of steps) -> the last state, and energies and mean x^2 of every step."""

    def one(state, key):
        state, stats = SAMPLER.step(key, log_density, state)
        squared = jnp.mean(state.walkers.electrons**2, axis=(1, 2))
        return state, (stats["growth_energy"], jax.nn.softmax(state.walkers.log_weight) @ squared, stats["branched"])

    run = jax.jit(lambda state, keys: jax.lax.scan(one, state, keys))
    return lambda key, state, n_steps: run(state, jax.random.split(jax.random.key(key), n_steps))


@pytest.fixture(scope="module")
def equilibrated(walk):
    """A state that follows the ground state, as far as it depends on the population."""
    return walk(0, SAMPLER.init(Walkers(population(), jnp.zeros(N_WALKERS)), TRAP), 2000)


def assert_mean(series, expected):
    """The mean of a correlated series is the expected one within its error from blocks."""
    blocks = np.asarray(series, np.float64).reshape(20, -1).mean(axis=1)
    error = blocks.std(ddof=1) / np.sqrt(len(blocks))
    assert abs(blocks.mean() - expected) < 4.5 * error, (blocks.mean(), expected, error)
    assert error < 0.02 * expected, "the test is too weak to tell"


def test_the_ground_state_of_a_trap_is_found(equilibrated):
    """The energy is 3/2 hartree and <x^2> = 1, that of exp(-r^2/2): the walkers follow psi, not its square."""
    state, (energy, squared, was_branched) = equilibrated
    assert_mean(energy[200:], 1.5)
    assert_mean(squared[200:], 1.0)
    assert abs(state.shared.trial_energy - 1.5) < 0.1
    assert 0.02 < np.mean(was_branched) < 0.5
    assert len(np.unique(state.per_walker.age)) > 3, "walkers were born at different times"


def test_it_has_the_form_of_a_sampler(equilibrated):
    assert isinstance(SAMPLER, Sampler) and check_state(equilibrated[0])


def test_parents_are_chosen_by_weight_and_weights_become_equal(equilibrated):
    state, _ = equilibrated
    weights = np.where(np.arange(N_WALKERS) < 40, 9.0, 0.5)  # 40 heavy walkers have 2/3 of the weight
    log_weight = jnp.log(jnp.asarray(weights, jnp.float32))
    after = branched(jax.random.key(0), state._replace(per_walker=state.per_walker._replace(log_weight=log_weight)))
    known = {walker.tobytes(): i for i, walker in enumerate(np.asarray(state.walkers.electrons))}
    parents = np.array([known[walker.tobytes()] for walker in np.asarray(after.walkers.electrons)])
    expected = weights / weights.mean()
    assert np.all(np.abs(np.bincount(parents, minlength=N_WALKERS) - expected) <= 1.0)
    np.testing.assert_allclose(after.walkers.log_weight, np.log(weights.mean()), rtol=1e-5)
    is_elder = np.append(True, parents[1:] != parents[:-1])
    np.testing.assert_array_equal(after.per_walker.age, np.where(is_elder, state.per_walker.age[parents], 0))


def test_a_frozen_population_keeps_its_trial_energy(walk, equilibrated):
    frozen = SAMPLER.freeze(equilibrated[0])
    after, _ = walk(1, frozen, 2000)
    assert after.shared == frozen.shared and not np.array_equal(after.walkers.electrons, frozen.walkers.electrons)


@pytest.mark.parametrize("n_walkers", [900, 300])
def test_a_population_of_another_size_finds_the_same_energy(walk, equilibrated, n_walkers):
    state = SAMPLER.resize(equilibrated[0], n_walkers)
    assert state.shared == equilibrated[0].shared
    after, (energy, _, _) = walk(2, state, 2000)
    assert check_state(after).n_walkers == n_walkers
    assert_mean(energy, 1.5)


def test_it_goes_on_from_a_file_as_if_it_had_never_stopped(walk, equilibrated, tmp_path):
    state, _ = equilibrated
    save_tree(tmp_path / "population.h5", state, {})
    form = jax.eval_shape(lambda: SAMPLER.init(Walkers(population(), jnp.zeros(N_WALKERS)), TRAP))
    restored = from_arrays(load_arrays(tmp_path / "population.h5", form)[0], form)
    for one, other in zip(jax.tree.leaves(walk(3, restored, 2000)), jax.tree.leaves(walk(3, state, 2000))):
        np.testing.assert_array_equal(one, other)


def test_a_step_of_training_takes_it_with_its_weights():
    """The gradient is the covariance, over weighted walkers, of the local energy and d log|psi| / d a = -r^2 / 4."""
    energy, optimizer = hamiltonian({"trap": harmonic_trap(1.0)}), adam(learning_rate=0.1)
    state = init_state(jax.random.key(0), TRAP, {"a": jnp.float32(1.0)}, population(40), SAMPLER, optimizer)
    state = state._replace(sampler=state.sampler._replace(per_walker=state.sampler.per_walker._replace(
        log_weight=jnp.linspace(-0.5, 0.5, 40))))
    step = make_step(log_psi, TRAP, energy, SAMPLER, optimizer, objective=objectives.energy(clip=1e6))
    after, stats = jax.jit(step)(state)
    assert int(after.step) == 1 and np.ptp(after.sampler.walkers.log_weight) > 0.1
    weight = np.exp(np.asarray(after.sampler.walkers.log_weight, np.float64))
    local = 0.5 * np.sum(np.asarray(after.sampler.walkers.electrons, np.float64) ** 2, axis=(1, 2))
    np.testing.assert_allclose(stats["energy"], np.average(local, weights=weight), rtol=1e-5)
    assert float(after.params["a"]) > 1.0, "a narrower Gaussian has less potential energy"
