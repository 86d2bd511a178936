"""The walker axis: what is written for one walker does the same to each, whatever the chunks."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnqmc.parallel import over_walkers, walker_keys

POPULATION = {"r": np.random.default_rng(0).normal(size=(10, 2, 3)).astype(np.float32), "index": np.arange(10)}


def one_walker(walker, scale):
    r = walker["r"]
    return {"norm": scale * jnp.sum(r**2), "pairs": r @ r.T, "index": walker["index"]}


@pytest.mark.parametrize("chunk_size", [None, 1, 3, 5, 10, 64])
def test_the_result_does_not_depend_on_the_chunks(chunk_size):
    out = jax.jit(over_walkers(one_walker, chunk_size))(POPULATION, 2.0)
    r = POPULATION["r"].astype(np.float64)
    np.testing.assert_allclose(out["norm"], 2.0 * np.sum(r**2, axis=(1, 2)), rtol=1e-6)
    np.testing.assert_allclose(out["pairs"], np.einsum("wix,wjx->wij", r, r), atol=1e-5)
    np.testing.assert_array_equal(out["index"], np.arange(10))


def test_the_gradient_does_not_depend_on_the_chunks():
    def total(scale, chunk_size):
        return jnp.sum(over_walkers(one_walker, chunk_size)(POPULATION, scale)["norm"])

    gradients = [jax.grad(total)(2.0, chunk_size) for chunk_size in (None, 3)]
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-6)


@pytest.mark.parametrize("chunk_size", [None, 3])
def test_random_numbers_of_a_walker_depend_on_its_number_only(chunk_size):
    def draw(key):
        return jax.random.normal(key, (2,))

    few, many = (walker_keys(jax.random.key(3), n) for n in (4, 7))
    np.testing.assert_array_equal(over_walkers(draw, chunk_size)(few), over_walkers(draw, chunk_size)(many)[:4])
    assert len({tuple(np.asarray(jax.random.key_data(k))) for k in many}) == 7
    other = walker_keys(jax.random.key(4), 4)
    assert not np.array_equal(jax.random.key_data(few), jax.random.key_data(other))
