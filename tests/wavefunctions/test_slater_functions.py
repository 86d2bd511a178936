"""Slater functions: their exponents and values, and the least-squares fit of orbitals by them."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from compiling import quickly_compiled
from nnqmc.errors import InputError
from nnqmc.system import molecule
from nnqmc.wavefunctions import FermiNet, init_params
from nnqmc.wavefunctions.features import electron_nucleus
from nnqmc.wavefunctions.slater_functions import (
    SlaterFunctions,
    cusp_points,
    cusp_rows,
    fit_orbitals,
    function_atoms,
    slater_exponents,
)

LIH = molecule("LiH")
POINTS = np.random.default_rng(0).normal(size=(200, 3))


@pytest.mark.parametrize(("number", "core", "kinds"), [(1, 0, 2), (7, 0, 2), (10, 0, 2), (26, 0, 3), (26, 10, 3),
                                                       (26, 18, 3), (7, 2, 2)])
def test_exponents_reach_from_the_valence_to_the_core_and_neighbours_are_close(number, core, kinds):
    exponents = slater_exponents(number, core)
    assert len(exponents) == kinds
    for series, ratio in zip(exponents, (1.75, 2.0, 2.0)):
        assert 0.5 < series[0] < 2.0 and (np.diff(series) > 0).all()
        assert (series[1:] / series[:-1] <= ratio + 1e-9).all()
    assert (exponents[0][-1] > number) == (core == 0)


def test_the_functions_are_what_their_formula_says():
    """The slow twin: every function of every atom by itself."""
    vectors, distances = electron_nucleus(jnp.asarray(POINTS, jnp.float32), LIH)
    module = SlaterFunctions()
    params = module.init(jax.random.key(0), vectors, distances, LIH)
    found = module.apply(params, vectors, distances, LIH)
    expected, sigma = [], iter(np.asarray(params["params"]["sigma"], np.float64))
    for atom, number in zip(LIH.atoms, (3, 1)):
        offset = POINTS - np.asarray(atom, np.float64)
        s, p = slater_exponents(number)
        decays = [(next(sigma), start, power) for series, power in ((s, 1.5), (p, 2.5)) for start in series]
        assert [decay for decay, _, _ in decays] == pytest.approx([start for _, start, _ in decays])
        distance = np.linalg.norm(offset, axis=1)
        radial = [0.1 * start**power * np.exp(-decay * distance) for decay, start, power in decays]
        expected += radial[:len(s)] + [r * offset[:, axis] for axis in range(3) for r in radial[len(s):]]
    np.testing.assert_allclose(found, np.stack(expected, axis=1), rtol=2e-4, atol=1e-5)
    iron = molecule("Fe")
    shape = jax.eval_shape(lambda key: module.init_with_output(key, *electron_nucleus(jnp.ones((4, 3)), iron), iron)[0],
                           jax.random.key(0)).shape
    assert shape[1] == sum(n * len(series) for n, series in zip((1, 3, 6), slater_exponents(26)))


def test_a_crystal_is_refused():
    crystal = replace(LIH, lattice=np.eye(3))
    with pytest.raises(InputError, match="has a lattice"):
        SlaterFunctions().init(jax.random.key(0), jnp.zeros((1, 2, 3)), jnp.ones((1, 2)), crystal)


@pytest.mark.parametrize(("decay", "expected"), [(3.0, 0.0), (2.0, 1.0), (4.5, -1.5)])
def test_a_cusp_row_is_the_slope_and_the_charge_times_the_value(decay, expected):
    """Of exp(-zeta r) around lithium it is Z - zeta there; of a p function, and of anything smooth, only its value."""
    points, charges = cusp_points(LIH)
    assert points.shape == (2, 13, 3) and charges.tolist() == [3.0, 1.0]
    offset = points - np.asarray(LIH.atoms[0])
    values = np.stack([np.exp(-decay * np.linalg.norm(offset, axis=-1)), offset[..., 2], np.ones((2, 13))], axis=-1)
    rows = cusp_rows(values, charges)
    np.testing.assert_allclose(rows[0], np.array([expected, 0.0, 3.0]) / 3.0**2.5, atol=1e-3)
    np.testing.assert_allclose(rows[1, 1:], [points[1, 0, 2] - float(LIH.atoms[0][2]), 1.0], rtol=1e-6)
    assert len(cusp_points(molecule("LiH", core=[2, 0]))[1]) == 1


def test_orbitals_made_of_the_functions_are_found_again():
    distance = np.linalg.norm(POINTS, axis=1)[:, None]
    functions = np.exp(-np.array([0.7, 1.3, 3.0]) * distance)
    coefficients = np.array([[1.0, 0.2], [-0.5, 0.4], [0.3, 2.0]])
    orbitals = functions @ coefficients
    found = fit_orbitals(functions, np.zeros((1, 3)), orbitals, np.sum(orbitals**2, axis=1))
    np.testing.assert_allclose(found, coefficients, atol=1e-5)
    bound = fit_orbitals(functions, 1e3 * np.array([[2.3, 1.7, 0.0]]), orbitals, np.sum(orbitals**2, axis=1))
    np.testing.assert_allclose(2.3 * bound[0] + 1.7 * bound[1], 0.0, atol=1e-4)


@pytest.mark.parametrize("full", [pytest.param(True, marks=pytest.mark.slow), False], ids=["full", "blocks"])
def test_a_fitted_network_has_the_orbitals_that_it_was_given(full):
    """Without the network's own small part, and with zero between different spins in full determinants."""
    network = FermiNet(layers=1, hidden_one=4, hidden_two=2, n_determinants=2, full_determinants=full,
                       slater_functions=True)
    system = molecule("Li")
    params = init_params(network, jax.random.key(0), system)
    points = np.random.default_rng(1).normal(size=(500, 3)) * np.exp(np.random.default_rng(2).uniform(-3, 1, (500, 1)))
    distance = np.linalg.norm(points, axis=1)[:, None]
    up = np.concatenate([np.exp(-3.0 * distance), (1.0 - 1.5 * distance) * np.exp(-1.5 * distance)], axis=1)
    fitted = network.fitted(params, system, points, (up, up[:, :1]), (np.ones((2, 1)), np.ones((1, 1))))
    weights = dict(fitted["params"]["orbital_layer"])
    for name in ("orbitals0", "orbitals1", "factor0", "factor1"):
        weights[name] = {"kernel": 0.0 * weights[name]["kernel"]}
    fitted = {**fitted, "params": {**fitted["params"], "orbital_layer": weights}}
    electrons = jnp.asarray(points[[10, 20, 30]], jnp.float32)
    matrices = quickly_compiled(lambda p, r: network.apply(p, r, system, method="orbitals"))(fitted, electrons)
    expected = np.zeros((3, 3))
    expected[:2, :2], expected[2:, 2:] = up[[10, 20]], up[[30], :1]
    blocks = (expected,) if full else (expected[:2, :2], expected[2:, 2:])
    for found, block in zip(matrices, blocks):
        np.testing.assert_allclose(found, np.broadcast_to(block, found.shape), atol=0.02)


def test_the_determinants_of_a_singlet_exchange_the_orbitals_of_the_spins_in_turn():
    """So that the start of a stretched bond, with its broken symmetry, is even under exchange of the spins."""
    network = FermiNet(layers=1, hidden_one=4, hidden_two=2, n_determinants=4, slater_functions=True)
    system = molecule("H 0 0 0; H 0 0 10", unit="bohr")
    params = init_params(network, jax.random.key(0), system)
    points = np.random.default_rng(1).normal(size=(400, 3))
    points[::2, 2] += 10.0
    left, right = (np.exp(-np.linalg.norm(points - np.asarray(atom), axis=1))[:, None] for atom in system.atoms)
    populations = (np.array([[0.9, 0.0]]), np.array([[0.2, 0.8]]))
    fitted = network.fitted(params, system, points, (left, right), populations)
    layer, reach = fitted["params"]["orbital_layer"], fitted["constants"]["orbital_layer"]
    up, down = (np.asarray(layer[f"slater{k}"]["kernel"]).reshape(-1, 4, 2)[:, :, k] for k in range(2))
    assert np.abs(up[:, 0] - down[:, 0]).max() > 0.1
    for k in range(4):
        np.testing.assert_array_equal(up[:, k], (up if k % 2 == 0 else down)[:, 0])
        np.testing.assert_array_equal(down[:, k], (down if k % 2 == 0 else up)[:, 0])
        up_first, down_first = ([1.0, 0.01], [0.25, 1.0]) if k % 2 == 0 else ([0.25, 1.0], [1.0, 0.01])
        for spin in ("reach0", "reach1"):
            np.testing.assert_allclose(reach[spin][k], [up_first, down_first], rtol=1e-6)


@pytest.mark.parametrize("envelope", ["isotropic", "bottleneck"])
def test_the_reach_multiplies_what_is_around_an_atom_and_is_not_trained(envelope):
    """The twin has the reach in its coefficients: the same psi, and scores that are smaller by the reach."""
    network = FermiNet(layers=1, hidden_one=4, hidden_two=2, n_determinants=2, slater_functions=True, envelope=envelope,
                       n_envelopes=3)
    system = molecule("Li 0 0 0; H 0 0 3", unit="bohr")
    params = init_params(network, jax.random.key(0), system)
    layer, rng = params["params"]["orbital_layer"], np.random.default_rng(1)
    ones = params["constants"]["orbital_layer"]
    reach = {name: rng.uniform(0.1, 1.0, each.shape).astype(np.float32) for name, each in ones.items()}
    by_term = {name: np.repeat(each, 1 if envelope == "isotropic" else 3, axis=-1) for name, each in reach.items()}
    by_function = {name: each.reshape(-1, 2).T[function_atoms(system)] for name, each in reach.items()}
    own, twin = dict(layer), dict(layer)
    for k in ("0", "1"):
        own[f"slater{k}"] = {"kernel": rng.normal(size=layer[f"slater{k}"]["kernel"].shape).astype(np.float32)}
        twin[f"slater{k}"] = {"kernel": own[f"slater{k}"]["kernel"] * by_function[f"reach{k}"]}
        twin[f"envelope{k}"] = {**layer[f"envelope{k}"], "pi": layer[f"envelope{k}"]["pi"] * by_term[f"reach{k}"]}
    electrons = jnp.asarray(rng.normal(size=(4, 3)), jnp.float32)

    @quickly_compiled
    @jax.value_and_grad
    def value_and_scores(layers):
        layer, constants = layers
        return network.apply({"params": {**params["params"], "orbital_layer": layer},
                              "constants": {"orbital_layer": constants}}, electrons, system).logabs

    (value, (scores, of_reach)), (same, (expected, _)) = value_and_scores((own, reach)), value_and_scores((twin, ones))
    np.testing.assert_allclose(value, same, rtol=1e-5)
    assert not any(np.any(each) for each in of_reach.values())
    for k in ("0", "1"):
        for kind, leaf, factors in (("envelope", "pi", by_term), ("slater", "kernel", by_function)):
            np.testing.assert_allclose(scores[kind + k][leaf], factors["reach" + k] * expected[kind + k][leaf],
                                       rtol=1e-3, atol=1e-6)
