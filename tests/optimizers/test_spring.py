"""Natural-gradient steps: equal to their dense definitions in the space of parameters."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from nnqmc.errors import InputError
from nnqmc.optimizers import hyperbolic_decay, min_sr, scale_by_spring, spring
from nnqmc.typing import SignedLog, System, VMCBatch

pytestmark = pytest.mark.usefixtures("double_precision")
SYSTEM = System(np.zeros((1, 3)), np.array([2.0]), 1, 1, ("He",))
B = 24
DAMPING = 3e-3
RNG = np.random.default_rng(0)
PARAMS = {"kernel": RNG.normal(size=(6, 3)), "last": RNG.normal(size=3)}
ELECTRONS = RNG.normal(size=(B, 2, 3))


def log_psi(params, electrons, system):
    return SignedLog(jnp.ones(()), jnp.tanh(electrons.ravel() @ params["kernel"]) @ params["last"])


def make_batch(seed=1, log_weight=None):
    """A sample whose residual has weighted mean zero, as the energy's has."""
    log_weight = np.zeros(B) if log_weight is None else log_weight
    weight = np.exp(log_weight) / np.exp(log_weight).sum()
    residual = np.random.default_rng(seed).normal(size=B)
    residual -= weight @ residual
    arrays = (jnp.asarray(x) for x in (ELECTRONS, residual, log_weight))
    return VMCBatch(*arrays, SYSTEM, jax.random.key(0))


def dense_parts(params, batch):
    """The metric S = <O O^T> and the force F = <e O> of centred scores O, by definition."""
    def score(electrons):
        return ravel_pytree(jax.grad(lambda p: log_psi(p, electrons, SYSTEM).logabs)(params))[0]

    scores = np.asarray(jax.vmap(score)(batch.electrons))
    weight = np.exp(batch.log_weight) / np.exp(batch.log_weight).sum()
    scores = scores - weight @ scores
    return (scores.T * weight) @ scores, scores.T @ (weight * np.asarray(batch.residual))


def directions(momentum, batches, damping=DAMPING, **limits):
    """The directions that the optimizer takes, one after the other at the same parameters."""
    optimizer = scale_by_spring(log_psi, damping=damping, momentum=momentum, **limits)
    params = jax.tree.map(jnp.asarray, PARAMS)
    update = jax.jit(lambda state, batch: optimizer.update(params, state, params, batch=batch))
    state, found = optimizer.init(params), []
    for batch in batches:
        direction, state = update(state, batch)
        assert jax.tree.structure(direction) == jax.tree.structure(params)
        found.append(np.asarray(ravel_pytree(direction)[0]))
    return found


def test_min_sr_is_the_dense_solution_of_stochastic_reconfiguration():
    batch = make_batch()
    metric, force = dense_parts(PARAMS, batch)
    (direction,) = directions(0.0, [batch])
    exact = np.linalg.solve(metric + DAMPING * np.eye(len(force)), force)
    np.testing.assert_allclose(direction, exact, rtol=1e-9, atol=1e-11)


def test_min_sr_is_the_dense_solution_for_weighted_walkers_too():
    batch = make_batch(log_weight=RNG.normal(size=B))
    metric, force = dense_parts(PARAMS, batch)
    (direction,) = directions(0.0, [batch])
    exact = np.linalg.solve(metric + DAMPING * np.eye(len(force)), force)
    np.testing.assert_allclose(direction, exact, rtol=1e-9, atol=1e-11)


def test_spring_solves_its_least_squares_problem_at_every_step():
    """d minimises |O d - e|^2 + damping |d - mu d_before|^2: the definition, solved among parameters."""
    momentum, batches = 0.9, [make_batch(seed) for seed in range(4)]
    expected, before = [], np.zeros(21)
    for batch in batches:
        metric, force = dense_parts(PARAMS, batch)
        rest = force - momentum * metric @ before
        before = momentum * before + np.linalg.solve(metric + DAMPING * np.eye(21), rest)
        expected.append(before)
    for ours, exact in zip(directions(momentum, batches), expected):
        np.testing.assert_allclose(ours, exact, rtol=1e-8, atol=1e-10)


def test_a_direction_far_longer_than_the_one_before_is_shortened_and_remembered_so():
    """The third batch has residuals a hundred times as large: the definition, limited, solved among parameters."""
    momentum, growth = 0.9, 2.0
    batches = [make_batch(seed) for seed in range(4)]
    batches[2] = batches[2]._replace(residual=100.0 * batches[2].residual)
    before, lengths = np.zeros(21), []
    for batch, ours in zip(batches, directions(momentum, batches, max_growth=growth)):
        metric, force = dense_parts(PARAMS, batch)
        free = momentum * before + np.linalg.solve(metric + DAMPING * np.eye(21), force - momentum * metric @ before)
        limit = growth * np.linalg.norm(before)
        lengths.append((np.linalg.norm(free), limit))
        before = free * (min(1.0, limit / np.linalg.norm(free)) if limit else 1.0)
        np.testing.assert_allclose(ours, before, rtol=1e-8, atol=1e-10)
    assert lengths[2][0] > 10.0 * lengths[2][1] and lengths[1][0] < lengths[1][1]


def test_the_robust_form_has_the_gain_of_its_formula_on_every_eigenvalue():
    """With momentum and a gradient that the walkers don't span, against eigenvalues of the dense metric."""
    momentum, before = 0.9, np.zeros(21)
    gradient = jax.tree.map(lambda p: jnp.asarray(RNG.normal(size=p.shape)), PARAMS)
    batches = [make_batch(seed)._replace(gradient=gradient) for seed in range(3)]
    for ours, batch in zip(directions(momentum, batches, robust=True), batches):
        metric, force = dense_parts(PARAMS, batch)
        rest = force + 0.5 * ravel_pytree(gradient)[0] - momentum * metric @ before
        values, vectors = np.linalg.eigh(metric)
        gain = (values + DAMPING**1.5) / (values + DAMPING) ** 2
        before = momentum * before + vectors @ (gain * (vectors.T @ rest))
        np.testing.assert_allclose(ours, before, rtol=1e-7, atol=1e-9)


def test_spring_without_momentum_is_min_sr():
    params, batch = jax.tree.map(jnp.asarray, PARAMS), make_batch()
    updates = []
    for optimizer in (spring(log_psi, momentum=0.0, max_norm=1e9), min_sr(log_psi, max_norm=1e9)):
        update, _ = optimizer.update(params, optimizer.init(params), params, batch=batch)
        updates.append(ravel_pytree(update)[0])
    np.testing.assert_array_equal(*updates)
    with_momentum = directions(0.9, [batch, batch])
    assert not np.allclose(with_momentum[1], directions(0.0, [batch, batch])[1], rtol=1e-3)


def test_the_step_goes_downhill_with_the_rate_of_its_schedule():
    params, batch = jax.tree.map(jnp.asarray, PARAMS), make_batch()
    optimizer = min_sr(log_psi, learning_rate=0.02, delay=1.0, damping=DAMPING, max_norm=1e9)
    (direction,), state = directions(0.0, [batch]), optimizer.init(params)
    _, force = dense_parts(PARAMS, batch)
    for step in range(3):
        update, state = optimizer.update(params, state, params, batch=batch)
        flat = np.asarray(ravel_pytree(update)[0])
        np.testing.assert_allclose(flat, -0.02 / (1.0 + step) * direction, rtol=1e-9)
        assert flat @ force < 0.0


def test_the_cap_applies_to_the_step_that_is_taken():
    params, batch = jax.tree.map(jnp.asarray, PARAMS), make_batch()
    (direction,) = directions(0.0, [batch])
    uncapped = 0.05 * np.linalg.norm(direction)
    for max_norm in (0.25 * uncapped, 4.0 * uncapped):
        optimizer = min_sr(log_psi, learning_rate=0.05, damping=DAMPING, max_norm=max_norm)
        update, _ = optimizer.update(params, optimizer.init(params), params, batch=batch)
        np.testing.assert_allclose(optax.tree.norm(update), min(uncapped, max_norm), rtol=1e-9)


def test_the_direction_does_not_depend_on_the_chunks():
    params, batch = jax.tree.map(jnp.asarray, PARAMS), make_batch()
    found = []
    for chunk_size in (None, 5):
        optimizer = scale_by_spring(log_psi, damping=DAMPING, momentum=0.5, chunk_size=chunk_size)
        direction, _ = optimizer.update(params, optimizer.init(params), params, batch=batch)
        found.append(ravel_pytree(direction)[0])
    np.testing.assert_allclose(*found, rtol=1e-10)


def test_a_singular_metric_with_hardly_any_damping_gives_a_finite_step():
    """All walkers at the same place but two: the Gram matrix has rank 1, in single precision and below its noise."""
    with jax.enable_x64(False):
        params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), PARAMS)
        electrons = jnp.asarray(np.repeat(ELECTRONS[:1], B, axis=0), jnp.float32).at[3].set(5.0)
        residual = jnp.zeros(B, jnp.float32).at[3].set(1.0).at[4].set(-1.0)
        batch = VMCBatch(electrons, residual, jnp.zeros(B, jnp.float32), SYSTEM, jax.random.key(0))
        optimizer = spring(log_psi, damping=1e-12, max_norm=0.1)
        update, _ = optimizer.update(params, optimizer.init(params), params, batch=batch)
    assert np.isfinite(ravel_pytree(update)[0]).all()
    assert optax.tree.norm(update) < 0.1 * 1.0001


def test_the_solve_is_done_in_double_precision_while_everything_else_is_single():
    """With a damping of 1e-7 and scores of order 1 a single-precision solve has no digit left."""
    batch = make_batch()
    metric, force = dense_parts(PARAMS, batch)
    exact = np.linalg.solve(metric + 1e-5 * np.eye(21), force)
    with jax.enable_x64(False):
        params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), PARAMS)
        single = VMCBatch(*(jnp.asarray(x, jnp.float32) for x in batch[:3]), SYSTEM, batch.key)
        optimizer = scale_by_spring(log_psi, damping=1e-5, momentum=0.0)
        direction, _ = optimizer.update(params, optimizer.init(params), params, batch=single)
        flat = ravel_pytree(direction)[0]
    assert flat.dtype == jnp.float32
    assert np.linalg.norm(flat - exact) < 1e-2 * np.linalg.norm(exact)


def test_a_rate_decays_to_half_after_its_delay():
    rate = hyperbolic_decay(0.1, 500.0)
    assert rate(0) == 0.1 and rate(500) == pytest.approx(0.05) and rate(1500) == pytest.approx(0.025)
    assert hyperbolic_decay(0.1, np.inf)(10**9) == 0.1


@pytest.mark.parametrize(("settings", "word"), [
    ({"damping": 0.0}, "damping"), ({"momentum": 1.0}, "momentum"), ({"momentum": -0.1}, "momentum"),
    ({"max_norm": 0.0}, "max_norm"), ({"learning_rate": 0.0}, "learning_rate"), ({"delay": 0.0}, "delay"),
    ({"damping": float("nan")}, "damping"), ({"max_growth": 0.5}, "max_growth")])
def test_settings_out_of_range_are_refused(settings, word):
    with pytest.raises(InputError, match=word):
        spring(log_psi, **settings)


def test_an_update_without_the_sample_is_refused():
    params = jax.tree.map(jnp.asarray, PARAMS)
    optimizer = spring(log_psi)
    with pytest.raises(InputError, match="batch"):
        optimizer.update(params, optimizer.init(params), params)
