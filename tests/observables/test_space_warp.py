"""Space warp: the derivative of energies at frozen parameters, electrons that follow nuclei, and nodes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hydrogen_molecular_ion import averages, ion, points, two_exponentials
from nnqmc.hamiltonian import molecular
from nnqmc.observables import forces_space_warp, warped
from nnqmc.observables.space_warp import warp_weights
from nnqmc.system import molecule
from nnqmc.wavefunctions import FermiNet, init_params

KEY = jax.random.key(0)
NO_COVARIANCE = np.zeros((37, 37))  # of two atoms
BOND = 1.5


def both(psi, electrons, system):
    """The local energy, and the parts of the forces undamped."""
    return {"total": molecular()(psi, electrons, system, KEY).total,
            "parts": forces_space_warp(system, epsilon=0.0).local(psi, electrons, system, KEY)}


@pytest.fixture(scope="module")
def means():
    return averages(both, two_exponentials)


@pytest.mark.parametrize("weight", [1.0, -0.3])
def test_it_is_the_derivative_of_the_energy_at_frozen_parameters(means, weight):
    """Hellmann-Feynman and Pulay terms together, for wavefunctions without and with a node; AC-ZVZB is biased here."""
    params, step = {"zeta": jnp.float32(1.2), "c": jnp.float32(weight)}, 0.05

    def at(bond):
        return means(params, ion(bond), points(bond, 1.2 * bond, 32, 32))

    low, high, lower, higher = (at(BOND + x * step)["total"] for x in (-1, 1, -2, 2))
    force = -(8.0 * (high - low) - (higher - lower)) / (12.0 * step)
    found = forces_space_warp(ion(BOND)).finalize(at(BOND)["parts"], NO_COVARIANCE)
    np.testing.assert_allclose(found["value"][:, 2], [-force, force], atol=5e-5)
    np.testing.assert_allclose(found["sum"], 0.0, atol=1e-5)
    assert abs(found["difference"][1, 2]) > 3e-3


@pytest.mark.slow
@pytest.mark.ci
def test_damping_near_nodes_costs_no_more_than_a_bias_of_third_order():
    """At 0.1 bohr, five times the default, less than 0.1 mHa/bohr; and what grows without limit at the node is cut."""
    system, params = ion(BOND), {"zeta": jnp.float32(1.2), "c": jnp.float32(-0.3)}
    plain, damped = (forces_space_warp(system, epsilon=epsilon) for epsilon in (0.0, 0.1))

    def two(psi, electrons, system):
        return [observable.local(psi, electrons, system, KEY) for observable in (plain, damped)]

    found = averages(two, two_exponentials)(params, system, points(BOND, 1.8, 24, 200))
    undamped, cut = (plain.finalize(each, NO_COVARIANCE)["value"] for each in found)
    assert 0.0 < np.abs(cut - undamped)[:, 2].max() < 1e-4
    node = -0.5 * np.log(0.3) / 1.2  # on the axis, where r_a - r_b = -log(0.3)/1.2 and psi = 0
    near = jnp.array([[[0.0, 0.0, node + shift]] for shift in (1e-2, 1e-3)], jnp.float32)
    sizes = [[float(jnp.abs(each["d_energy"]).max()) for each in two(partial(two_exponentials, params), r, system)]
             for r in near]
    assert sizes[1][0] > 50.0 * sizes[0][0] and sizes[1][1] < 2.0 * sizes[0][1], sizes


@pytest.fixture(scope="module")
def lih():
    """A network at LiH, walkers, and the parts of the force of each, undamped."""
    system, network = molecule("LiH"), FermiNet(layers=1, hidden_one=6, hidden_two=3, n_determinants=2)
    params = init_params(network, jax.random.key(3), system)
    walkers = np.random.default_rng(1).normal(size=(24, 4, 3)) * 0.8 + system.atoms[np.array([0, 1, 0, 1])]
    walkers = jnp.asarray(walkers, jnp.float32)
    observable = forces_space_warp(system, epsilon=0.0)
    local = jax.jit(jax.vmap(lambda r: observable.local(partial(network.apply, params), r, system, KEY)))
    return system, network, params, walkers, observable, local(walkers)


@pytest.mark.slow
@pytest.mark.ci
def test_for_a_network_it_is_the_slope_of_energies_of_warped_walkers(lih):
    """Correlated samples: the same walkers, moved with the nuclei and reweighted by psi^2 and the volume they fill."""
    system, network, params, walkers, observable, parts = lih
    before, step = jnp.asarray(system.atoms, jnp.float32), 0.01

    def energy(atoms):
        moved = replace(system, atoms=atoms)

        def one(r):
            follow = jax.jacfwd(lambda r: r + warp_weights(r, before) @ (atoms - before))(r).reshape(12, 12)
            place = r + warp_weights(r, before) @ (atoms - before)
            log = network.apply(params, place, moved).logabs - network.apply(params, r, system).logabs
            local = molecular()(partial(network.apply, params), place, moved, KEY).total
            return 2.0 * log + jnp.linalg.slogdet(follow)[1], local

        log, local = jax.vmap(one)(walkers)
        return jnp.sum(jax.nn.softmax(log) * local)

    energy = jax.jit(energy)
    mean = {name: np.asarray(part, np.float64).mean(axis=0) for name, part in parts.items()}
    found = observable.finalize(mean, NO_COVARIANCE)["value"]
    for atom, axis in ((0, 2), (1, 2), (1, 0)):
        shift = np.zeros((2, 3), np.float32)
        shift[atom, axis] = step
        slope = (float(energy(before + shift)) - float(energy(before - shift))) / (2.0 * step)
        assert abs(found[atom, axis] + slope) < 0.01 * np.abs(found).max() + 2e-3, (found, atom, axis, slope)


@pytest.mark.slow
@pytest.mark.ci
def test_moving_everything_changes_nothing_so_that_each_walker_s_forces_add_up_to_zero(lih):
    parts = lih[-1]
    for name in ("d_energy", "pulay"):
        size = np.abs(parts[name]).max(axis=(1, 2))
        assert (np.abs(np.sum(parts[name], axis=1)).max(axis=1) < 1e-4 * size + 1e-3).all(), name


def test_electrons_follow_the_nucleus_that_they_are_at():
    atoms = np.array([[0.0, 0, 0], [0, 0, 4.0]])
    electrons = jnp.array([[[0.01, 0, 0], [0, 0, 3.98]], [[0.0, 0, 2.0], [1.0, 1.0, 2.0]]], jnp.float32)
    after = atoms + np.array([[0.0, 0.3, 0.0], [0.5, 0.0, 0.0]])
    moves = np.asarray(warped(electrons, atoms, after) - electrons)
    np.testing.assert_allclose(moves[0], [[0, 0.3, 0], [0.5, 0, 0]], atol=1e-4)
    np.testing.assert_allclose(moves[1], [[0.25, 0.15, 0]] * 2, atol=1e-5)
    np.testing.assert_allclose(warp_weights(electrons, atoms).sum(axis=-1), 1.0, atol=1e-6)
    np.testing.assert_allclose(warped(electrons, atoms, atoms + 7.0), electrons + 7.0, atol=1e-5)
