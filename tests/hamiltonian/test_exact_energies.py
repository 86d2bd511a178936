"""Wavefunctions that solve their Schroedinger equation have the same local energy everywhere: the exact one."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnqmc.hamiltonian import electron_electron, hamiltonian, harmonic_trap, kinetic, molecular
from nnqmc.laplacian import dense_laplacian, forward_laplacian, loop_laplacian
from nnqmc.typing import SignedLog, System

pytestmark = pytest.mark.usefixtures("double_precision")
LAPLACIANS = [forward_laplacian, loop_laplacian, dense_laplacian]


def atom(z, n_up=1, n_down=0):
    return System(np.zeros((1, 3)), np.array([float(z)]), n_up, n_down, ("X",))


def local_energies(operator, psi, system, n_walkers=40):
    electrons = np.random.default_rng(3).normal(size=(n_walkers, system.n_electrons, 3))
    energies = jax.jit(jax.vmap(lambda r: operator(psi, r, system, jax.random.key(0))))(jnp.asarray(electrons))
    parts = sum(np.asarray(term) for term in energies.terms.values())
    np.testing.assert_allclose(energies.total, parts, rtol=1e-12, err_msg="the terms don't add up")
    return np.asarray(energies.total)


def signed_log(psi):
    return SignedLog(jnp.sign(psi), jnp.log(jnp.abs(psi)))


def distance(r):
    return jnp.linalg.norm(r, axis=-1)


def hydrogen_1s(z):
    return lambda r, system: SignedLog(jnp.ones(()), -z * distance(r)[0])


def hydrogen_2s(z):
    return lambda r, system: signed_log((1.0 - z * distance(r)[0] / 2.0) * jnp.exp(-z * distance(r)[0] / 2.0))


def hydrogen_2p(z):
    return lambda r, system: signed_log(r[0, 2] * jnp.exp(-z * distance(r)[0] / 2.0))


def hydrogen_3d(z):
    return lambda r, system: signed_log(r[0, 0] * r[0, 1] * jnp.exp(-z * distance(r)[0] / 3.0))


@pytest.mark.parametrize("laplacian", LAPLACIANS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("z", [1, 2, 3], ids=["H", "He+", "Li2+"])
def test_the_ground_state_of_one_electron_has_energy_minus_half_z_squared(z, laplacian):
    energies = local_energies(molecular(laplacian=laplacian), hydrogen_1s(z), atom(z))
    np.testing.assert_allclose(energies, -0.5 * z**2, rtol=1e-11)


@pytest.mark.parametrize(("state", "n"), [(hydrogen_2s, 2), (hydrogen_2p, 2), (hydrogen_3d, 3)], ids=["2s", "2p", "3d"])
def test_excited_states_of_hydrogen_have_energy_minus_half_over_n_squared(state, n):
    energies = local_energies(molecular(), state(2), atom(2))
    np.testing.assert_allclose(energies, -0.5 * 4.0 / n**2, rtol=1e-9)


@pytest.mark.parametrize("laplacian", LAPLACIANS, ids=lambda f: f.__name__)
def test_hookes_atom_has_energy_two(laplacian):
    """Two electrons in a trap of force constant 1/4, omega = 1/2, that repel (Taut, doi:10.1103/PhysRevA.48.3561)."""
    omega = 0.5

    def psi(r, system):
        return signed_log((1.0 + distance(r[0] - r[1]) / 2.0) * jnp.exp(-0.5 * omega * jnp.sum(r**2)))

    terms = {"kinetic": kinetic(laplacian), "trap": harmonic_trap(omega), "repulsion": electron_electron}
    energies = local_energies(hamiltonian(terms), psi, atom(0, 1, 1))
    np.testing.assert_allclose(energies, 2.0, rtol=1e-11)


def own_trap(omega):
    """A user's term: a function of (psi, electrons, system, key) that returns hartree."""

    def local_trap(psi, electrons, system, key):
        return 0.5 * omega**2 * jnp.sum(electrons**2)

    return local_trap


@pytest.mark.parametrize("trap", [harmonic_trap, own_trap], ids=["ours", "a user's"])
def test_one_electron_in_a_trap_has_energy_three_halves_omega(trap):
    omega = 0.7
    terms = {"kinetic": kinetic(), "trap": trap(omega)}
    energies = local_energies(hamiltonian(terms), lambda r, s: SignedLog(jnp.ones(()), -0.5 * omega * jnp.sum(r**2)),
                              atom(0))
    np.testing.assert_allclose(energies, 1.5 * omega, rtol=1e-12)


def test_two_fermions_in_a_trap_fill_two_levels():
    omega = 0.7

    def psi(r, system):
        return signed_log((r[0, 0] - r[1, 0]) * jnp.exp(-0.5 * omega * jnp.sum(r**2)))

    terms = {"kinetic": kinetic(), "trap": harmonic_trap(omega)}
    energies = local_energies(hamiltonian(terms), psi, atom(0, 2, 0))
    np.testing.assert_allclose(energies, (1.5 + 2.5) * omega, rtol=1e-10)


def test_a_term_of_ones_own_joins_the_molecular_hamiltonian():
    psi, system = hydrogen_1s(1), atom(1)
    with_trap = local_energies(molecular(trap=own_trap(0.5)), psi, system)
    electrons = np.random.default_rng(3).normal(size=(40, 1, 3))
    np.testing.assert_allclose(with_trap, -0.5 + 0.125 * np.sum(electrons**2, axis=(1, 2)), rtol=1e-10)
