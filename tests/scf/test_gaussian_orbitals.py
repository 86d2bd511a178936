"""Gaussian orbitals in JAX against PySCF's, and the determinant made of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnqmc.errors import InputError
from nnqmc.scf import MeanField, hartree_fock, orbitals, slater_log_psi
from nnqmc.scf.mean_field import from_solution
from nnqmc.typing import System

_O2 = System(np.array([[0.0, 0.0, 0.0], [0.3, -0.5, 2.2]]), np.array([8.0, 8.0]), 9, 7, ("O", "O"))
_LIH = System(np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 3.015]]), np.array([3.0, 1.0]), 2, 2, ("Li", "H"))


@pytest.fixture(scope="module")
def lih():
    return hartree_fock(_LIH)


@pytest.fixture(scope="module")
def o2():
    return hartree_fock(_O2)


def _mole(basis):
    from pyscf import gto

    return gto.M(atom="C 0.1 -0.2 0.3; H 1.1 0.7 -0.4; H -1.9 0.2 0.5", unit="Bohr", basis=basis, verbose=0)


def _every_function(mol) -> MeanField:
    """A mean field whose spin-up orbitals are PySCF's spherical functions themselves."""
    identity = np.stack([np.eye(mol.nao)] * 2)
    filled = np.stack([np.ones(mol.nao), np.zeros(mol.nao)])
    return from_solution(mol, 0.0, identity, np.zeros((2, mol.nao)), filled)


def _points(n, seed=0):
    return np.random.default_rng(seed).normal(scale=1.5, size=(n, 3))


@pytest.mark.parametrize("basis", ["sto-3g", "6-31g", "cc-pvdz", "cc-pvqz"])
def test_functions_are_those_of_pyscf(basis):
    """s to g functions, segmented and general contractions, in both precisions."""
    mol = _mole(basis)
    highest = max(mol.bas_angular(shell) for shell in range(mol.nbas))
    assert basis != "cc-pvqz" or highest == 4
    points = np.concatenate([_points(40), mol.atom_coords()])
    expected = mol.eval_gto("GTOval_sph", points)
    mean_field = _every_function(mol)
    with jax.enable_x64(True):
        up, down = jax.jit(orbitals)(mean_field, jnp.asarray(points))
        assert up.dtype == jnp.float64 and down.shape == (len(points), 0)
        np.testing.assert_allclose(up, expected, rtol=1e-10, atol=1e-10)
    single = jax.jit(orbitals)(mean_field, jnp.asarray(points, dtype=jnp.float32))[0]
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, expected, rtol=1e-5, atol=1e-5)


def test_gradients_are_those_of_pyscf_and_finite_at_the_nuclei():
    mol = _mole("cc-pvdz")
    points = np.concatenate([_points(5), mol.atom_coords()])
    expected = np.moveaxis(mol.eval_gto("GTOval_sph_deriv1", points)[1:], 0, -1)
    mean_field = _every_function(mol)

    def at_point(point):
        return orbitals(mean_field, point[None])[0][0]

    derivatives = jax.jit(jax.vmap(jax.jacfwd(at_point)))
    with jax.enable_x64(True):
        np.testing.assert_allclose(derivatives(jnp.asarray(points)), expected, rtol=1e-9, atol=1e-9)
    single = derivatives(jnp.asarray(points, dtype=jnp.float32))
    np.testing.assert_allclose(single, expected, rtol=1e-4, atol=1e-4)


def test_occupied_orbitals_are_orthonormal(o2):
    """Integrated on PySCF's molecular grid, independently of any of its orbital routines."""
    from pyscf import dft, gto

    mol = gto.M(atom=list(zip(_O2.symbols, _O2.atoms.tolist())), unit="Bohr", spin=2, basis="cc-pvdz", verbose=0)
    grid = dft.Grids(mol)
    grid.level = 2
    grid.build()
    with jax.enable_x64(True):
        for values in orbitals(o2, jnp.asarray(grid.coords)):
            values = np.asarray(values)
            np.testing.assert_allclose(values.T @ (grid.weights[:, None] * values), np.eye(values.shape[1]), atol=2e-4)


def test_the_determinant_is_the_product_of_both_spins(o2):
    electrons = _points(16, seed=1)
    with jax.enable_x64(True):
        up, down = (np.asarray(block) for block in orbitals(o2, jnp.asarray(electrons)))
        value = np.linalg.det(up[:9]) * np.linalg.det(down[9:])
        psi = slater_log_psi(o2, jnp.asarray(electrons), _O2)
        np.testing.assert_allclose(psi.sign * jnp.exp(psi.logabs), value, rtol=1e-9)


def test_exchanging_equal_spins_flips_the_sign_and_nothing_else(lih):
    electrons = jnp.asarray(_points(4), dtype=jnp.float32)
    psi = slater_log_psi(lih, electrons, _LIH)
    for swap in ([1, 0, 2, 3], [0, 1, 3, 2]):
        other = slater_log_psi(lih, electrons[jnp.array(swap)], _LIH)
        assert float(other.sign) == -float(psi.sign)
        assert float(other.logabs) == pytest.approx(float(psi.logabs), abs=1e-5)


@pytest.mark.parametrize(("n_up", "n_down"), [(1, 0), (0, 1), (1, 1), (2, 0), (2, 1)])
def test_an_absent_spin_contributes_a_factor_of_one(n_up, n_down):
    system = System(np.zeros((1, 3)), np.array([3.0]), n_up, n_down, ("Li",))
    mean_field = hartree_fock(system)
    electrons = jnp.asarray(_points(n_up + n_down), dtype=jnp.float32)
    up, down = (np.asarray(block) for block in orbitals(mean_field, electrons))
    value = np.linalg.det(up[:n_up]) * np.linalg.det(down[n_up:])

    @jax.jit
    def value_and_gradient(electrons):
        psi = slater_log_psi(mean_field, electrons, system)
        gradient = jax.grad(lambda r: slater_log_psi(mean_field, r, system).logabs)(electrons)
        return psi.sign * jnp.exp(psi.logabs), gradient

    psi, gradient = value_and_gradient(electrons)
    assert float(psi) == pytest.approx(value, rel=1e-4)
    assert bool(jnp.all(jnp.isfinite(gradient)))


def test_it_works_jitted_over_walkers_with_the_mean_field_as_an_argument(lih):
    walkers = jnp.asarray(_points(12).reshape(3, 4, 3), dtype=jnp.float32)
    batched = jax.jit(jax.vmap(slater_log_psi, in_axes=(None, 0, None)))(lih, walkers, _LIH)
    for walker, logabs in zip(walkers, batched.logabs):
        assert float(logabs) == pytest.approx(float(slater_log_psi(lih, walker, _LIH).logabs), abs=1e-5)


def test_a_mean_field_of_another_system_is_refused(lih):
    with pytest.raises(InputError, match="occupies 2 up and 2 down orbitals, but the system has 9 up and 7 down"):
        slater_log_psi(lih, jnp.zeros((16, 3)), _O2)


def test_every_field_is_a_plain_numeric_array(o2):
    leaves = jax.tree_util.tree_leaves(o2)
    assert len(leaves) == len(MeanField.__dataclass_fields__)
    assert all(isinstance(leaf, np.ndarray) and leaf.dtype in (np.float64, np.int32) for leaf in leaves)
