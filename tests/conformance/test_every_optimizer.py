"""What every optimizer must be: an optax transformation that takes `batch` and lowers the energy.

A new optimizer comes from the catalogue; SETTINGS has what it needs to find hydrogen's ground state in 100 steps.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from catalogued import catalogued
from nnqmc.hamiltonian import molecular
from nnqmc.methods import finish, init_state, make_step, train
from nnqmc.optimizers import spring
from nnqmc.samplers import Metropolis
from nnqmc.typing import SignedLog, System, VMCBatch

SETTINGS = {"adam": {"learning_rate": 0.03}, "min_sr": {"learning_rate": 0.2}, "lamb": {"learning_rate": 0.05},
            "kfac": {"learning_rate": 0.8, "norm_constraint": 0.1}, "preconditioned_adam": {"learning_rate": 0.03}}
HYDROGEN = System(np.zeros((1, 3)), np.ones(1), 1, 0, ("H",))


def log_psi(params, electrons, system):
    """exp(-a r - b r^2): hydrogen's ground state at a = 1, b = 0."""
    r = jnp.linalg.norm(electrons[0])
    return SignedLog(jnp.ones((), r.dtype), -params["slope"]["a"] * r - params["b"][0] * r**2)


PARAMS = {"slope": {"a": np.float32(0.5)}, "b": np.array([0.15], np.float32)}


OPTIMIZERS = catalogued("optimizer", SETTINGS, log_psi=log_psi) | {
    "spring, chunks": spring(log_psi, chunk_size=32),
}


@pytest.fixture(params=OPTIMIZERS.values(), ids=OPTIMIZERS)
def optimizer(request):
    return request.param


def params():
    return jax.tree.map(jnp.asarray, PARAMS)


def batch(residual_scale=1.0, n_walkers=64):
    rng = np.random.default_rng(0)
    residual = rng.normal(size=n_walkers)
    residual = residual_scale * (residual - residual.mean())
    return VMCBatch(jnp.asarray(rng.normal(size=(n_walkers, 1, 3)), jnp.float32), jnp.asarray(residual, jnp.float32),
                    jnp.zeros(n_walkers, jnp.float32), HYDROGEN, jax.random.key(0))


def gradient(sample):
    def objective(p):
        values = jax.vmap(lambda r: log_psi(p, r, HYDROGEN).logabs)(sample.electrons)
        return 2.0 * jnp.mean(sample.residual * values)

    return jax.grad(objective)(params())


def test_it_is_an_optax_transformation_that_takes_the_batch(optimizer):
    assert isinstance(optimizer, optax.GradientTransformationExtraArgs)
    state = optimizer.init(params())
    updates, after = jax.jit(optimizer.update)(gradient(batch()), state, params(), batch=batch())
    for tree, like in ((updates, params()), (after, state)):
        assert jax.tree.structure(tree) == jax.tree.structure(like)
        for x, y in zip(jax.tree.leaves(tree), jax.tree.leaves(like)):
            assert x.shape == y.shape and x.dtype == y.dtype and np.isfinite(x).all()
    assert all(np.any(leaf != 0.0) for leaf in jax.tree.leaves(updates))


def test_it_ignores_keywords_meant_for_others(optimizer):
    state = optimizer.init(params())
    plain, _ = optimizer.update(gradient(batch()), state, params(), batch=batch())
    extra, _ = optimizer.update(gradient(batch()), state, params(), batch=batch(), something_else=1)
    for x, y in zip(jax.tree.leaves(plain), jax.tree.leaves(extra)):
        np.testing.assert_array_equal(x, y)


def test_its_first_step_lowers_the_energy_to_first_order(optimizer):
    grads = gradient(batch())
    updates, _ = optimizer.update(grads, optimizer.init(params()), params(), batch=batch())
    slope = sum(jnp.sum(g * u) for g, u in zip(jax.tree.leaves(grads), jax.tree.leaves(updates)))
    assert slope < 0.0


@pytest.mark.parametrize("scale", [0.0, 1.0], ids=["alone", "with a residual"])
def test_a_gradient_besides_the_residual_is_followed(optimizer, scale):
    """Objectives with a penalty have one."""
    extra = {"slope": {"a": jnp.float32(0.4)}, "b": jnp.array([-0.3], jnp.float32)}
    sample = batch(scale)._replace(gradient=extra)
    grads = jax.tree.map(jnp.add, gradient(batch(scale)), extra)
    updates, _ = optimizer.update(grads, optimizer.init(params()), params(), batch=sample)
    assert sum(jnp.sum(g * u) for g, u in zip(jax.tree.leaves(grads), jax.tree.leaves(updates))) < 0.0
    without, _ = optimizer.update(gradient(batch(scale)), optimizer.init(params()), params(), batch=batch(scale))
    assert any((x != y).any() for x, y in zip(jax.tree.leaves(updates), jax.tree.leaves(without)))


def test_an_eigenstate_is_left_alone(optimizer):
    """No residual, no step."""
    nothing = batch(0.0)
    updates, _ = optimizer.update(gradient(nothing), optimizer.init(params()), params(), batch=nothing)
    for leaf in jax.tree.leaves(updates):
        np.testing.assert_array_equal(leaf, 0.0)


def test_it_finds_the_ground_state_of_hydrogen(optimizer):
    sampler = Metropolis(sweeps=5, width=0.7)
    electrons = jnp.asarray(np.random.default_rng(0).normal(size=(128, 1, 3)), jnp.float32)
    state = init_state(jax.random.key(0), HYDROGEN, params(), electrons, sampler, optimizer)
    step = make_step(log_psi, HYDROGEN, molecular(), sampler, optimizer)
    state, series = finish(train(step, state, 100))
    assert series["energy"][0] > -0.46
    assert abs(series["energy"][-20:].mean() + 0.5) < 0.005
    assert series["variance"][-20:].mean() < 0.2 * series["variance"][0]
    assert series["rejected"].sum() == 0
