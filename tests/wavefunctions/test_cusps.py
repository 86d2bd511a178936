"""Kato's conditions where two electrons meet."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnqmc.typing import System
from nnqmc.wavefunctions import FermiNet
from nnqmc.wavefunctions.jastrow import ElectronCusp

pytestmark = pytest.mark.usefixtures("double_precision")
SYSTEM = System(np.zeros((1, 3)), np.array([4.0]), 2, 2, ("Be",))
PAIRS = [((0, 1), 0.25), ((2, 3), 0.25), ((0, 2), 0.5), ((1, 3), 0.5)]
IDS = ["up-up", "down-down", "up-down", "up-down again"]
SMALL = {"layers": 2, "hidden_one": 8, "hidden_two": 4, "n_determinants": 2}
START = np.random.default_rng(0).normal(size=(4, 3))


def pair_at(distances, pair, directions):
    """Configurations (n_distances, n_directions, 4, 3) with two electrons at a distance around their middle."""
    electrons = np.broadcast_to(START, (len(distances), len(directions), 4, 3)).copy()
    middle, half = START[list(pair)].mean(0), 0.5 * np.asarray(distances)[:, None, None] * directions
    electrons[:, :, pair[0]], electrons[:, :, pair[1]] = middle + half, middle - half
    return jnp.asarray(electrons)


def directions(n=24):
    vectors = np.random.default_rng(1).normal(size=(n, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.concatenate([vectors, -vectors])


def slope(log_abs, pair, h=1e-5):
    """d/dr at r = 0 of a function's spherical average, by a one-sided difference of second order."""
    values = jax.jit(jax.vmap(jax.vmap(log_abs)))(pair_at([h, 2 * h, 3 * h], pair, directions())).mean(axis=1)
    at_zero = 3 * values[0] - 3 * values[1] + values[2]
    return float((-3 * at_zero + 4 * values[0] - values[1]) / (2 * h))


@pytest.mark.parametrize(("pair", "expected"), PAIRS, ids=IDS)
@pytest.mark.parametrize("raw", [-1.0, 0.5, 4.0])
def test_the_factor_has_katos_slope_for_every_width(pair, expected, raw):
    params = {"params": {"alpha": np.array([raw, 0.7 * raw], np.float32)}}

    def log_factor(electrons):
        distances = jnp.linalg.norm(electrons[:, None] - electrons[None] + 1e-30, axis=-1)
        return ElectronCusp().apply(params, distances, SYSTEM)

    assert slope(log_factor, pair) == pytest.approx(expected, abs=1e-4)


def test_the_factor_leaves_electrons_far_apart_alone():
    params = {"params": {"alpha": np.array([0.5, 0.5], np.float32)}}
    far = np.full((4, 4), 1e6) * (1 - np.eye(4))
    assert abs(ElectronCusp().apply(params, jnp.asarray(far), SYSTEM)) < 1e-5


def network_params(network):
    shapes = jax.eval_shape(lambda k: network.init(k, jnp.zeros((4, 3)), SYSTEM), jax.random.key(0))
    rng = np.random.default_rng(3)
    return jax.tree.map(lambda s: (rng.normal(size=s.shape) * 0.5).astype(np.float32), shapes)


@pytest.mark.parametrize(("pair", "expected"), PAIRS, ids=IDS)
@pytest.mark.parametrize("rescale", [True, False], ids=["logarithmic inputs", "plain inputs"])
def test_every_ferminet_has_katos_cusps_whatever_its_parameters(pair, expected, rescale):
    network = FermiNet(**SMALL, rescale_inputs=rescale)
    params = network_params(network)
    is_parallel = (pair[0] < 2) == (pair[1] < 2)

    def log_abs_without_node(electrons):
        distance = jnp.linalg.norm(electrons[pair[0]] - electrons[pair[1]])
        return network.apply(params, electrons, SYSTEM).logabs - is_parallel * jnp.log(distance)

    assert slope(log_abs_without_node, pair) == pytest.approx(expected, abs=1e-3)


def test_without_the_factor_the_slope_is_whatever_the_network_makes_it():
    network = FermiNet(**SMALL, cusp=False)
    params = network_params(network)
    assert abs(slope(lambda electrons: network.apply(params, electrons, SYSTEM).logabs, (0, 2))) > 0.01
