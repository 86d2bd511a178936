"""Z-matrices: the same molecule as PySCF and ASE make of them, and what is refused."""

import re

import numpy as np
import pytest
from ase.io.zmatrix import parse_zmatrix
from pyscf import gto

from nnqmc.errors import InputError
from nnqmc.system import molecule

PEROXIDE = "H\nO 1 0.9\nO 2 1.4 1 105.0\nH 3 0.9 2 105.0 1 120.0\nHe 1 3.0 2 70 3 -33"
WATER = "O\nH 1 0.96\nH 1 0.96 2 104.5"


def shape(positions):
    """All distances, and the signed volume of every tetrahedron with the first three atoms."""
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    a, b, c = positions[:3]
    return np.concatenate([distances.ravel(), [np.linalg.det([b - a, c - a, p - a]) for p in positions]])


@pytest.mark.parametrize("text", [PEROXIDE, WATER, "C\nO 1 1.16\nO 1 1.16 2 180"])
def test_positions_are_those_of_pyscf_and_ase(text):
    ours = shape(molecule(text, unit="bohr").atoms)
    np.testing.assert_allclose(ours, shape(np.array([xyz for _, xyz in gto.mole.from_zmatrix(text)])), atol=1e-12)
    np.testing.assert_allclose(ours, shape(parse_zmatrix(text).positions), atol=1e-12)


@pytest.mark.parametrize(
    "text",
    [WATER.replace("\n", "; "), f"0 1\n{WATER}", "O\nH 1 R\nH 1 R 2 A\n\nR = 0.96\nA 104.5",
     "O1\nH1 1, 0.96\nH2 1, 0.96, 2, 104.5", "O1\nH1 O1 0.96\nH2 O1 0.96 H1 104.5",
     "O\nH 1 R\nH 1 R 2 A\nVariables:\nR=0.96\nConstants:\nA=104.5"],
)
def test_spellings_of_one_molecule_agree(text):
    system = molecule(text, unit="angstrom")
    assert (system.symbols, system.charge, system.spin) == (("O", "H", "H"), 0, 0)
    np.testing.assert_allclose(system.atoms, molecule(WATER, unit="angstrom").atoms, atol=1e-12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("O\nH 2 0.96", "line 2: 'H 2 0.96' refers to atom 2; the atoms before are 1 to 1."),
        ("O\nH 1 R", "line 2: 'H 1 R' can't be read: 'R' is not a number"),
        ("O\nH 1 0.96\nH 1 0.96 1 90", "line 3: 'H 1 0.96 1 90' names an atom twice"),
        ("O\nH 1 0.96\nH 1 0.96", "line 3: 'H 1 0.96' is no line of a Z-matrix"),
        ("O\nH 1 0.96\nA == 3", "line 3: 'A == 3' is neither an atom of a Z-matrix nor a value"),
        ("C\nO 1 1.16\nO 1 1.16 2 180\nH 2 1 1 90 3 0", "has no dihedral angle, since three atoms lie on a line"),
        ("O\nH 1 0,96", "line 2: 'H 1 0,96' has a comma within a number; write decimal points"),
        ("O\nGh 1 1.0\nH 1 0.96 2 90", "'Gh' marks a ghost or dummy atom"),
        ("O\nH 1 -0.96", "line 2: 'H 1 -0.96' has the distance -0.96; distances are larger than 0"),
        ("O\nH 1 R\nR = 0.96\nR = 1.0", "line 4: 'R' has another value above; leave one of them"),
        ("H\nH H 0.7\nH H 0.7 1 90", "refers to atom H; the atoms before are 1 to 2"),
        ("O\nH 1 __import__('os')", "can't be read"),
    ],
)
def test_what_is_no_z_matrix_is_refused_with_its_line(text, message):
    with pytest.raises(InputError, match=re.escape(message)):
        molecule(text, unit="angstrom")


def test_dummy_atoms_only_place_the_others(caplog):
    dioxide = molecule("C\nX 1 1.0\nO 1 1.16 2 90\nO 1 1.16 2 90 3 180", unit="bohr")
    assert dioxide.symbols == ("C", "O", "O")
    np.testing.assert_allclose(dioxide.atoms[1], -dioxide.atoms[2], atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(dioxide.atoms, axis=1), [0, 1.16, 1.16], atol=1e-12)
    assert "dummy atoms of the Z-matrix only place the others" in caplog.text


def test_the_unit_has_to_be_given():
    with pytest.raises(InputError, match="the unit of these 3 atoms is not known"):
        molecule(WATER)
