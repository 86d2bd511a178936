"""Numbers that aren't finite, and places where they are born: training goes on and counts them, or stops and says why.

Whatever is injected, the parameters stay finite, the fault is counted, and a population with one healthy walker heals.
"""

from __future__ import annotations

import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nnqmc.errors import NumericalError
from nnqmc.hamiltonian import hamiltonian, molecular
from nnqmc.methods import finish, init_state, make_step, train
from nnqmc.optimizers import adam, spring
from nnqmc.samplers import Metropolis
from nnqmc.typing import SignedLog, System
from nnqmc.wavefunctions import FermiNet, init_params

N_WALKERS = 16
LITHIUM = System(np.zeros((1, 3)), np.full(1, 3.0), 2, 1, ("Li",))
HYDROGEN = System(np.zeros((1, 3)), np.ones(1), 1, 0, ("H",))


def is_finite(tree):
    floats = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating)]
    return all(bool(jnp.isfinite(x).all()) for x in floats)


# --- places, with a network of three electrons ------------------------------------------------------------------------


def somewhere(**places):
    """Walkers near the nucleus, but for those called w0, w1, ...: arrays (3, 3), or numbers."""
    electrons = np.random.default_rng(0).normal(size=(N_WALKERS, 3, 3)).astype(np.float32)
    for name, place in places.items():
        electrons[int(name[1:])] = place
    return electrons


LINE = np.array([[0.0, 0, 0.5], [0, 0, 0.5], [0, 0.5, 0]])
PLACES = {
    "one NaN walker": ({"w3": np.nan}, 1),
    "one infinite walker": ({"w3": np.inf}, 1),
    "a NaN coordinate": ({"w3": np.where(np.eye(3) == 1, np.nan, 1.0)}, 1),
    "half of the walkers NaN": ({f"w{i}": np.nan for i in range(N_WALKERS // 2)}, N_WALKERS // 2),
    "all but one NaN": ({f"w{i}": np.nan for i in range(1, N_WALKERS)}, N_WALKERS - 1),
    "a walker 1e4 bohr away": ({"w3": 1e4}, 1),
    "a walker 1e30 bohr away": ({"w3": 1e30}, 1),
    "an electron on the nucleus": ({"w3": np.eye(3)[[0, 1, 2]] * [[0.0], [1], [1]]}, 0),
    "all electrons on the nucleus": ({"w3": 0.0}, 1),
    "all electrons of all walkers on the nucleus": ({f"w{i}": 0.0 for i in range(N_WALKERS)}, 0),
    "up and down on top of each other": ({"w3": LINE[[0, 2, 0]]}, 0),
    "a degenerate determinant": ({"w3": LINE}, 0),
    "degenerate determinants everywhere": ({f"w{i}": LINE for i in range(N_WALKERS)}, 0),
}
"""What is injected, and how many walkers are past help and have to be replaced."""


@pytest.fixture(scope="module")
def lithium():
    """A state and a compiled step."""
    network, sampler = FermiNet(layers=1, hidden_one=8, hidden_two=4, n_determinants=1), Metropolis(sweeps=5)
    optimizer = spring(network.apply)
    params = init_params(network, jax.random.key(0), LITHIUM)
    state = init_state(jax.random.key(1), LITHIUM, params, jnp.asarray(somewhere()), sampler, optimizer)
    step = jax.jit(make_step(network.apply, LITHIUM, molecular(), sampler, optimizer)).lower(state).compile()
    return state, step


def placed(state, electrons):
    per_walker = state.sampler.per_walker._replace(electrons=jnp.asarray(electrons, jnp.float32))
    return state._replace(sampler=state.sampler._replace(per_walker=per_walker))


@pytest.mark.parametrize(("places", "n_lost"), PLACES.values(), ids=PLACES)
def test_a_bad_place_is_left_within_a_step_and_counted(lithium, places, n_lost):
    start, step = lithium
    rows = []
    for _, state, stats in train(step, placed(start, somewhere(**places)), 3):
        rows.append(stats)
        assert is_finite((state.params, state.average, state.opt_state)) and not stats["rejected"]
        assert np.isfinite(stats["energy"]) and stats["excluded"] == 0.0
    assert [round(row["reseeded"] * N_WALKERS) for row in rows] == [n_lost, 0, 0]
    electrons = np.asarray(state.sampler.walkers.electrons)
    assert np.isfinite(electrons).all() and np.abs(electrons).max() < 100.0


@pytest.mark.parametrize("place", [np.nan, np.inf, 1e30], ids=str)
def test_where_every_walker_is_bad_training_stops_with_untouched_parameters(lithium, place):
    state, step = lithium
    seen = []
    with pytest.raises(NumericalError, match=r"20 training steps in a row up to step 20 .* for 100% of the walkers"):
        for _, now, stats in train(step, placed(state, np.full((N_WALKERS, 3, 3), place)), 1000):
            seen.append(now)
            assert stats["rejected"] and stats["excluded"] == 1.0
    for ours, given in zip(jax.tree.leaves(seen[-1].params), jax.tree.leaves(state.params)):
        np.testing.assert_array_equal(ours, given)


@pytest.mark.parametrize("value", [np.nan, np.inf], ids=str)
@pytest.mark.parametrize("part", ["params", "average", "opt_state"])
def test_a_state_that_is_not_finite_stops_training(lithium, part, value):
    """Parameters, their average (all that evaluation looks at) and the optimizer's memory."""
    state, step = lithium
    leaves, tree = jax.tree.flatten(getattr(state, part))
    place = next(i for i, leaf in enumerate(leaves) if leaf.ndim == 2)  # the kernel of a layer
    leaves[place] = leaves[place].at[0, 0].set(value)
    with pytest.raises(NumericalError, match="20 training steps in a row"):
        finish(train(step, state._replace(**{part: jax.tree.unflatten(tree, leaves)}), 1000))


def test_a_width_that_is_not_finite_moves_nobody_shows_and_ends_the_run(lithium):
    state, step = lithium
    moves = state.sampler.shared._replace(width=jnp.float32(np.nan))
    state = state._replace(sampler=state.sampler._replace(shared=moves))
    _, series = finish(train(step, state, 15))
    assert (series["acceptance"] == 0.0).all() and (series["bad_proposals"] == 1.0).all()
    with pytest.raises(NumericalError, match="20 training steps in a row"):
        finish(train(step, state, 1000))


# --- energies, gradients and the Gram matrix, with one parameter ------------------------------------------------------


def log_psi(params, electrons, system):
    """exp(-a r)."""
    return SignedLog(jnp.ones((), electrons.dtype), -params["a"] * jnp.linalg.norm(electrons[0]))


def trained(optimizer, operator, n_steps=4, log_psi=log_psi, n_walkers=64):
    """The last state and the series of a short training of hydrogen."""
    sampler = Metropolis(sweeps=3)
    electrons = jnp.asarray(np.random.default_rng(0).normal(size=(n_walkers, 1, 3)), jnp.float32)
    state = init_state(jax.random.key(5), HYDROGEN, {"a": jnp.float32(0.7)}, electrons, sampler, optimizer)
    return finish(train(make_step(log_psi, HYDROGEN, operator, sampler, optimizer), state, n_steps))


@pytest.mark.parametrize("make", [spring, lambda log_psi: adam()], ids=["spring", "adam"])
def test_a_few_bad_energies_are_left_out_and_counted(make):
    def holed(psi, electrons, system, key):
        x, y, z = electrons[0]
        return jnp.where(x > 2.0, jnp.nan, jnp.where(y > 2.0, jnp.inf, jnp.where(z > 2.0, -jnp.inf, 0.0)))

    state, series = trained(make(log_psi), molecular(holed=holed))
    assert 0.0 < series["excluded"].mean() < 0.3 and not series["rejected"].any()
    assert np.isfinite(series["energy"]).all() and is_finite(state.params) and state.params["a"] != np.float32(0.7)


def test_an_absurd_energy_counts_but_does_not_decide_where_the_parameters_go():
    """It is finite, so the statistics don't hide it; the gradient sees it clipped."""

    def spiked(psi, electrons, system, key):
        return jnp.where(electrons[0, 0] > 3.0, 1e20, 0.0)

    state, series = trained(adam(1e-2), molecular(spiked=spiked), n_walkers=512)  # some, but less than 1 in 100
    assert series["clipped"].max() > 0.0 and abs(float(state.params["a"]) - 0.7) < 0.05
    assert series["energy"].max() > 1e15


def test_gradients_that_are_not_finite_stop_training_when_they_stay():
    def update(grads, state, params=None, **extra):
        return jax.tree.map(lambda g: jnp.where(state >= 2, jnp.inf, -0.1 * g), grads), state + 1

    optimizer = optax.GradientTransformationExtraArgs(lambda params: jnp.zeros((), jnp.int32), update)
    with pytest.raises(NumericalError, match=r"20 training steps in a row up to step 22"):
        trained(optimizer, molecular(), 1000)


def with_gram(monkeypatch, matrix):
    fake = jnp.asarray(matrix, jnp.float32)
    monkeypatch.setattr(sys.modules["nnqmc.optimizers.natural"], "gram", lambda scores: fake)
    return trained(spring(log_psi, max_norm=0.1), molecular())


@pytest.mark.parametrize("value", [np.nan, np.inf], ids=str)
def test_a_gram_matrix_that_is_not_finite_is_a_rejected_step(monkeypatch, value):
    state, series = with_gram(monkeypatch, np.where(np.eye(64), value, 1.0))
    assert series["rejected"].all() and state.params["a"] == np.float32(0.7) and is_finite(state.opt_state)


@pytest.mark.parametrize("matrix", [np.zeros((64, 64)), -1e3 * np.eye(64), 1e30 * np.ones((64, 64))],
                         ids=["zero", "negative", "huge"])
def test_a_gram_matrix_that_no_scores_have_gives_a_bounded_step_or_none(monkeypatch, matrix):
    state, _ = with_gram(monkeypatch, matrix)
    assert is_finite((state.params, state.average, state.opt_state))
    assert abs(float(state.params["a"]) - 0.7) < 0.4 * 1.001


def test_a_wavefunction_that_vanishes_everywhere_stops_training():
    def nothing(params, electrons, system):
        return SignedLog(jnp.zeros(()), -jnp.inf * jnp.sum(electrons**2) + params["a"])

    def bare(psi, electrons, system, key):
        return psi(electrons, system).logabs

    with pytest.raises(NumericalError, match="for 100% of the walkers"):
        trained(adam(), hamiltonian({"bare": bare}), 1000, nothing)


def test_a_population_that_has_to_be_replaced_again_and_again_stops_training():
    sampler, optimizer = Metropolis(sweeps=3), adam()
    state = init_state(jax.random.key(5), HYDROGEN, {"a": jnp.float32(0.7)}, jnp.ones((8, 1, 3)), sampler, optimizer)
    step = make_step(log_psi, HYDROGEN, molecular(), sampler, optimizer)

    def flung(state):
        return step(placed(state, state.sampler.walkers.electrons.at[::4].set(jnp.nan)))

    with pytest.raises(NumericalError, match="the last one for 25% of the walkers"):
        finish(train(flung, state, 1000))
