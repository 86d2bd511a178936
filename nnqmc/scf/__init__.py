"""The mean-field start: Hartree-Fock by PySCF, and its Gaussian orbitals evaluated in JAX.

PySCF is imported when `hartree_fock` is called, not before.
"""

from nnqmc.scf.form import are_of_mean_field
from nnqmc.scf.given import from_pyscf, is_mean_field
from nnqmc.scf.grid import integration_grid
from nnqmc.scf.mean_field import MeanField, fix_sign, gaussian_basis
from nnqmc.scf.molden import molden_file
from nnqmc.scf.slater import gaussians, orbitals, slater_log_psi
from nnqmc.scf.solver import all_orbitals, gaussian_molecule, hartree_fock

__all__ = ["MeanField", "all_orbitals", "are_of_mean_field", "fix_sign", "from_pyscf", "gaussian_basis",
           "gaussian_molecule", "gaussians", "hartree_fock", "integration_grid", "is_mean_field", "molden_file",
           "orbitals", "slater_log_psi"]
