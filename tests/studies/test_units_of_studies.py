"""Structures of a study have the unit that was given, whatever they come as, and messages say what helps there."""

from __future__ import annotations

import numpy as np
import pytest

from made_up_study import MadeUp
from nnqmc.errors import InputError
from nnqmc.studies import curves, labels
from nnqmc.studies.labels import label
from nnqmc.studies.structures import read_structures
from nnqmc.system import molecule

ANGSTROM = 1.0 / 0.529177210544
ATOMS = [("H", (0.0, 0.0, 0.0)), ("H", (0.0, 0.0, 1.4))]
XYZ = "2\n\nH 0 0 0\nH 0 0 1.4\n"


def planned(source, unit, bond=(1.0, 2.0)):
    """Return the systems and the bonds that a curve would have."""
    return curves._planned(source, bond, 2, None, {} if unit is None else {"unit": unit})[:2]


def distances(systems):
    return [float(np.linalg.norm(system.atoms[1] - system.atoms[0])) for system in systems]


@pytest.mark.parametrize("unit", ["angstrom", "Angstrom", "ang", "A", "\u00e5", "\u00c5"])
def test_every_spelling_of_angstrom_is_that_of_the_bonds(unit):
    systems, bonds = planned("H2", unit)
    assert bonds == pytest.approx([ANGSTROM, 2.0 * ANGSTROM]) and distances(systems) == pytest.approx(bonds)


@pytest.mark.parametrize("unit", [None, "bohr", "au", "Bohr"])
def test_bonds_are_in_bohr_otherwise(unit):
    assert planned("H2", unit)[1] == [1.0, 2.0]


@pytest.mark.parametrize("source", ["H2", ATOMS, ["H2", "H2"]])
def test_an_unknown_unit_is_refused(source):
    with pytest.raises(InputError, match="unknown unit 'parsec': pass unit='bohr'"):
        planned(source, "parsec", None if source == ["H2", "H2"] else (1.0, 2.0))
    with pytest.raises(InputError, match="unknown unit 'parsec'"):
        read_structures(["H2"], unit="parsec")


@pytest.mark.parametrize(("unit", "factor"), [(None, ANGSTROM), ("bohr", 1.0), ("Ang", ANGSTROM)])
def test_a_file_has_the_unit_that_was_given(unit, factor, tmp_path):
    """The third atom isn't moved, so that its place tells how a curve has read the file."""
    path = tmp_path / "water.xyz"
    path.write_text("3\n\nO 0 0 0\nH 0 0 1.8\nH 1.8 0 0\n")
    systems = curves._planned(str(path), (1.0, 2.0), 2, (1, 2), {"unit": unit})[0]
    assert systems[0].atoms[2][0] == pytest.approx(1.8 * factor)
    for source in (path, str(path), [path], [str(path)]):
        assert read_structures(source, unit=unit)[0].atoms[2][0] == pytest.approx(1.8 * factor)


def test_a_unit_beside_a_source_with_its_own_is_that_of_the_bonds():
    pytest.importorskip("ase", reason="Atoms of ASE: pip install 'nnqmc[ase]'")
    from ase import Atoms
    from pyscf.gto import M

    for source in ("H2", molecule("H2"), M(atom="H 0 0 0; H 0 0 1.4", unit="bohr", verbose=0),
                   Atoms("H2", [(0, 0, 0), (0, 0, 0.74)])):
        for unit, factor in (("bohr", 1.0), ("angstrom", ANGSTROM)):
            assert planned(source, unit)[1] == pytest.approx([factor, 2.0 * factor])
            assert distances(read_structures([source], unit=unit)) == distances([molecule(source)])


@pytest.mark.parametrize("part", [ATOMS, "H 0 0 0; H 0 0 1.4", "H\t0\t0\t0\nH\t0\t0\t1.4", XYZ])
def test_parts_of_a_list_have_the_unit_that_was_given(part):
    assert distances(read_structures([part, "H2"], unit="au"))[0] == pytest.approx(1.4)
    assert distances(read_structures([part], unit="a"))[0] == pytest.approx(1.4 * ANGSTROM)


def test_a_file_with_tabs_is_read(tmp_path):
    path = tmp_path / "tabs.xyz"
    path.write_text("2\n\nH\t0\t0\t0\nH\t0\t0\t0.74\n" * 2)
    assert distances(read_structures(path)) == pytest.approx([0.74 * ANGSTROM] * 2)


def test_a_file_whose_comment_speaks_of_bohr_is_not_read_in_angstrom(tmp_path):
    path = tmp_path / "bohr.xyz"
    path.write_text(XYZ + XYZ.replace("\n\n", "\ncoordinates in bohr\n"))
    with pytest.raises(InputError, match=r"structure 2 of 2: .*bohr.xyz, line 6: .* speaks of bohr; pass unit='bohr'"):
        read_structures(path)
    assert distances(read_structures(path, unit="bohr")) == pytest.approx([1.4, 1.4])
    path.write_text(XYZ.replace("\n\n", "\nbond_bohr=2.6456 converged=T\n"))  # as `nnqmc curve` writes it
    assert distances(read_structures(path)) == distances([molecule(path)]) == pytest.approx([1.4 * ANGSTROM])


def test_a_single_structure_or_an_iterator_is_a_list_as_well():
    system = molecule("H2")
    for source in (system, [system], iter([system]), (each for each in [system]), ATOMS):
        assert distances(read_structures(source, unit="bohr")) == pytest.approx([1.4], abs=0.02)


def test_a_single_molecule_gets_a_label(tmp_path, monkeypatch):
    monkeypatch.setattr(labels, "Work", MadeUp)
    found = label(molecule("H2"), out=tmp_path)
    assert found.complete and list(found.done) == [1] and (tmp_path / "labels.xyz").read_text().startswith("2\n")


@pytest.mark.parametrize(("source", "words"), [
    (5, "structure 1 of 1: can't make a molecule of int: allowed are a name, xyz text"),
    (None, "can't make a molecule of NoneType"),
    ([], "holds no structures: give an xyz file with one frame or more, or a list"),
    (iter([]), "holds no structures"),
    ("H2", r"'H2' can't be read: .*, or in Python a list of what nnqmc.molecule takes"),
    ("H\0", "can't be read"),
])
def test_what_holds_no_structures_is_refused_in_a_sentence(source, words, tmp_path):
    with pytest.raises(InputError, match=words):
        label(source, out=tmp_path / "none", progress=False)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(("text", "words"), [
    (XYZ + XYZ.replace("1.4", "zero"), "structure 2 of 2: .*labels.xyz, line 8: 'H 0 0 zero' can't be read"),
    (XYZ + "\n\n" + XYZ.replace("H 0 0 1.4\n", ""), "structure 2 of 2: .*labels.xyz, line 7: the count says 2 atoms"),
    ("0\n\n", "labels.xyz, line 1: no atoms follow the number 0"),
    (XYZ + "2\n", "labels.xyz, line 5: no atoms follow the number 2 and the comment: complete the frame"),
    ("hello\n", "labels.xyz, line 1: 'hello' stands where .* expected: give an xyz file, whose frames have"),
    ("\n", "labels.xyz holds no structures: give an xyz file"),
])
def test_messages_on_a_file_name_its_line_and_what_to_do(text, words, tmp_path):
    path = tmp_path / "labels.xyz"
    path.write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        label(path, out=tmp_path / "none", progress=False)
    assert "the text given" not in str(caught.value)


def test_a_curve_of_a_file_of_several_frames_says_what_helps(tmp_path):
    path = tmp_path / "two.xyz"
    path.write_text(XYZ + XYZ.replace("1.4", "1.6"))
    with pytest.raises(InputError, match=r"two.xyz holds 2 frames; .* or give a file of one frame"):
        planned(str(path), None)
    assert distances(planned(str(path), "bohr", bond=None)[0]) == pytest.approx([1.4, 1.6])


def test_structures_of_other_charge_are_no_curve():
    """H2 and its ion have the same atoms, and so have the singlet and the triplet."""
    for other in (molecule("H2", charge=1), molecule("H2", spin=2)):
        with pytest.raises(InputError, match=r"structure 2 is H H with .* a curve is of one molecule in one state"):
            planned(["H2", other], None, bond=None)
