"""The guard against blow-ups goes back where a direction is far too long, a bounded number of times, and says so."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nnqmc.methods import finish, init_state, make_step, train
from nnqmc.optimizers import guarded, robust_spring
from nnqmc.samplers import Metropolis
from nnqmc.statistics import estimate, notes_on_training
from nnqmc.typing import LocalEnergy, SignedLog, System

HYDROGEN = System(np.zeros((1, 3)), np.ones(1), 1, 0, ("H",))


def run(gradients, factor=3.0):
    """The parameters before every step, and the last state, of gradient descent with momentum under a guard."""
    momentum = optax.with_extra_args_support(optax.trace(0.5))
    optimizer = guarded(momentum, optax.chain(optax.scale(-0.1), optax.clip_by_global_norm(1.0)), factor)
    update = jax.jit(optimizer.update)
    params, seen = jnp.zeros(2), []
    state = optimizer.init(params)
    for gradient in gradients:
        seen.append(np.asarray(params))
        steps, state = update(jnp.asarray(gradient), state, params)
        params = optax.apply_updates(params, steps)
    return np.array([*seen, params]), state


def ordinary(n_steps):
    """Gradients of about the same length."""
    return 1.0 + 0.1 * np.random.default_rng(0).normal(size=(n_steps, 2))


def test_nothing_happens_while_directions_are_about_as_long_as_ever():
    gradients = ordinary(120)
    (with_guard, state), (without, _) = run(gradients), run(gradients, 0.0)
    np.testing.assert_array_equal(with_guard, without)
    assert state.rewinds == 0


def test_a_direction_far_too_long_leads_back_and_momentum_is_lost():
    gradients = ordinary(130)
    gradients[90] *= 100.0
    seen, state = run(gradients)
    assert state.rewinds == 1
    np.testing.assert_allclose(seen[91], seen[50], rtol=1e-6)  # copies are of steps 50 and 75
    np.testing.assert_allclose(seen[92] - seen[91], -0.1 * gradients[91], rtol=1e-4)  # no momentum
    assert np.all(np.abs(np.diff(seen[91:], axis=0)) < 0.5)


def test_early_directions_are_not_judged():
    gradients = ordinary(60)
    gradients[40] *= 100.0
    assert run(gradients)[1].rewinds == 0


def test_rewinds_are_bounded():
    gradients = ordinary(900)
    gradients[60::60] *= 1e3
    assert run(gradients)[1].rewinds == 10


def log_psi(params, electrons, system):
    """exp(-a r)."""
    return SignedLog(jnp.ones(()), -params["a"] * jnp.linalg.norm(electrons[0]))


def hamiltonian(psi, electrons, system, key):
    """Any local energy that varies."""
    r = jnp.linalg.norm(electrons[0])
    return LocalEnergy(-0.5 / r + r, {})


def test_a_training_step_reports_rewinds_and_a_result_counts_them():
    params, sampler = {"a": jnp.asarray(1.0)}, Metropolis(sweeps=1, width=0.5)
    optimizer = robust_spring(log_psi, guard=0.01)  # anything is too long
    electrons = jax.random.normal(jax.random.key(1), (16, 1, 3))
    state = init_state(jax.random.key(0), HYDROGEN, params, electrons, sampler, optimizer)
    step = make_step(log_psi, HYDROGEN, hamiltonian, sampler, optimizer)
    state, series = finish(train(step, state, 120))
    assert series["rewound"].sum() == state.opt_state.rewinds == 2
    np.testing.assert_array_equal(np.flatnonzero(series["rewound"]), [50, 101])
    notes = notes_on_training(series | {"step": np.arange(120)}, None, estimate(series["energy"]))
    assert "the guard against blow-ups took the parameters back 2 times in training" in notes
