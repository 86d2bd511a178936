"""The mean-field start: Hartree-Fock by PySCF, and its Gaussian orbitals evaluated in JAX.

PySCF is imported when `hartree_fock` is called, not before.
"""

from nnqmc.scf.form import are_of_mean_field
from nnqmc.scf.given import from_pyscf, is_mean_field
from nnqmc.scf.mean_field import MeanField
from nnqmc.scf.slater import orbitals, slater_log_psi
from nnqmc.scf.solver import hartree_fock

__all__ = ["MeanField", "are_of_mean_field", "from_pyscf", "hartree_fock", "is_mean_field", "orbitals",
           "slater_log_psi"]
