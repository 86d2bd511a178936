"""A mean field that a person has computed with PySCF, taken as the start instead of Hartree-Fock of our own."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from nnqmc.errors import InputError
from nnqmc.scf.core import check_cores
from nnqmc.scf.mean_field import MeanField, from_solution
from nnqmc.typing import System

_ORTHONORMAL = 1e-5


def is_mean_field(source: Any) -> bool:
    """Tell whether an object is a PySCF mean field, or a correlated calculation on top of one."""
    return hasattr(source, "mo_coeff") and hasattr(source, "mol")


def from_pyscf(solver: Any, system: System) -> MeanField:
    """Take the occupied orbitals of a PySCF mean field.

    It may be restricted, restricted open-shell or unrestricted, of Hartree-Fock or Kohn and Sham. The energy is the
    Hartree-Fock energy of the determinant, whatever the method that the orbitals come from.

    Args:
        solver: a PySCF mean field that has been run, such as `pyscf.scf.RHF(mol).run()`.
        system: the molecule that it was computed for, as `nnqmc.molecule(solver)` gives it.

    Returns:
        Energy, occupied orbitals and populations.

    Raises:
        InputError: it has not been run, has fractional occupations or complex or generalised orbitals, belongs to other
            numbers of electrons, or its basis set doesn't describe the core.
    """
    from pyscf import lib
    from pyscf.scf import hf, uhf

    if not isinstance(solver, hf.SCF):
        raise InputError(f"{type(solver).__name__} is no mean field; pass the one that it was made from, such as "
                         "pyscf.scf.RHF(mol).run().")
    if solver.mo_coeff is None or solver.mo_occ is None:
        raise InputError("the PySCF mean field has no orbitals yet; call its kernel() first.")
    if not solver.converged:
        logging.getLogger("nnqmc").warning("the PySCF mean field has not converged; its orbitals are used as they are")
    mol = solver.mol
    if mol.natm != system.n_atoms or not np.allclose(mol.atom_coords(unit="Bohr"), system.atoms, rtol=0.0, atol=1e-6):
        raise InputError("the PySCF mean field was computed for atoms at other places than those of the system; pass "
                         "the molecule as nnqmc.molecule(mean_field).")
    check_cores(mol, str(mol.basis)[:80])
    coefficients, occupations = _by_spin(solver, mol.nao)
    n_up, n_down = (int(np.sum(spin)) for spin in occupations)
    if (n_up, n_down) != (system.n_up, system.n_down):
        raise InputError(f"the PySCF mean field has {n_up} up and {n_down} down electrons, and the system has "
                         f"{system.n_up} and {system.n_down}: run it with the charge and the spin that are wanted, and "
                         "leave charge= and spin= out.")
    with lib.with_omp_threads(1):
        plain = uhf.UHF(mol)
        plain.verbose = 0
        density = plain.make_rdm1(coefficients, occupations)
        core = plain.get_hcore()
        potential = plain.get_veff(mol, density)
        energy = plain.energy_tot(density, core, potential)
        _tell_surroundings(solver, core)
        levels = [np.einsum("ik,ij,jk->k", orbitals, core + part, orbitals)
                  for orbitals, part in zip(coefficients, np.asarray(potential), strict=True)]
        return from_solution(mol, energy, coefficients, levels, occupations)


def _tell_surroundings(solver: Any, core: np.ndarray) -> None:
    """Log that only the molecule itself is taken where the mean field has more in it, such as charges, or a solvent.

    Args:
        solver: the mean field.
        core: kinetic energy and attraction by the nuclei of the molecule, in its basis.
    """
    given = np.asarray(solver.get_hcore())
    is_other = given.shape != core.shape or not np.allclose(given, core, rtol=0.0, atol=1e-6)
    if is_other or getattr(solver, "with_solvent", None) is not None:
        logging.getLogger("nnqmc").warning(
            "the PySCF mean field has more in it than the electrons and nuclei of the molecule (a field, charges "
            "around it, a solvent or relativity); its orbitals are the start, and the rest is left out")


def _by_spin(solver: Any, n_functions: int) -> tuple[np.ndarray, np.ndarray]:
    """Return coefficients (2, n_functions, n_orbitals) and occupations (2, n_orbitals) of a mean field, checked."""
    coefficients, occupations = np.asarray(solver.mo_coeff), np.asarray(solver.mo_occ, dtype=np.float64)
    if coefficients.shape[-2] != n_functions or np.iscomplexobj(coefficients):
        raise InputError("the PySCF mean field has complex or generalised orbitals; only real restricted and "
                         "unrestricted ones: use pyscf.scf.RHF, ROHF or UHF.")
    if occupations.ndim == 1:
        occupations = np.stack([occupations > 0.5, occupations > 1.5]) + (occupations - np.round(occupations))
        coefficients = np.stack([coefficients, coefficients])
    if not np.isin(np.round(occupations, 8), (0.0, 1.0)).all():
        raise InputError("the PySCF mean field has fractional occupations; only whole ones, since its orbitals make up "
                         "a determinant: run it without smearing.")
    overlap = solver.mol.intor_symmetric("int1e_ovlp")
    for orbitals in coefficients:
        if not np.allclose(orbitals.T @ overlap @ orbitals, np.eye(orbitals.shape[1]), atol=_ORTHONORMAL):
            raise InputError("the orbitals of the PySCF mean field are not orthonormal in its basis; run its kernel().")
    return coefficients, np.round(occupations)
