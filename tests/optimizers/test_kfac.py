"""K-FAC: equal to its definition in Kronecker products, and exact where its assumptions hold."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from compiling import quickly_compiled
from nnqmc.errors import InputError
from nnqmc.optimizers import kfac, scale_by_kfac
from nnqmc.typing import SignedLog, System, VMCBatch

pytestmark = pytest.mark.usefixtures("double_precision")
SYSTEM = System(np.zeros((1, 3)), np.array([2.0]), 1, 1, ("He",))
B, DAMPING = 24, 3e-3
ELECTRONS = np.random.default_rng(0).normal(size=(B, 2, 3))


class Shared(nn.Module):
    """A layer that both electrons share, with a bias, one that is mapped over them, a last one, and plain weights."""

    @nn.compact
    def __call__(self, electrons, system):
        h = jnp.tanh(nn.Dense(4, name="shared")(electrons))
        mapped = nn.Dense(3, name="mapped")
        mapped(h[0])
        h = h[:, :3] + jax.vmap(mapped)(h)
        weights = self.param("weights", nn.initializers.ones_init(), (2, 2))
        large = self.param("large", nn.initializers.ones_init(), (300,))
        rest = jnp.sum(electrons @ electrons.T * weights) + jnp.sum(large * jnp.sin(electrons[0, 0] * jnp.arange(300)))
        return SignedLog(jnp.ones(()), nn.Dense(1, use_bias=False, name="last")(h.reshape(-1))[0] + 0.1 * rest)


class Linear(nn.Module):
    """log|psi| is linear in the parameters."""

    @nn.compact
    def __call__(self, electrons, system):
        features = jnp.concatenate([electrons.ravel(), electrons.ravel() ** 2])
        return SignedLog(jnp.ones(()), nn.Dense(1, name="only")(features)[0])


def make_batch(seed=1):
    """A weighted sample whose residual has mean zero."""
    rng = np.random.default_rng(seed)
    log_weight, residual = rng.normal(size=B), rng.normal(size=B)
    weight = np.exp(log_weight) / np.exp(log_weight).sum()
    residual -= weight @ residual
    electrons = ELECTRONS + 0.3 * rng.normal(size=ELECTRONS.shape)
    return weight, VMCBatch(*map(jnp.asarray, (electrons, residual, log_weight)), SYSTEM, jax.random.key(0))


def params_of(network):
    params = network.init(jax.random.key(1), jnp.asarray(ELECTRONS[0]), SYSTEM)
    return jax.tree.map(lambda p: jnp.asarray(p, jnp.float64) + 0.1, params)


def scores_of(network, params, electrons):
    """The scores of every walker by name, from the definition; no factors."""
    one = quickly_compiled(jax.grad(lambda p, r: network.apply(p, r, SYSTEM).logabs))
    rows = [one(params, r)["params"] for r in electrons]
    return jax.tree.map(lambda *found: np.stack(found), *rows)


def damped(a, g, gradient):
    """The dense Kronecker product of damped factors, solved for the rows of a gradient one after the other."""
    pi = np.sqrt((np.trace(a) / len(a)) / (np.trace(g) / len(g)))
    matrix = np.kron(a + pi * DAMPING**0.5 * np.eye(len(a)), g + DAMPING**0.5 / pi * np.eye(len(g)))
    return np.linalg.solve(matrix, gradient.ravel()).reshape(gradient.shape)


def of_shared_layer(params, weight, batch):
    """A and G of the layer `shared`, by loops over walkers and electrons."""
    a, g = np.zeros((4, 4)), np.zeros((4, 4))
    for w, walker in zip(weight, batch.electrons):
        def by_outputs(shift, walker=walker):
            def shifted(call, args, kwargs, context):
                return call(*args) + shift if context.module.name == "shared" else call(*args)

            with nn.intercept_methods(shifted):
                return Shared().apply(params, walker, SYSTEM).logabs

        outputs = np.asarray(jax.grad(by_outputs)(jnp.zeros((2, 4))))
        for electron in range(2):
            inputs = np.append(walker[electron], 1.0)
            a += 0.5 * w * np.outer(inputs, inputs)
            g += w * np.outer(outputs[electron], outputs[electron])
    return a, g


def test_every_block_is_the_inverse_of_its_definition():
    params, (weight, batch) = params_of(Shared()), make_batch()
    optimizer = scale_by_kfac(Shared().apply, damping=DAMPING, decay=0.95)
    found, _ = quickly_compiled(lambda: optimizer.update(params, optimizer.init(params), params, batch=batch))()
    found, scores = found["params"], scores_of(Shared(), params, batch.electrons)
    half = jax.tree.map(lambda s: np.tensordot(weight * np.asarray(batch.residual), s, axes=1), scores)

    direction = damped(*of_shared_layer(params, weight, batch), np.vstack([half["shared"]["kernel"],
                                                                         half["shared"]["bias"]]))
    np.testing.assert_allclose(np.vstack([found["shared"]["kernel"], found["shared"]["bias"]]), direction, rtol=1e-8)
    own = np.concatenate([scores["mapped"]["kernel"], scores["mapped"]["bias"][:, None]], axis=1)
    a, g = np.einsum("w,wij,wkj->ik", weight, own, own), np.einsum("w,wij,wik->jk", weight, own, own)
    scale = np.sqrt(np.einsum("w,wij,wij->", weight, own, own))
    direction = damped(a / scale, g / scale, np.vstack([half["mapped"]["kernel"], half["mapped"]["bias"]]))
    np.testing.assert_allclose(np.vstack([found["mapped"]["kernel"], found["mapped"]["bias"]]), direction, rtol=1e-8)
    for name, is_full in (("weights", True), ("large", False)):
        rows = scores[name].reshape(B, -1)
        metric = np.cov(rows.T, aweights=weight, bias=True)
        metric = (metric if is_full else np.diag(np.diag(metric))) + DAMPING * np.eye(rows.shape[1])
        np.testing.assert_allclose(found[name].ravel(), np.linalg.solve(metric, half[name].ravel()), rtol=1e-8)


def test_it_is_the_natural_gradient_of_a_linear_model():
    """One layer, used once, whose derivative by the output is 1: the Kronecker product is the metric itself."""
    params, (weight, batch) = params_of(Linear()), make_batch()
    optimizer = scale_by_kfac(Linear().apply, damping=1e-22, decay=0.95)
    found, _ = optimizer.update(params, optimizer.init(params), params, batch=batch)
    rows = scores_of(Linear(), params, batch.electrons)["only"]["kernel"][..., 0]
    centred = rows - weight @ rows
    exact = np.linalg.solve((centred.T * weight) @ centred, centred.T @ (weight * np.asarray(batch.residual)))
    np.testing.assert_allclose(found["params"]["only"]["kernel"][:, 0], exact, rtol=1e-5)


def test_factors_are_averaged_over_steps_and_a_gradient_besides_is_added():
    params, decay = params_of(Linear()), 0.5
    optimizer = scale_by_kfac(Linear().apply, damping=DAMPING, decay=decay)
    state, mean, total = optimizer.init(params), np.zeros((13, 13)), 0.0
    for seed in (1, 2, 3):
        weight, batch = make_batch(seed)
        batch = batch._replace(gradient=jax.tree.map(lambda p: 0.3 * jnp.ones_like(p), params))
        rows = np.hstack([batch.electrons.reshape(B, -1), batch.electrons.reshape(B, -1) ** 2, np.ones((B, 1))])
        total = decay * total + 1.0
        mean = mean + ((rows.T * weight) @ rows - mean) / total
        found, state = optimizer.update(params, state, params, batch=batch)
        half = rows.T @ (weight * np.asarray(batch.residual)) + 0.15
        exact = damped(mean, np.ones((1, 1)), half[:, None])
        got = np.vstack([found["params"]["only"]["kernel"], found["params"]["only"]["bias"][None]])
        np.testing.assert_allclose(got, exact, rtol=1e-9)


def test_the_length_of_a_step_in_the_metric_is_bounded():
    params, (_, batch) = params_of(Linear()), make_batch()
    direction, _ = (inner := scale_by_kfac(Linear().apply, damping=DAMPING, decay=0.95)).update(
        params, inner.init(params), params, batch=batch)
    grads = jax.grad(lambda p: 2.0 * jnp.sum(jax.nn.softmax(batch.log_weight) * batch.residual * jax.vmap(
        lambda r: Linear().apply(p, r, SYSTEM).logabs)(batch.electrons)))(params)
    squared = 0.5 * sum(jnp.vdot(*pair) for pair in zip(jax.tree.leaves(grads), jax.tree.leaves(direction)))
    for bound in (1e-6, 1e3):
        optimizer = kfac(Linear().apply, learning_rate=0.1, damping=DAMPING, norm_constraint=bound)
        step, _ = optimizer.update(grads, optimizer.init(params), params, batch=batch)
        expected = -min(0.1, float(jnp.sqrt(bound / squared)))
        for got, along in zip(jax.tree.leaves(step), jax.tree.leaves(direction)):
            np.testing.assert_allclose(got, expected * along, rtol=1e-9)


def test_settings_and_updates_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match="decay"):
        kfac(Linear().apply, decay=1.0)
    params = params_of(Linear())
    with pytest.raises(InputError, match="batch"):
        kfac(Linear().apply).update(params, kfac(Linear().apply).init(params), params)
