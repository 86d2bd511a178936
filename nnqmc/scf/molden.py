"""Orbitals as a molden file, by PySCF."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from nnqmc.errors import InputError
from nnqmc.io import atomic_write
from nnqmc.scf.solver import gaussian_molecule
from nnqmc.typing import System


def molden_file(path: Path, system: System, coefficients: Float[np.ndarray, "n_functions n"],
                occupations: Float[np.ndarray, "n"]) -> Path:
    """Write orbitals over the functions of cc-pVDZ as a molden file, and return its path.

    Args:
        path: of the file; it appears complete or not at all.
        system: the molecule.
        coefficients: one orbital in each column, over PySCF's functions in its order.
        occupations: electrons in each orbital.

    Raises:
        InputError: there are other numbers of functions or orbitals.

    References:
        Q. Sun et al., J. Chem. Phys. 153, 024109 (2020), doi:10.1063/5.0006074 (PySCF).
    """
    molecule = gaussian_molecule(system)
    if np.shape(coefficients) != (molecule.nao, np.size(occupations)):
        raise InputError(f"coefficients of the shape {np.shape(coefficients)} for {np.size(occupations)} orbitals over "
                         f"{molecule.nao} functions: give (n_functions, n_orbitals)")
    from pyscf.tools import molden

    with atomic_write(path) as temporary:
        molden.from_mo(molecule, str(temporary), np.asarray(coefficients), occ=np.asarray(occupations))
    return path
