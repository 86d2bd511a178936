"""Convert units where a person's number comes in or goes out; everything else is in bohr and hartree.

The values are those of CODATA 2022 (P. J. Mohr et al., Rev. Mod. Phys. 97, 025002 (2025),
doi:10.1103/RevModPhys.97.025002) and the thermochemical calorie, which is 4.184 J exactly. Every function takes a
number or a NumPy/JAX array and returns the same kind.
"""

from __future__ import annotations

from typing import TypeVar

Quantity = TypeVar("Quantity")

BOHR_IN_ANGSTROM = 0.529177210544
HARTREE_IN_EV = 27.211386245981
HARTREE_IN_KJ_PER_MOL = 4.3597447222060e-18 * 6.02214076e23 / 1000.0
HARTREE_IN_KCAL_PER_MOL = HARTREE_IN_KJ_PER_MOL / 4.184
HARTREE_IN_WAVENUMBERS = 219474.63136314
"""The wavenumber of a photon of one hartree in 1/cm."""
CHEMICAL_ACCURACY = 1.0 / HARTREE_IN_KCAL_PER_MOL
"""Chemical accuracy is 1 kcal/mol, here in hartree: about 1.6 mHa."""
E_BOHR_IN_DEBYE = 1.602176634e-19 * 0.529177210544e-10 * 299792458.0 * 1e21
"""The atomic unit of the electric dipole moment, e bohr, in debye (1 debye = 1e-21 C m / c): about 2.541746."""
E_BOHR2_IN_DEBYE_ANGSTROM = E_BOHR_IN_DEBYE * BOHR_IN_ANGSTROM
"""The atomic unit of the electric quadrupole moment, e bohr^2, in debye angstrom (buckingham): about 1.345034."""


def angstrom_to_bohr(length: Quantity) -> Quantity:
    """Return a length in bohr that is given in angstrom."""
    return length / BOHR_IN_ANGSTROM  # type: ignore[operator]


def bohr_to_angstrom(length: Quantity) -> Quantity:
    """Return a length in angstrom that is given in bohr."""
    return length * BOHR_IN_ANGSTROM  # type: ignore[operator]


def hartree_to_millihartree(energy: Quantity) -> Quantity:
    """Return an energy in millihartree that is given in hartree."""
    return energy * 1000.0  # type: ignore[operator]
