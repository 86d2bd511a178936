"""Products with the scores, formed from the factors of dense layers, are those of the explicit matrix."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax.flatten_util import ravel_pytree

from compiling import quickly_compiled
from nnqmc.optimizers.scores import combined, gram, make_scores, times
from nnqmc.typing import SignedLog, System
from nnqmc.wavefunctions import FermiNet, Psiformer, init_params

LITHIUM = System(np.zeros((1, 3)), np.array([3.0]), 2, 1, ("Li",))
ELECTRONS = np.random.default_rng(0).normal(size=(5, 3, 3))
WIDE = FermiNet(layers=2, hidden_one=40, hidden_two=6, n_determinants=8)
ATTENTIVE = Psiformer(layers=1, width=40, heads=2, n_determinants=1)  # queries, keys, values, out, and the tanh layer


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def _times_half(*args, **kwargs):
    return 0.5 * jax.lax.dot_general(*args, **kwargs)


class Tied(nn.Module):
    """A layer used twice, one whose kernel is used outside of it too, some in transformations, and plain weights."""

    @nn.compact
    def __call__(self, electrons: jax.Array, system: System) -> SignedLog:
        x = electrons.reshape((1, -1))
        first, second = nn.Dense(60, name="twice"), nn.Dense(60, use_bias=False, name="tied")
        x = jnp.tanh(first(jnp.tanh(nn.Dense(60, name="once")(x))))
        x = jnp.tanh(first(x)) + jnp.tanh(second(x))
        x = nn.remat(nn.Dense)(60, name="checkpointed")(x)
        mapped, repeated = nn.Dense(60, name="mapped"), nn.Dense(60, name="repeated")
        mapped(x), repeated(x)
        x = jax.vmap(mapped)(jnp.sin(x))
        x, _ = jax.lax.scan(lambda h, _: (jnp.tanh(repeated(h)), None), x, None, length=2)
        x = nn.vmap(nn.Dense, variable_axes={"params": None}, split_rngs={"params": False})(60, name="lifted")(x)
        x = nn.Dense(60, name="masked", dot_general=_times_half)(x)
        weight = self.param("weight", nn.initializers.ones_init(), (60,))
        elsewhere = jnp.sin(self.variables["params"]["tied"]["kernel"])
        return SignedLog(jnp.ones(()), jnp.sum(x * weight) + jnp.sum(elsewhere))


def params_of(network):
    params = init_params(network, jax.random.key(1), LITHIUM)
    return jax.tree.map(lambda p: jnp.asarray(p, jnp.float64) + 0.01, params)


def explicit(log_psi, params):
    def score(electrons):
        return ravel_pytree(jax.grad(lambda p: log_psi(p, electrons, LITHIUM).logabs)(params))[0]

    return np.asarray(quickly_compiled(jax.vmap(score))(jnp.asarray(ELECTRONS)))


@pytest.fixture(scope="module", params=["FermiNet", pytest.param("blocks", marks=pytest.mark.slow), "tied",
                                        "attention", "a function"])
def case(request):
    with jax.enable_x64(True):
        if request.param == "a function":
            params = {"a": jnp.linspace(0.5, 1.0, 9), "b": jnp.ones(())}
            return lambda p, r, s: SignedLog(jnp.ones(()), jnp.sum(jnp.tanh(r.ravel() * p["a"])) * p["b"]), params, 0
        network = {"FermiNet": WIDE, "blocks": WIDE.copy(full_determinants=False), "tied": Tied(),
                   "attention": ATTENTIVE}[request.param]
        n_factored = {"FermiNet": 2, "blocks": 1, "tied": 2, "attention": 5}[request.param]
        return network.apply, params_of(network), n_factored


def test_products_with_factored_scores_are_those_of_the_explicit_ones(case):
    log_psi, params, n_factored = case
    scores = quickly_compiled(make_scores(log_psi, LITHIUM))(params, jnp.asarray(ELECTRONS))
    matrix = explicit(log_psi, params)
    assert len(scores.layers) >= n_factored
    assert matrix.shape[1] - scores.rest.shape[1] >= sum(a.shape[-1] * g.shape[-1] for a, g in scores.layers.values())
    rng = np.random.default_rng(2)
    weights, flat = rng.normal(size=5), rng.normal(size=matrix.shape[1])
    direction = ravel_pytree(params)[1](jnp.asarray(flat))
    scale = np.abs(matrix).max()
    np.testing.assert_allclose(quickly_compiled(gram)(scores), matrix @ matrix.T, rtol=1e-10, atol=1e-10 * scale**2)
    np.testing.assert_allclose(times(scores, direction), matrix @ flat, rtol=1e-9, atol=1e-10 * scale)
    back = combined(scores, jnp.asarray(weights), params)
    assert jax.tree.structure(back) == jax.tree.structure(params)
    np.testing.assert_allclose(ravel_pytree(back)[0], weights @ matrix, rtol=1e-9, atol=1e-10 * scale)


def test_a_kernel_that_is_used_elsewhere_too_is_not_factored():
    params = params_of(Tied())
    scores = quickly_compiled(make_scores(Tied().apply, LITHIUM, chunk_size=2))(params, jnp.asarray(ELECTRONS))
    names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_flatten_with_path(params)[0]]
    factored = {names[leaf] for leaf in scores.layers}
    assert factored == {"['params']['once']['kernel']", "['params']['twice']['kernel']"}
    assert scores.rest.shape == (5, sum(leaf.size for place, leaf in enumerate(jax.tree.leaves(params))
                                        if place not in scores.layers))


@pytest.mark.slow
def test_nothing_is_factored_on_request():
    params = params_of(WIDE)
    scores = quickly_compiled(make_scores(WIDE.apply, LITHIUM, 2, factored=False))(params, jnp.asarray(ELECTRONS))
    assert not scores.layers
    np.testing.assert_allclose(scores.rest, explicit(WIDE.apply, params), rtol=1e-12)
