"""Psiformer and LapNet: their published sizes, what their streams know, and what they refuse."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnqmc.errors import InputError
from nnqmc.laplacian.forward import _interpret
from nnqmc.laplacian.jets import seed
from nnqmc.system import molecule
from nnqmc.wavefunctions import FermiNet, LapNet, Psiformer
from nnqmc.wavefunctions import self_attention as module
from nnqmc.wavefunctions.lapnet import LapNetEmbedding

LIH = molecule("LiH")


def n_parameters(network, system):
    electrons = jnp.zeros((system.n_electrons, 3))
    shapes = jax.eval_shape(lambda key: network.init(key, electrons, system), jax.random.key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def around_the_embedding(system, width, n_determinants):
    """The parameters of orbitals with isotropic envelopes for both spins, and of the cusp factor."""
    return 2 * n_determinants * system.n_electrons * (width + 2 * system.n_atoms) + 2


@pytest.mark.parametrize("name", ["LiH", "N2"])
def test_the_published_psiformer_has_the_parameters_of_the_paper(name):
    system, width = molecule(name), 256
    inputs = (4 * system.n_atoms + 1) * width
    block = 4 * width**2 + width**2 + width + 2 * 2 * width  # queries, keys, values, out; tanh; two layer norms
    expected = inputs + 4 * block + around_the_embedding(system, width, 16)
    assert n_parameters(Psiformer(**Psiformer.sizes["published"]), system) == expected
    assert {"LiH": 1_351_426, "N2": 1_434_626}[name] == expected


@pytest.mark.parametrize("name", ["LiH", "N2"])
def test_the_published_lapnet_has_the_parameters_of_the_public_code_but_for_those_that_nothing_sees(name):
    system, width = molecule(name), 256
    layer = width**2 + width
    inputs = (4 * system.n_atoms + 1) * width + width
    public = inputs + 4 * (4 * layer + layer + 2 * layer) + around_the_embedding(system, width, 16)
    assert n_parameters(LapNet(**LapNet.sizes["published"]), system) == public - 2 * layer
    assert {"LiH": 1_746_434, "N2": 1_829_634}[name] == public - 2 * layer


@pytest.mark.parametrize("network", [FermiNet, Psiformer, LapNet])
def test_every_size_says_the_same_settings_and_small_is_the_default(network):
    assert list(network.sizes) == ["small", "medium", "large", "published"]
    assert len({frozenset(size) for size in network.sizes.values()}) == 1
    assert network(**network.sizes["small"]) == network(slater_functions=True)


def test_attention_weights_of_lapnet_have_six_derivatives_each_in_every_layer(monkeypatch):
    embedding, seen = LapNetEmbedding(layers=3, width=4, heads=2), []
    plain = module.attend
    monkeypatch.setattr(module, "attend", lambda *inputs: seen.append(inputs[:2]) or plain(*inputs))
    two = jnp.zeros((4, 4, 4))
    shapes = jax.eval_shape(lambda key: embedding.init(key, jnp.zeros((4, 3)), two, LIH), jax.random.key(0))
    params = jax.tree.map(lambda x: np.ones(x.shape, np.float32), shapes)

    def weights(r):
        seen.clear()
        embedding.apply(params, jnp.sin(r), two, LIH)
        return [jnp.exp(jnp.einsum("ihd,jhd->hij", *pair)) for pair in seen]

    def jets(r):
        traced = jax.make_jaxpr(weights)(r)
        found.extend(_interpret(traced.jaxpr, traced.consts, [seed(r)]))

    found: list = []
    jax.eval_shape(jets, jnp.zeros((4, 3)))
    assert len(found) == 3
    for jet in found:
        assert jet.dense is None
        assert {block.parts for block in jet.blocks} == {((1, 0, 1.0),), ((2, 0, 1.0),)}


@pytest.mark.parametrize("network", [Psiformer, LapNet])
def test_a_width_that_heads_cannot_share_is_refused(network):
    with pytest.raises(InputError, match="width = 30 with heads = 4: the width has to be a multiple"):
        network(width=30)


def test_attention_is_the_softmax_average_of_values():
    queries, keys, values = np.random.default_rng(0).normal(size=(3, 5, 2, 3)).astype(np.float32)
    found = module.attend(*map(jnp.asarray, (queries, keys, 30.0 * values)))
    for head in range(2):
        weights = np.exp(queries[:, head] @ keys[:, head].T / np.sqrt(3.0))
        expected = weights @ values[:, head] / weights.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(found[:, head], 30.0 * expected, rtol=1e-4, atol=1e-4)
