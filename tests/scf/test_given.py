"""A mean field of PySCF as the start: the same determinant, its Hartree-Fock energy, and what is refused."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from pyscf import dft, gto, mp, qmmm, scf

from nnqmc.errors import InputError
from nnqmc.scf import from_pyscf, hartree_fock, slater_log_psi
from nnqmc.system import molecule


def oxygen(**options):
    return gto.M(**{"atom": "O 0.1 0.2 0.3", "spin": 2, "basis": "cc-pvdz", "verbose": 0} | options)


def taken(solver):
    return from_pyscf(solver, molecule(solver))


def coarse_kohn_sham(mol):
    solver = dft.UKS(mol)
    solver.grids.level = 0
    return solver


@pytest.mark.parametrize(("method", "cart"), [(scf.UHF, False), (scf.UHF, True), (scf.ROHF, False),
                                              (coarse_kohn_sham, False)], ids=["UHF", "Cartesian", "ROHF", "UKS"])
def test_the_determinant_is_that_of_pyscf(method, cart):
    solver = method(oxygen(cart=cart)).run()
    mean_field, system = taken(solver), molecule(solver)
    if method is not coarse_kohn_sham:
        assert float(mean_field.energy) == pytest.approx(solver.e_tot, abs=1e-9)
    coefficients = np.broadcast_to(np.asarray(solver.mo_coeff), (2, solver.mol.nao, np.shape(solver.mo_coeff)[-1]))
    filled = np.asarray(solver.mo_occ)
    filled = filled > 0.5 if filled.ndim == 2 else np.stack([filled > 0.5, filled > 1.5])
    electrons = np.random.default_rng(0).normal(size=(8, 3))
    values = solver.mol.eval_gto("GTOval_cart" if cart else "GTOval_sph", electrons)
    up = np.linalg.slogdet(values[:5] @ coefficients[0][:, filled[0]])
    down = np.linalg.slogdet(values[5:] @ coefficients[1][:, filled[1]])
    ours = slater_log_psi(mean_field, jnp.asarray(electrons, jnp.float32), system)
    assert float(ours.logabs) == pytest.approx(up[1] + down[1], abs=2e-4)
    assert mean_field.populations.sum(axis=0) == pytest.approx([5, 3])
    assert np.all(np.diff(mean_field.up_energies) >= 0)


def test_hartree_fock_of_our_own_is_found_again():
    solver = scf.RHF(gto.M(atom="Li 0 0 0; H 0 0 3.015", unit="Bohr", basis="cc-pvdz", verbose=0)).run(conv_tol=1e-11)
    mean_field, own = taken(solver), hartree_fock(molecule("LiH"))
    assert float(mean_field.energy) == pytest.approx(float(own.energy), abs=1e-8)
    np.testing.assert_allclose(mean_field.up_energies, own.up_energies, atol=1e-5)
    np.testing.assert_allclose(mean_field.populations, own.populations, atol=1e-4)


def test_the_energy_of_kohn_and_sham_is_the_hartree_fock_energy_of_the_determinant():
    helium = gto.M(atom="He 0 0 0", basis="cc-pvtz", verbose=0)
    own = float(hartree_fock(molecule("He"), basis="cc-pvtz").energy)
    solver = dft.RKS(helium)
    solver.grids.level = 0
    assert own < float(taken(solver.run()).energy) < own + 0.005


def test_orbitals_that_did_not_converge_are_used_and_that_is_said(caplog):
    solver = scf.UHF(oxygen())
    solver.max_cycle = 1
    solver.kernel()
    assert taken(solver).energy > scf.UHF(oxygen()).run().e_tot + 1e-6
    assert "has not converged; its orbitals are used as they are" in caplog.text


def test_what_is_around_the_molecule_is_left_out_and_that_is_said(caplog):
    helium = gto.M(atom="He", basis="6-31g", verbose=0)
    plain = scf.RHF(helium).run()
    for solver in (qmmm.mm_charge(scf.RHF(helium), [[0.0, 0.0, 3.0]], [1.0]), scf.RHF(helium).x2c()):
        caplog.clear()
        assert float(taken(solver.run()).energy) == pytest.approx(plain.e_tot, abs=1e-3)
        assert "has more in it than the electrons and nuclei of the molecule" in caplog.text
    caplog.clear()
    assert float(taken(plain).energy) == pytest.approx(plain.e_tot, abs=1e-9)
    assert not caplog.records


def changed(**values):
    solver = scf.UHF(oxygen()).run()
    for name, value in values.items():
        setattr(solver, name, value(getattr(solver, name)))
    return solver


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: scf.RHF(gto.M(atom="He", basis="sto-3g", verbose=0)), r"has no orbitals yet; call its kernel\(\)"),
        (lambda: mp.MP2(scf.RHF(gto.M(atom="He", basis="6-31g", verbose=0)).run()), "MP2 is no mean field"),
        (lambda: scf.GHF(gto.M(atom="He", basis="6-31g", verbose=0)).run(), "complex or generalised orbitals"),
        (lambda: changed(mo_coeff=lambda c: np.asarray(c) * 1j), "complex or generalised orbitals"),
        (lambda: changed(mo_occ=lambda n: np.asarray(n) * 0.5), "fractional occupations"),
        (lambda: changed(mo_coeff=lambda c: np.asarray(c) * 2.0), "are not orthonormal"),
        (lambda: scf.UHF(oxygen(basis="bfd-vdz")).run(), "valence electrons of O only"),
    ],
    ids=["not run", "MP2", "GHF", "complex", "fractional", "not orthonormal", "no core"],
)
def test_what_is_no_determinant_for_all_electrons_is_refused(make, message):
    solver = make()
    with pytest.raises(InputError, match=message):
        taken(solver)


def test_a_mean_field_of_another_system_is_refused():
    solver = scf.UHF(oxygen()).run()
    with pytest.raises(InputError, match=r"has 5 up and 3 down electrons, and the system has 4 and 4"):
        from_pyscf(solver, molecule(solver, spin=0))
    moved = dataclasses.replace(molecule(solver), atoms=np.zeros((1, 3)))
    with pytest.raises(InputError, match="for atoms at other places"):
        from_pyscf(solver, moved)
