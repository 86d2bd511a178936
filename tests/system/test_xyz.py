"""The xyz format, its loose relatives, and what is refused with the line's number and text."""

import logging
import re

import numpy as np
import pytest

from nnqmc.errors import InputError
from nnqmc.system import molecule
from nnqmc.units import BOHR_IN_ANGSTROM

WATER = "3\nwater; a comment\nO 0.0 0.0 0.1173\nH 0.0 0.7572 -0.4692\nH 0.0 -0.7572 -0.4692\n"


def test_a_file_is_read_as_angstrom_and_says_so(tmp_path, caplog):
    path = tmp_path / "wet.xyz"
    path.write_text(WATER)
    with caplog.at_level(logging.WARNING, logger="nnqmc"):
        from_path, from_string = molecule(path), molecule(str(path))
    expected = 'wet.xyz: coordinates read as angstrom (pass unit="bohr" if they are bohr)'
    assert [record.getMessage() for record in caplog.records] == [expected] * 2
    assert from_path.name == from_string.name == "wet"
    assert from_path.symbols == ("O", "H", "H")
    np.testing.assert_allclose(from_path.atoms[1] * BOHR_IN_ANGSTROM, [0.0, 0.7572, -0.4692], rtol=1e-12)


def test_a_file_with_its_unit_given_is_silent(tmp_path, caplog):
    path = tmp_path / "wet.xyz"
    path.write_text(WATER)
    with caplog.at_level(logging.WARNING, logger="nnqmc"):
        np.testing.assert_array_equal(molecule(path, unit="bohr").atoms[1], [0.0, 0.7572, -0.4692])
        molecule(path, unit="angstrom")
    assert not caplog.records


def test_a_loose_file_and_one_of_another_suffix_are_read_too(tmp_path):
    path = tmp_path / "pair.txt"
    path.write_text("\ufeffHe 0 0 0\n\nH 0 0 1.4632\n", encoding="utf-8")
    assert molecule(str(path), unit="bohr", charge=1).name == "pair"


@pytest.mark.parametrize(
    "text",
    [
        "He 0 0 0; H 0 0 1.4632",
        "he 0 0 0\nH 0 0 1.4632\n",
        "\n  2 0. 0 .0 ;; 1, 0, 0, 14632E-4 ;",
        "2\n\nHe 0 0 0\nH 0 0 1.4632",
        " 2 \na comment; with a semicolon\nHE 0 0 0 0.1 0.2 force\nH 0 0 1.4632D0\n\n",
        '2\nProperties=species:S:1:pos:R:3:forces:R:3 pbc="F F F"\nHe 0 0 0 1 1 1\nH 0 0 1.4632 1 1 1',
    ],
)
def test_spellings_of_one_molecule_agree(text):
    system = molecule(text, unit="bohr", charge=1)
    assert system.symbols == ("He", "H")
    np.testing.assert_allclose(system.atoms, [[0, 0, 0], [0, 0, 1.4632]], rtol=1e-15)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("H 0 0 0; H 0 zero 1", "line 1: 'H 0 zero 1' can't be read: 'zero' is not a number"),
        ("H 0 0 0\nH 0 0", "line 2: 'H 0 0' is not an atom; expected 'symbol x y z'"),
        ("H 0 0 0 H 0 0 1", "line 1: 'H 0 0 0 H 0 0 1' is not an atom"),
        ("H 0 0 0\nQq 0 0 1", "line 2: 'Qq 0 0 1': unknown element 'Qq'"),
        ("H 0 0 0\n119 0 0 1", "line 2: '119 0 0 1': 119 is no atomic number"),
        ("H 0 0 nan", "line 1: 'H 0 0 nan' has the coordinate nan; coordinates have to be finite"),
        ("H 0 0 1e999", "atom 1 (H) has a coordinate that is not finite"),
        ("3\nwater\nO 0 0 0\nH 0 0 1", "line 1: the count says 3 atoms, but 2 lines of atoms follow"),
        ("1\n\nH 0 0 0\n1\n\nH 0 0 1", "line 1: the count says 1 atoms, but 3 lines of atoms follow"),
        ("0\nnothing\n", "no atoms found"),
        (";;", "no atoms found"),
        ('1\nLattice="5 0 0 0 5 0 0 0 5"\nHe 0 0 0', "line 2: the comment holds a Lattice"),
        ("1\nProperties=pos:R:3:species:S:1\nHe 0 0 0", "line 2: unsupported column order"),
    ],
)
def test_unreadable_text_is_refused_with_its_line(text, message):
    with pytest.raises(InputError, match=re.escape(message)):
        molecule(text, unit="bohr")


def test_a_bad_file_is_named_in_the_message(tmp_path):
    path = tmp_path / "bad.xyz"
    path.write_text("2\n\nH 0 0 0\nH 0 0 O.74\n")
    with pytest.raises(InputError, match=r"bad\.xyz, line 4: 'H 0 0 O\.74' can't be read"):
        molecule(path)


def test_files_that_are_no_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"no such file: '.*missing\.xyz'\. Check the path"):
        molecule(tmp_path / "missing.xyz")
    with pytest.raises(InputError, match=r"no such file: 'missing\.xyz'"):
        molecule("missing.xyz")
    with pytest.raises(InputError, match=r"no such file: 'some/where'"):
        molecule("some/where")
    with pytest.raises(InputError, match="is a folder"):
        molecule(tmp_path)
    binary = tmp_path / "binary.xyz"
    binary.write_bytes(b"\xff\xfe\x00\x9c")
    with pytest.raises(InputError, match="is not a text file"):
        molecule(binary)
    huge = tmp_path / "huge.xyz"
    with huge.open("wb") as file:
        file.truncate(11_000_000)
    with pytest.raises(InputError, match="larger than 10 MB"):
        molecule(huge)
    with pytest.raises(InputError, match=r"can't read|no such file"):
        molecule("a\0b.xyz")
    with pytest.raises(InputError, match=r"can't read|no such file"):
        molecule("a" * 5000 + ".xyz")
