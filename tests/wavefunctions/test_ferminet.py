"""FermiNet's own promises: its matrices, its envelopes, how it starts, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from nnqmc.errors import InputError
from nnqmc.system import molecule
from nnqmc.typing import System
from nnqmc.wavefunctions import FermiNet, SlaterNetwork, init_params
from nnqmc.wavefunctions.envelopes import BottleneckEnvelope, IsotropicEnvelope, initial_exponents
from nnqmc.wavefunctions.features import electron_electron, electron_nucleus, rescaled

SMALL = {"layers": 2, "hidden_one": 8, "hidden_two": 4, "n_determinants": 2}
LI = System(np.zeros((1, 3)), np.array([3.0]), 2, 1, ("Li",))
TRIPLET = System(np.zeros((1, 3)), np.array([2.0]), 2, 0, ("He",))
LIH = System(np.array([[0.0, 0, 0], [0, 0, 3.0]]), np.array([3.0, 1.0]), 2, 2, ("Li", "H"))


def shapes(network, system):
    def matrices(key):
        electrons = jnp.zeros((system.n_electrons, 3))
        params = network.init(key, electrons, system)
        return network.apply(params, electrons, system, method="orbitals")

    return [m.shape for m in jax.eval_shape(matrices, jax.random.key(0))]


def test_there_is_one_matrix_over_all_electrons_or_one_for_each_spin():
    full, blocks = FermiNet(**SMALL), FermiNet(**SMALL, full_determinants=False)
    assert shapes(full, LI) == [(2, 3, 3)] and shapes(blocks, LI) == [(2, 2, 2), (2, 1, 1)]
    assert shapes(full, TRIPLET) == shapes(blocks, TRIPLET) == [(2, 2, 2)]


def test_it_starts_at_a_finite_wavefunction_that_depends_on_the_key():
    network = FermiNet(**SMALL)
    first, again, other = (init_params(network, jax.random.key(k), LI) for k in (0, 0, 1))
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(first))
    electrons = jnp.asarray(np.random.default_rng(0).normal(size=(20, 3, 3)), jnp.float32)
    value = jax.jit(jax.vmap(lambda r: network.apply(first, r, LI)))(electrons)
    assert np.isfinite(value.logabs).all() and (np.abs(value.sign) == 1).all()
    for x, y in zip(jax.tree.leaves(first), jax.tree.leaves(again)):
        np.testing.assert_array_equal(x, y)
    assert any(not np.array_equal(x, y) for x, y in zip(jax.tree.leaves(first), jax.tree.leaves(other)))


def test_the_last_pair_layer_which_nothing_would_see_is_left_out():
    network = FermiNet(**SMALL | {"layers": 3})
    params = jax.eval_shape(lambda k: network.init(k, jnp.zeros((3, 3)), LI), jax.random.key(0))
    assert {name for name in params["params"]["embedding"] if name.startswith("two")} == {"two_0", "two_1"}


class OwnEmbedding(nn.Module):
    """Features of each electron, and the mean over all pairs."""

    width: int = 5

    @nn.compact
    def __call__(self, one, two, system):
        return jnp.tanh(nn.Dense(self.width)(one) + nn.Dense(self.width)(two.mean(axis=1)))


@pytest.mark.parametrize("make", [FermiNet, SlaterNetwork], ids=lambda make: make.__name__)
def test_another_embedding_makes_another_antisymmetric_network(make):
    network = make(embedding=OwnEmbedding(), n_determinants=2)
    params = init_params(network, jax.random.key(0), LI)
    electrons = jnp.asarray(np.random.default_rng(0).normal(size=(3, 3)), jnp.float32)

    @jax.jit
    def value_and_gradient(params, r):
        return network.apply(params, r, LI), jax.grad(lambda p: network.apply(p, r, LI).logabs)(params)

    before, gradient = value_and_gradient(params, electrons)
    after, _ = value_and_gradient(params, electrons[jnp.array([1, 0, 2])])
    assert after.sign == -before.sign and after.logabs == pytest.approx(float(before.logabs), abs=1e-5)
    assert gradient["params"]["embedding"]["Dense_1"]["kernel"].shape == (4, 5)
    assert all(np.isfinite(leaf).all() and np.any(leaf != 0.0) for leaf in jax.tree.leaves(gradient))


def test_a_network_without_an_embedding_says_so():
    with pytest.raises(InputError, match="give one as embedding="):
        init_params(SlaterNetwork(), jax.random.key(0), LI)


def test_a_network_with_other_widths_has_an_embedding_of_these_widths():
    changed = FermiNet(**SMALL).clone(hidden_one=16)
    params = jax.eval_shape(lambda key: changed.init(key, jnp.zeros((3, 3)), LI), jax.random.key(0))
    assert params["params"]["embedding"]["own_0"]["kernel"].shape[-1] == 16


def test_every_size_says_the_same_settings():
    assert len({frozenset(size) for size in FermiNet.sizes.values()}) == 1
    assert FermiNet(**FermiNet.sizes["small"]) == FermiNet(slater_functions=True)


@pytest.mark.parametrize(("setting", "value"), [
    ("layers", 0), ("hidden_one", -1), ("hidden_two", 2.5), ("n_determinants", True), ("n_envelopes", 0),
    ("envelope", "gaussian")])
def test_hyperparameters_that_make_no_network_are_refused(setting, value):
    with pytest.raises(InputError, match=f"FermiNet {setting} = .*: it has to be"):
        FermiNet(**{setting: value})


# --- envelopes --------------------------------------------------------------------------------------------------------


def test_orbitals_start_with_the_exponents_of_slater_from_core_to_valence():
    exponents = initial_exponents(LIH, 3)
    assert exponents.shape == (3, 2)
    assert exponents[0, 0] == 3.0, "the first orbital is lithium's core"
    np.testing.assert_array_equal(exponents[1:], 1.0)
    neon = initial_exponents(System(np.zeros((1, 3)), np.array([10.0]), 5, 5, ("Ne",)), 5)
    assert neon[0, 0] == 10.0 and (np.diff(neon[:, 0]) <= 0).all() and neon[-1, 0] >= 1.0
    assert initial_exponents(LIH, 0).shape == (0, 2)


@pytest.mark.parametrize(
    ("name", "exponents", "counts"),
    [("H", [1.0], [1]), ("C", [6.0, 1.0], [1, 3]), ("Fe", [26.0, 12.0, 16 / 3, 1.0], [1, 4, 4, 6]),
     ("Kr", [36.0, 17.0, 26 / 3, 1.0], [1, 4, 4, 9])],
)
def test_the_exponents_of_atoms_follow_their_shells(name, exponents, counts):
    system = molecule(name)
    np.testing.assert_array_equal(initial_exponents(system, system.n_up)[:, 0], np.repeat(exponents, counts))


def test_orbitals_of_a_core_are_left_out():
    np.testing.assert_array_equal(initial_exponents(molecule("C", core=2), 3), np.ones((3, 1)))
    whole, cored = molecule("Fe"), molecule("Fe", core=10)
    np.testing.assert_array_equal(initial_exponents(cored, cored.n_up), initial_exponents(whole, whole.n_up)[5:])
    np.testing.assert_array_equal(initial_exponents(molecule("LiH", core=[2, 0]), 1), np.ones((1, 2)))


def test_envelopes_that_fall_off_are_none_for_a_crystal():
    with pytest.raises(InputError, match="only molecules are allowed here"):
        initial_exponents(replace(LIH, lattice=np.eye(3)), 2)


def test_the_isotropic_envelope_is_a_sum_of_exponentials():
    exponents, distances = initial_exponents(LIH, 3), np.random.default_rng(0).uniform(0, 3, (4, 2)).astype(np.float32)
    envelope = IsotropicEnvelope(2)
    params = envelope.init(jax.random.key(0), jnp.asarray(distances), exponents)
    found = envelope.apply(params, jnp.asarray(distances), exponents)
    expected = np.exp(-distances[:, None, :] * exponents[None]).sum(-1)
    np.testing.assert_allclose(found, np.broadcast_to(expected[:, None], (4, 2, 3)), rtol=1e-5)


def test_the_bottleneck_envelope_starts_near_the_isotropic_one():
    exponents, distances = initial_exponents(LIH, 3), np.random.default_rng(0).uniform(0, 3, (50, 2)).astype(np.float32)
    envelope = BottleneckEnvelope(2, 8)
    params = envelope.init(jax.random.key(0), jnp.asarray(distances), exponents)
    assert params["params"]["sigma"].shape == (2, 8) and params["params"]["pi"].shape == (2, 3, 16)
    found = np.asarray(envelope.apply(params, jnp.asarray(distances), exponents))
    expected = np.exp(-distances[:, None, :] * exponents[None]).sum(-1)[:, None]
    assert np.mean(np.abs(found - expected)) < 0.2 * np.mean(expected)


# --- features ---------------------------------------------------------------------------------------------------------


def test_features_are_vectors_and_distances():
    electrons = np.random.default_rng(0).normal(size=(4, 3))
    vectors, distances = electron_nucleus(jnp.asarray(electrons, jnp.float32), LIH)
    np.testing.assert_allclose(vectors[2, 1], electrons[2] - LIH.atoms[1], rtol=1e-5)
    np.testing.assert_allclose(distances[2, 1], np.linalg.norm(electrons[2] - LIH.atoms[1]), rtol=1e-5)
    vectors, distances = electron_electron(jnp.asarray(electrons, jnp.float32))
    np.testing.assert_allclose(vectors[3, 1], electrons[3] - electrons[1], rtol=1e-5)
    np.testing.assert_array_equal(np.diag(distances), 0.0)
    plain, short = (np.asarray(rescaled(vectors, distances, logarithmic)) for logarithmic in (False, True))
    np.testing.assert_allclose(plain[..., 3], distances)
    np.testing.assert_allclose(short[..., 3], np.log1p(distances), rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(short[..., :3], axis=-1), np.log1p(distances), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("logarithmic", [False, True])
def test_smooth_features_have_no_slope_at_zero_and_are_the_usual_ones_far_away(logarithmic):
    def features(r, smooth):
        return np.asarray(rescaled(jnp.array([0.0, 0.0, r]), jnp.asarray(r), logarithmic, smooth=smooth), np.float64)

    at_zero = (features(1e-3, True) - features(0.0, True)) / 1e-3
    np.testing.assert_allclose(at_zero, [0.0, 0.0, 1.0, 0.0], atol=2e-3)
    np.testing.assert_allclose(features(1e4, True), features(1e4, False), rtol=1e-3)
