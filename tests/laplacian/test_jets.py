"""Derivatives are stored only where they can be non-zero, and what is stored is the Jacobian."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from compiling import quickly_compiled
from nnqmc.laplacian.forward import _interpret
from nnqmc.laplacian.jets import Jet, densify, seed

pytestmark = pytest.mark.usefixtures("double_precision")
N, D = 4, 5
RNG = np.random.default_rng(1)
ONE, TWO, NEXT = RNG.normal(size=(3, D)), RNG.normal(size=(4, D)), RNG.normal(size=(D, D))


def jet_of(function, electrons) -> Jet:
    traced = jax.make_jaxpr(function)(electrons)
    (out,) = _interpret(traced.jaxpr, traced.consts, [seed(electrons)])
    return out


def traced_jet_of(function) -> Jet:
    """The Jet with shapes in place of numbers: what would be stored, with nothing computed."""
    jets = []
    jax.eval_shape(lambda r: jets.append(jet_of(function, r)), jnp.zeros((N, 3)))
    return jets[0]


def numbers_stored(jet):
    return sum(block.values.size for block in jet.blocks) + (0 if jet.dense is None else jet.dense.size)


def one_stream(r):
    h = jnp.tanh(r @ ONE + 0.1)
    return jnp.tanh(h @ NEXT) + h


def pair_stream(r):
    vectors = r[:, None] - r[None] + 0.3 * jnp.eye(len(r))[..., None]
    two = jnp.concatenate([vectors, jnp.sqrt(jnp.sum(vectors**2, -1))[..., None]], axis=-1)
    h = jnp.tanh(two @ TWO + 0.1)
    return jax.nn.silu(h @ NEXT) * jnp.exp(-two[..., 3:]) + h


def blockwise_stream(r):
    return jnp.concatenate([one_stream(r)[:2], jnp.sin(one_stream(r)[2:])], axis=0)


def transposed_pairs(r):
    return jnp.transpose(jnp.swapaxes(pair_stream(r), 0, 1) + pair_stream(r), (2, 0, 1)).reshape(D, N, 1, N)


def pair_matrix(r):
    return jnp.exp(-0.1 * jnp.sum(r**2, -1))[:, None] * pair_stream(r)[..., 0]


def products_of_pairs(r):
    r1, r2 = jnp.tanh(r[:, None]), jnp.tanh(r[None])
    return (r1 * r2 - r2) * (r[:, None] - r[None])


def scores(r):
    return jnp.exp(jnp.einsum("id,jd->ij", one_stream(r), jnp.sin(one_stream(r))))


def scores_in_heads(r):
    return jnp.einsum("ihd,jhd->hij", *(jnp.stack([x, x**2], axis=1) for x in (one_stream(r), jnp.sin(one_stream(r)))))


def gram_of_features(r):
    return jnp.einsum("ia,ib->ab", one_stream(r), jnp.sin(one_stream(r)))


def batched_over_electrons(r):
    return jnp.einsum("id,ijd->ij", one_stream(r), pair_stream(r))


OWN, OTHER = (0, 0, 1.0), (1, 0, 1.0)
APART = (OWN, (1, 0, -1.0))
SPARSE = [(one_stream, {(OWN,)}), (pair_stream, {APART}), (blockwise_stream, {(OWN,)}),
          (transposed_pairs, {((1, 0, 1.0), (3, 0, -1.0)), ((3, 0, 1.0), (1, 0, -1.0))}),
          (pair_matrix, {(OWN,), APART}), (products_of_pairs, {(OWN,), (OTHER,), APART}),
          (scores_in_heads, {((1, 0, 1.0),), ((2, 0, 1.0),)}), (batched_over_electrons, {(OWN,), APART})]


@pytest.mark.parametrize(("function", "parts"), SPARSE, ids=lambda x: getattr(x, "__name__", ""))
def test_features_of_one_and_two_electrons_stay_sparse(function, parts):
    jet = traced_jet_of(function)
    assert jet.dense is None
    assert {block.parts for block in jet.blocks} == parts
    assert numbers_stored(jet) == 3 * len(parts) * jet.value.size


@pytest.mark.parametrize("function", [f for f, _ in SPARSE] + [lambda r: pair_stream(r).mean(1) * one_stream(r),
                                                              lambda r: pair_stream(r)[1:3, :2].sum((0, 1)),
                                                              lambda r: pair_stream(r)[1:3, :2].mean(0),
                                                              lambda r: r[1:, None] - r[None, :2],
                                                              gram_of_features,
                                                              lambda r: scores(r) @ one_stream(r),
                                                              lambda r: scores(r) @ jnp.sin(one_stream(r) + r.sum()),
                                                              lambda r: pair_stream(r)[..., 0] @ pair_stream(r)[..., 1],
                                                              lambda r: scores(r)[1:, :2] @ one_stream(r)[2:],
                                                              lambda r: (r[:3, None] * r[None]).max(axis=1)],
                         ids=["one", "pairs", "blocks", "transposed", "matrix", "products", "heads",
                              "batched", "mean of pairs",
                              "part of pairs", "mean of part", "some differences", "features",
                              "weights", "known", "two pairs", "other electrons", "largest"])
def test_what_is_stored_is_the_jacobian_and_the_laplacian(function):
    electrons = jnp.asarray(RNG.normal(size=(N, 3)))

    def both_ways(r):
        jet = densify(jet_of(function, r))
        return (jet.value, jet.dense, jet.laplacian), (function(r), jax.jacfwd(function)(r), jax.hessian(function)(r))

    compiled = quickly_compiled(both_ways)
    (value, dense, laplacian), (exact, jacobian, hessian) = compiled(electrons)
    np.testing.assert_allclose(value, exact, rtol=1e-12)
    np.testing.assert_allclose(dense, np.moveaxis(jacobian.reshape(*exact.shape, 3 * N), -1, 0), atol=1e-12)
    trace = np.trace(hessian.reshape(*exact.shape, 3 * N, 3 * N), axis1=-2, axis2=-1)
    np.testing.assert_allclose(laplacian, trace, atol=1e-11)


def test_a_sum_over_partners_keeps_the_electron_itself_sparse():
    jet = traced_jet_of(lambda r: pair_stream(r).sum(axis=1))
    assert [block.parts for block in jet.blocks] == [(OWN,)]
    assert jet.dense.shape == (3 * N, N, D)
