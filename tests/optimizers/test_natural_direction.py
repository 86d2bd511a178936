"""The natural gradient of any function: equal to its dense definition, and free where there is no such function."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from nnqmc.optimizers import natural_direction, spring
from nnqmc.typing import SignedLog, System, VMCBatch

SYSTEM = System(np.zeros((1, 3)), np.full(1, 2.0), 1, 1, ("He",))
B, DAMPING, MOMENTUM = 12, 3e-2, 0.9
RNG = np.random.default_rng(0)
PARAMS = {"kernel": RNG.normal(size=(6, 3)), "last": RNG.normal(size=3)}
ELECTRONS = RNG.normal(size=(B, 2, 3))
LOG_WEIGHT = RNG.normal(size=B)
FLAT = np.concatenate([PARAMS["kernel"].ravel(), PARAMS["last"]])
OUTSIDE = RNG.normal(size=21)
BEFORE = RNG.normal(size=21)


def log_psi(params, electrons, system):
    return SignedLog(jnp.ones(()), jnp.tanh(electrons.ravel() @ params["kernel"]) @ params["last"])


def as_params_of(tree):
    return jax.tree.map(jnp.asarray, tree)


def as_params(flat, dtype=jnp.float64):
    flat = np.asarray(flat)
    tree = {"kernel": flat[:18].reshape(6, 3), "last": flat[18:]}
    return jax.tree.map(lambda x: jnp.asarray(x, dtype), tree)


def batch(gradient, residual=None, dtype=jnp.float64):
    weight = np.exp(LOG_WEIGHT) / np.exp(LOG_WEIGHT).sum()
    if residual is None:
        residual = np.random.default_rng(1).normal(size=B)
        residual = residual - weight @ residual
    arrays = (jnp.asarray(x, dtype) for x in (ELECTRONS, residual, LOG_WEIGHT))
    return VMCBatch(*arrays, SYSTEM, jax.random.key(0), gradient)


def dense(sample, gradient, before):
    """(O^T O + damping)^-1 (O^T e + gradient/2 + damping mu before) by explicit loops over walkers, in float64."""
    score = jax.grad(lambda params, walker: log_psi(params, walker, SYSTEM).logabs)
    rows = [np.asarray(ravel_pytree(score(as_params_of(PARAMS), walker))[0]) for walker in jnp.asarray(ELECTRONS)]
    weight = np.exp(LOG_WEIGHT) / np.exp(LOG_WEIGHT).sum()
    mean = sum(w * row for w, row in zip(weight, rows))
    metric, force = DAMPING * np.eye(21), 0.5 * gradient + DAMPING * MOMENTUM * before
    for w, row, residual in zip(weight, rows, np.asarray(sample.residual)):
        metric = metric + w * np.outer(row - mean, row - mean)
        force = force + w * residual * (row - mean)
    return np.linalg.solve(metric, force)


def direction(sample, previous, dtype=jnp.float64, **settings):
    found = natural_direction(log_psi, as_params(FLAT, dtype), sample, damping=DAMPING,
                              momentum=MOMENTUM, previous=previous, **settings)
    return np.asarray(ravel_pytree(found)[0])


@pytest.mark.parametrize("before", [None, BEFORE], ids=["first step", "with memory"])
@pytest.mark.parametrize("residual", [None, np.zeros(B)], ids=["residual and gradient", "gradient alone"])
def test_it_is_the_dense_solution_for_any_gradient(double_precision, residual, before):
    sample = batch(as_params(OUTSIDE), residual)
    found = direction(sample, None if before is None else as_params(before), chunk_size=5)
    exact = dense(sample, OUTSIDE, np.zeros(21) if before is None else before)
    np.testing.assert_allclose(found, exact, rtol=1e-9, atol=1e-11)


def test_a_gradient_made_of_a_residual_may_be_given_as_either(double_precision):
    """2 <e grad log|psi|> as the gradient, with no residual, has the direction that e has as the residual."""
    sample = batch(None)
    weight = jax.nn.softmax(sample.log_weight)

    def linear(params):
        values = jax.vmap(lambda r: log_psi(params, r, SYSTEM).logabs)(sample.electrons)
        return 2.0 * jnp.sum(weight * sample.residual * values)

    gradient = jax.grad(linear)(as_params_of(PARAMS))
    as_gradient = direction(batch(gradient, np.zeros(B)), None)
    np.testing.assert_allclose(direction(sample, None), as_gradient, rtol=1e-8, atol=1e-12)


def test_in_single_precision_it_loses_no_more_than_the_condition_number_of_the_metric():
    with jax.enable_x64(True):
        exact = dense(batch(None, np.zeros(B)), OUTSIDE, BEFORE)
    sample = batch(as_params(OUTSIDE, jnp.float32), np.zeros(B), jnp.float32)
    found = direction(sample, as_params(BEFORE, jnp.float32), jnp.float32)
    assert found.dtype == np.float32
    assert np.linalg.norm(found - exact) < 1e-4 * np.linalg.norm(exact)


def test_a_residual_alone_takes_the_same_program_as_before_there_were_gradients(double_precision):
    """No gradient costs nothing: the traced program has not one operation more than the one with a residual alone."""
    def operations(sample):
        program = jax.make_jaxpr(lambda s: natural_direction(log_psi, as_params_of(PARAMS), s, damping=DAMPING))
        return str(program(sample)).count(" = ")

    assert operations(batch(None)) < operations(batch(as_params(OUTSIDE)))
    np.testing.assert_array_equal(direction(batch(None), as_params(0.0 * BEFORE)), direction(batch(None), None))


def test_the_optimizer_follows_the_residual_and_the_gradient(double_precision):
    sample, params = batch(as_params(OUTSIDE)), as_params_of(PARAMS)
    optimizer = spring(log_psi, learning_rate=0.1, delay=np.inf, damping=DAMPING, momentum=MOMENTUM, max_norm=1e9)
    state, before = optimizer.init(params), np.zeros(21)
    for _ in range(3):
        update, state = optimizer.update(params, state, params, batch=sample)
        before = dense(sample, OUTSIDE, before)
        np.testing.assert_allclose(ravel_pytree(update)[0], -0.1 * before, rtol=1e-8, atol=1e-11)
