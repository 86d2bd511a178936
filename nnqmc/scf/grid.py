"""Points and weights for integrals over space around the nuclei of a molecule."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from jaxtyping import Float

from nnqmc.ranges import Between, check
from nnqmc.scf.safe_pyscf import import_pyscf
from nnqmc.system.nuclei import require_molecule
from nnqmc.typing import System

_ANY_BASIS = ((0, (1.0, 1.0)),)
"""A basis set, which PySCF asks for and a grid doesn't depend on."""


def integration_grid(system: System, *, level: Annotated[int, Between(0, 9)] = 1
                     ) -> tuple[Float[np.ndarray, "n_points 3"], Float[np.ndarray, "n_points"]]:
    """Return points in bohr and weights in bohr^3, for integrals of functions that decay like orbitals.

    Each atom has radial shells with points on spheres, and the weights share space out among the atoms.

    Args:
        system: the molecule.
        level: of the fineness, from 0 to 9, as PySCF counts it.

    Raises:
        InputError: `level` is out of range, or the system has a lattice.

    References:
        A. D. Becke, J. Chem. Phys. 88, 2547 (1988), doi:10.1063/1.454033;
        Q. Sun et al., J. Chem. Phys. 153, 024109 (2020), doi:10.1063/5.0006074 (PySCF).
    """
    check(integration_grid, level=level)
    require_molecule(system)
    import_pyscf()
    from pyscf import dft, gto, lib

    with lib.with_omp_threads(1):
        mole = gto.M(atom=list(zip(system.symbols, np.asarray(system.atoms, np.float64).tolist(), strict=True)),
                     basis={symbol: [list(shell) for shell in _ANY_BASIS] for symbol in system.symbols},
                     charge=0, spin=None, unit="Bohr", verbose=0, dump_input=False, parse_arg=False)
        grid = dft.gen_grid.Grids(mole)
        grid.level = level
        grid.build(with_non0tab=False, sort_grids=False)
    return grid.coords, grid.weights
