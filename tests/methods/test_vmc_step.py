"""One step of VMC: its energy and gradient are those of an integral that is known, and a bad step does no harm."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from compiling import quickly_compiled
from nnqmc.hamiltonian import hamiltonian, molecular
from nnqmc.methods import init_state, make_local_energy, make_log_density, make_step
from nnqmc.objectives import energy
from nnqmc.optimizers import adam, spring
from nnqmc.samplers import Metropolis, resized
from nnqmc.typing import SamplerState, SignedLog, System, Walkers

HYDROGEN = System(np.zeros((1, 3)), np.ones(1), 1, 0, ("H",))


def log_psi(params, electrons, system):
    """exp(-a r), whose energy is a^2/2 - a."""
    return SignedLog(jnp.ones((), electrons.dtype), -params["a"] * jnp.linalg.norm(electrons[0]))


@dataclass(frozen=True)
class Quadrature:
    """A sampler that moves nothing: walkers are nodes whose log weights make every average exact for exp(-a r)."""

    def init(self, walkers, system):
        return SamplerState(walkers, ())

    def step(self, key, log_density, state):
        return state, {"acceptance": jnp.ones(()), "stuck": jnp.zeros(())}

    def freeze(self, state):
        return state

    def resize(self, state, n_walkers):
        return resized(state, n_walkers)


def nodes(a):
    """Gauss-Laguerre nodes for the density 4 a^3 r^2 exp(-2 a r)."""
    x, weight = np.polynomial.laguerre.laggauss(12)
    electrons = np.stack([x / (2.0 * a), 0 * x, 0 * x], axis=-1)[:, None]
    return Walkers(jnp.asarray(electrons), jnp.asarray(np.log(weight * x**2)))


def quadrature_step(a, optimizer, **options):
    """State and statistics after one exact step at exp(-a r)."""
    step = make_step(log_psi, HYDROGEN, molecular(), Quadrature(), optimizer, **options)
    start = init_state(jax.random.key(0), HYDROGEN, {"a": jnp.asarray(a)}, nodes(a).electrons, Quadrature(), optimizer)
    start = start._replace(sampler=SamplerState(nodes(a), ()))
    return jax.jit(step)(start)


GRADIENT = optax.with_extra_args_support(optax.sgd(1.0))


@pytest.mark.parametrize("a", [0.6, 0.9, 1.0, 1.4])
def test_the_energy_and_its_gradient_are_those_of_the_exact_integral(double_precision, a):
    state, stats = quadrature_step(a, GRADIENT, objective=energy(clip=1e9))
    np.testing.assert_allclose(stats["energy"], a**2 / 2.0 - a, rtol=1e-10)
    np.testing.assert_allclose(stats["variance"], a**2 * (a - 1.0) ** 2, atol=1e-10)
    gradient = a - float(state.params["a"])
    np.testing.assert_allclose(gradient, a - 1.0, atol=1e-10)
    h = 1e-4
    ahead, behind = (quadrature_step(a + s, GRADIENT, objective=energy(clip=1e9))[1]["energy"] for s in (h, -h))
    np.testing.assert_allclose(gradient, (ahead - behind) / (2.0 * h), atol=1e-7)


def test_the_terms_of_weighted_walkers_add_up_to_the_energy(double_precision):
    _, stats = quadrature_step(0.8, GRADIENT)
    np.testing.assert_allclose(stats["kinetic"], 0.32, rtol=1e-10)
    np.testing.assert_allclose(stats["electron_nucleus"], -0.8, rtol=1e-10)


@pytest.mark.parametrize("optimizer", [GRADIENT, adam(1e-2), spring(log_psi, learning_rate=0.1)],
                         ids=["gradient", "adam", "spring"])
def test_a_step_goes_towards_the_exact_wavefunction_from_either_side(double_precision, optimizer):
    for a in (0.7, 1.3):
        state, _ = quadrature_step(a, optimizer)
        assert abs(float(state.params["a"]) - 1.0) < abs(a - 1.0)


# --- a real chain -----------------------------------------------------------------------------------------------------

SAMPLER = Metropolis(sweeps=3)


def start(optimizer, n_walkers=64):
    electrons = jnp.asarray(np.random.default_rng(0).normal(size=(n_walkers, 1, 3)), jnp.float32)
    return init_state(jax.random.key(5), HYDROGEN, {"a": jnp.float32(0.7)}, electrons, SAMPLER, optimizer)


def advance(state, optimizer, n_steps, operator=None, **options):
    step = quickly_compiled(make_step(log_psi, HYDROGEN, operator or molecular(), SAMPLER, optimizer, **options))
    states, rows = [], []
    for _ in range(n_steps):
        state, stats = step(state)
        states.append(state)
        rows.append(stats)
    return states, rows


def leaves(tree):
    return [np.asarray(jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x)
            for x in jax.tree.leaves(tree)]


def assert_same(first, second):
    for x, y in zip(leaves(first), leaves(second), strict=True):
        np.testing.assert_array_equal(x, y)


def test_stopping_and_resuming_changes_no_bit():
    optimizer = spring(log_psi)
    whole, _ = advance(start(optimizer), optimizer, 6)
    half, _ = advance(start(optimizer), optimizer, 3)
    on_disk = jax.tree.map(lambda x: x if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else np.array(x), half[-1])
    rest, _ = advance(jax.tree.map(jnp.asarray, on_disk), optimizer, 3)
    assert_same(whole[-1], rest[-1])
    assert int(whole[-1].step) == 6


def test_the_parts_of_a_step_compiled_one_by_one_make_the_step():
    optimizer = spring(log_psi)
    whole, rows = advance(start(optimizer), optimizer, 2)
    step = make_step(log_psi, HYDROGEN, molecular(), SAMPLER, optimizer).compiled()
    state = start(optimizer)
    for row in rows:
        state, stats = step(state)
        assert row.keys() == stats.keys()
        for name, value in row.items():
            np.testing.assert_allclose(value, stats[name], rtol=1e-5, atol=1e-6, err_msg=name)
    for x, y in zip(leaves(whole[-1]), leaves(state), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)


@dataclass(frozen=True)
class Drawing(Quadrature):
    """A sampler that moves nothing and reports what its key draws."""

    def step(self, key, log_density, state):
        return state, {"draw": jax.random.uniform(key)}


def test_every_step_and_every_run_draws_random_numbers_of_its_own():
    step = jax.jit(make_step(log_psi, HYDROGEN, molecular(), Drawing(), adam()))
    draws = []
    for seed in (5, 6):
        params, electrons = {"a": jnp.float32(0.7)}, jnp.ones((8, 1, 3))
        state = init_state(jax.random.key(seed), HYDROGEN, params, electrons, Drawing(), adam())
        for _ in range(3):
            state, stats = step(state)
            draws.append(float(stats["draw"]))
    assert len(set(draws)) == 6


def test_the_step_does_not_depend_on_the_chunks():
    optimizer = spring(log_psi, chunk_size=7)
    whole, rows = advance(start(optimizer), optimizer, 2)
    chunked, chunked_rows = advance(start(optimizer), optimizer, 2, chunk_size=10)
    for x, y in zip(leaves(whole[-1].params), leaves(chunked[-1].params)):
        np.testing.assert_allclose(x, y, rtol=1e-4)
    np.testing.assert_allclose(rows[-1]["energy"], chunked_rows[-1]["energy"], rtol=1e-5)


def test_the_average_is_exponential_with_a_window_that_grows():
    optimizer = adam(0.05)
    states, _ = advance(start(optimizer), optimizer, 30, average_window=4.0)
    average = 0.0
    for step, state in enumerate(states):
        length = min(max(step / 5.0, 1.0), 4.0)
        average += (float(state.params["a"]) - average) / length
        np.testing.assert_allclose(state.average["a"], average, rtol=1e-5)
    assert states[0].average["a"] == states[0].params["a"]
    assert states[-1].average["a"] != states[-1].params["a"]


def poisoned_after(step):
    """An optimizer whose updates are NaN from its own step number `step` on."""

    def update(grads, state, params=None, **extra):
        return jax.tree.map(lambda g: jnp.where(state >= step, jnp.nan, -0.1 * g), grads), state + 1

    return optax.GradientTransformationExtraArgs(lambda params: jnp.zeros((), jnp.int32), update)


def test_an_update_that_is_not_finite_is_rejected_and_counted():
    optimizer = poisoned_after(2)
    states, rows = advance(start(optimizer), optimizer, 4)
    assert [int(r["rejected"]) for r in rows] == [0, 0, 1, 1]
    assert states[1].params["a"] == states[2].params["a"] == states[3].params["a"]
    assert np.isfinite(states[3].average["a"])
    assert [int(s.opt_state) for s in states] == [1, 2, 2, 2]
    assert [int(s.step) for s in states] == [1, 2, 3, 4]
    assert not np.array_equal(states[2].sampler.walkers.electrons, states[3].sampler.walkers.electrons)


def broken(psi, electrons, system, key):
    """Infinite where x > 0 (some walkers), NaN where x < -1.5."""
    x = electrons[0, 0]
    return jnp.where(x > 1.0, jnp.inf, jnp.where(x < -1.5, jnp.nan, -0.5 + 0.1 * x))


def test_walkers_without_a_finite_energy_are_left_out_and_counted():
    optimizer = spring(log_psi)
    states, rows = advance(start(optimizer), optimizer, 2, hamiltonian({"broken": broken}))
    x = np.asarray(states[0].sampler.walkers.electrons)[:, 0, 0]
    bad = (x > 1.0) | (x < -1.5)
    assert 0 < bad.sum() < len(x)
    np.testing.assert_allclose(rows[0]["excluded"], bad.mean(), rtol=1e-6)
    np.testing.assert_allclose(rows[0]["energy"], np.mean(-0.5 + 0.1 * x[~bad]), rtol=1e-5)
    assert not rows[0]["rejected"] and np.isfinite(states[1].params["a"])


def test_a_step_without_any_finite_energy_is_rejected():
    def nothing(psi, electrons, system, key):
        return jnp.nan * jnp.sum(electrons)

    for optimizer in (adam(), spring(log_psi)):
        states, rows = advance(start(optimizer), optimizer, 1, hamiltonian({"nothing": nothing}))
        assert rows[0]["rejected"] and rows[0]["excluded"] == 1.0
        assert states[0].params["a"] == np.float32(0.7)


def test_the_statistics_have_the_energy_its_terms_and_the_chain():
    _, (stats,) = advance(start(adam()), adam(), 1)
    assert {"energy", "variance", "clipped", "excluded", "rejected", "update_norm", "acceptance", "width", "stuck",
            "kinetic", "electron_nucleus", "electron_electron", "nucleus_nucleus"} <= set(stats)
    np.testing.assert_allclose(stats["energy"], stats["kinetic"] + stats["electron_nucleus"], rtol=1e-4)
    assert all(np.shape(value) == () for value in stats.values())


def test_density_and_local_energy_are_those_of_the_wavefunction():
    electrons = jnp.asarray(np.random.default_rng(1).normal(size=(9, 1, 3)), jnp.float32)
    r, params = np.linalg.norm(electrons[:, 0], axis=-1), {"a": jnp.float32(0.7)}
    np.testing.assert_allclose(make_log_density(log_psi, params, HYDROGEN)(electrons), -1.4 * r, rtol=1e-5)
    local = make_local_energy(log_psi, HYDROGEN, molecular(), 4)(jax.random.key(0), params, electrons)
    np.testing.assert_allclose(local.total, -0.245 + (0.7 - 1.0) / r, rtol=1e-4)
