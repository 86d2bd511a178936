"""The xyz format, its loose relatives, and what is refused with the line's number and text."""

import io
import logging
import re

import numpy as np
import pytest

from nnqmc.errors import InputError
from nnqmc.system import from_dict, molecule
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
        molecule(path, unit="angstrom")
        assert not caplog.records
        np.testing.assert_array_equal(molecule(path, unit="bohr").atoms[1], [0.0, 0.7572, -0.4692])
    assert "read as" not in caplog.text and "(0.5068 angstrom) apart, closer than any bond" in caplog.text


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
        ("2\nH 0 0 0\nH 0 0 1\n", "1 line of atoms follows the comment line; put a comment, or an empty line, after"),
        ("3\n\nH 0 0 0\n3\n\nH 0 0 0", "line 1: the count says 3 atoms, but 1 line of atoms follows"),
        ("1\n\nH 0 0 0\nH 0 0 1", "line 1: the count says 1 atom, but line 4, 'H 0 0 1', is one more; correct"),
        ("0\nnothing\n", "no atoms found"),
        (";;", "no atoms found"),
        ('1\nLattice="5 0 0 0 5 0 0 0 5"\nHe 0 0 0', "line 2: the comment holds a Lattice"),
        ("1\nProperties=pos:R:3:species:S:1\nHe 0 0 0", "line 2: unsupported column order"),
    ],
)
def test_unreadable_text_is_refused_with_its_line(text, message):
    with pytest.raises(InputError, match=re.escape(message)):
        molecule(text, unit="bohr")


@pytest.mark.parametrize(
    ("row", "position", "said"),
    [
        ("H 0,740 0,000 0,000", (0.74, 0, 0), "read '0,740' as 0.740"),
        ("H -1,5e0 2 ,5", (-1.5, 2, 0.5), "read '-1,5e0' as -1.5e0"),
        ("H 0,0,0.74", (0, 0, 0.74), ""),
        ("H, 1, 2, 3", (1, 2, 3), ""),
        ("H 1 2 3*^-1", (1, 2, 0.3), ""),
        ("H 1 2 -3.5*^0", (1, 2, -3.5), ""),
        ("H \u22121 \u20132 3", (-1, -2, 3), ""),
    ],
)
def test_numbers_of_other_countries_and_programs(row, position, said, caplog):
    np.testing.assert_allclose(molecule(row, unit="bohr").atoms, [position])
    np.testing.assert_allclose(molecule(f"1\n\n{row}", unit="bohr").atoms, [position])
    assert [record.getMessage() for record in caplog.records] == [f"the text given: {said}"] * 2 * bool(said)


@pytest.mark.parametrize("row", ["H 1,234.5 0 0", "H 0,5 0", "H 0,0 0,74", "H 0,5,5 1 2", "H, 1,5, 2,5, 3,5",
                                 "H 1,5,2,5,3,5"])
def test_a_comma_of_unclear_meaning_is_refused_by_that_word(row):
    for text in (row, f"1\n\n{row}"):
        with pytest.raises(InputError, match=re.escape(repr(row)) + " has a comma .*write decimal points"):
            molecule(text, unit="bohr")


FRAMES = "2\nfirst\nH 0 0 0\nH 0 0 1\n\n2\ncharge=1\nH 0 0 0\nH 0 0 2\n1\n\nHe 0 0 0\n"


def test_one_of_several_frames_is_chosen(tmp_path):
    path = tmp_path / "walk.xyz"
    path.write_text(FRAMES)
    assert molecule(path, frame=1).charge == 0
    assert molecule(str(path), frame=np.int64(2)).charge == 1
    assert molecule(FRAMES, unit="bohr", frame=2).atoms[1, 2] == 2.0
    assert molecule(FRAMES, frame=3).symbols == ("He",)
    assert molecule("He 0 0 0", frame=1).symbols == ("He",)


def test_a_section_of_a_configuration_chooses_a_frame_too(tmp_path):
    path = tmp_path / "walk.xyz"
    path.write_text(FRAMES)
    assert from_dict({"source": str(path), "frame": 3}).symbols == ("He",)
    with pytest.raises(InputError, match=r"system\.frame='3' is not a whole number"):
        from_dict({"source": str(path), "frame": "3"})


@pytest.mark.parametrize(
    ("source", "frame", "message"),
    [
        (FRAMES, None, "holds 3 frames; pass frame=N to nnqmc.molecule, or --frame N to `nnqmc run`"),
        (FRAMES, 4, "frame=4 was given, but the text given holds 3 frames; pass a number from 1 to 3."),
        (FRAMES, 0, "frame=0 was given"),
        (FRAMES, 1.0, "frame=1.0 is not a whole number"),
        (WATER, 2, "holds 1 frame; pass a number from 1 to 1"),
        ("LiH", 1, "frame=1 was given with the name 'LiH', which has one geometry; leave frame out"),
        ([("H", (0, 0, 0))], 1, "frame=1 was given with list; leave it out"),
    ],
)
def test_frames_that_are_not_there_are_refused(source, frame, message):
    with pytest.raises(InputError, match=re.escape(message)):
        molecule(source, unit=None if source == "LiH" else "bohr", frame=frame)


QM9 = (
    "3\ngdb 3\t799.58816\t437.90386\t282.94545\t1.8511\t6.31\t-0.2928\t0.0687\t0.3615\t19.0002\t0.021375\t-76.404702\t"
    "-76.401867\t-76.400922\t-76.422349\t6.002\t\nO\t-0.0343604951\t 0.9775395708\t 0.0076015923\t-0.589706\n"
    "H\t 0.0647664923\t 2.0546*^-2\t 0.0015346341\t 0.294853\nH\t 0.8717903737\t 1.3007924048\t 0.0006931336\t 0.294853"
    "\n1671.4222\t3803.6305\t3907.698\nO\tO\t\nInChI=1S/H2O/h1H2\tInChI=1S/H2O/h1H2\n"
)
"""Water in the format of R. Ramakrishnan et al., Sci. Data 1, 140022 (2014), doi:10.1038/sdata.2014.22."""


def test_a_file_of_qm9_is_read_and_what_is_left_out_is_said(caplog):
    system = molecule(QM9, unit="angstrom")
    assert (system.symbols, system.charge, system.spin) == (("O", "H", "H"), 0, 0)
    np.testing.assert_allclose(system.atoms[1] * BOHR_IN_ANGSTROM, [0.0647664923, 0.020546, 0.0015346341])
    assert "3 lines after the atoms not read, the first of them is '1671.4222" in caplog.text


@pytest.mark.parametrize(
    "content",
    [
        "2\nAngstr\u00f6m \u2026\u00e9\nHe 0 0 0\nH 0 0 1.4632".encode("utf-8-sig"),
        "2\nAngstr\u00f6m \u2026\nHe 0 0 0\nH 0 0 1.4632".encode("utf-16"),
        "2\nAngstr\u00f6m \u2026\nHe 0 0 0\nH 0 0 1.4632".encode("utf-16-le"),
        "2\nAngstr\u00f6m \u2026\nHe 0 0 0\nH 0 0 1.4632".encode("utf-16-be"),
        "2\nAngstr\u00f6m\nHe 0 0 0\nH 0 0 1.4632".encode("latin-1"),
        "2\nwide\u2026\nHe 0 0 0\nH 0 0 1.4632".encode("cp1252"),
        b"2\r\n\r\nHe 0 0 0\r\nH 0 0 1.4632\r\n",
        b"2\r\rHe 0 0 0\rH 0 0 1.4632\r",
    ],
    ids=["utf-8", "utf-16", "without a mark", "big-endian", "latin-1", "cp1252", "DOS", "old Mac"],
)
def test_files_in_every_encoding_and_open_files_are_read(content, tmp_path):
    path = tmp_path / "pair.xyz"
    path.write_bytes(content)
    with path.open("rb") as binary:
        sources = [path, binary, io.BytesIO(content), io.TextIOWrapper(io.BytesIO(content))]
        for source in sources:
            system = molecule(source, unit="bohr", charge=1)
            assert system.symbols == ("He", "H") and system.atoms[1, 2] == 1.4632


def test_streams_that_cant_be_read_are_refused(tmp_path):
    assert molecule(io.StringIO("He 0 0 0\nH 0 0 0.7743"), charge=1).atoms[1, 2] == pytest.approx(1.4632, abs=1e-4)
    with pytest.raises(InputError, match=r"is not a text file.*holds the character '\\x00'"):
        molecule(io.BytesIO(b"H\0\0"))
    with pytest.raises(InputError, match="the text is larger than 10 MB"):
        molecule(io.StringIO("H" * 10_000_001))
    with (tmp_path / "new").open("w") as file, pytest.raises(InputError, match=r"can't read from .*new: "):
        molecule(file)
    closed = io.StringIO()
    closed.close()
    with pytest.raises(InputError, match="can't read from StringIO"):
        molecule(closed)


@pytest.mark.parametrize(
    ("header", "options", "length", "said"),
    [
        ("2 au", {}, 1.4632, "coordinates read as bohr, which stands beside the number of atoms"),
        ("2 (Bohr)", {}, 1.4632, "coordinates read as bohr"),
        ("2 Angstrom", {}, 1.4632 / BOHR_IN_ANGSTROM, "coordinates read as angstrom, which stands"),
        ("2 au", {"unit": "bohr"}, 1.4632, ""),
        ("2 au", {"unit": "angstrom"}, 1.4632 / BOHR_IN_ANGSTROM, "read as angstrom as given, instead of the bohr"),
    ],
)
def test_a_unit_beside_the_number_of_atoms_counts_unless_another_is_given(
    header, options, length, said, tmp_path, caplog
):
    path = tmp_path / "pair.xyz"
    path.write_text(f"{header}\n\nHe 0 0 0\nH 0 0 1.4632\n")
    assert molecule(path, charge=1, **options).atoms[1, 2] == pytest.approx(length, rel=1e-12)
    assert len(caplog.records) == bool(said) and said in caplog.text


def test_a_comment_that_speaks_of_bohr_asks_for_the_unit(tmp_path):
    path = tmp_path / "pair.xyz"
    path.write_text("2\ncoordinates in Bohr\nHe 0 0 0\nH 0 0 1.4632\n")
    with pytest.raises(InputError, match=r"line 2: 'coordinates in Bohr' speaks of bohr; pass unit='bohr' or unit="):
        molecule(path, charge=1)
    for comment, said in (("units: au", "au; pass"), ("Coordinates (a.u.)", "a.u.; pass"), ("atomic units", "atomic"),
                          ("length_unit=nm", "nm; convert the coordinates, and pass")):
        with pytest.raises(InputError, match=f"speaks of {said}"):
            molecule(io.StringIO(f"1\n{comment}\nHe 0 0 0\n"))
    for comment in ("E = -2.9 a.u., forces in hartree/bohr", "Au cluster", "units: angstrom, energy -2.9 au"):
        assert molecule(io.StringIO(f"1\n{comment}\nHe 0 0 0\n")).symbols == ("He",)
    assert molecule(path, charge=1, unit="bohr").atoms[1, 2] == 1.4632


@pytest.mark.parametrize(
    ("rows", "what"),
    [("Li 3.0 0 0 0\nH 1.0 0 0 1.6", "is its nuclear charge"), ("H 1 0 0 0\nH 2 0 0 0.74", "counts the atoms")],
)
def test_a_column_before_the_coordinates_is_refused(rows, what):
    with pytest.raises(InputError, match=f"the first number of each atom {what}, and three more follow"):
        molecule(f"2\n\n{rows}", unit="angstrom")
    columns = molecule(f"2\nProperties=species:S:1:pos:R:3:q:R:1\n{rows}", unit="angstrom")
    assert columns.atoms[1, 1] == 0.0
    forces = molecule("2\n\nH 0 0 0 0 0 0.1\nH 1 0 0 0 0 -0.1", unit="bohr")
    np.testing.assert_array_equal(forces.atoms[1], [1, 0, 0])


def test_words_beside_the_number_of_atoms_are_refused_by_that_name():
    for header in ("1 water", "1 ! atom", "1 nm"):
        with pytest.raises(InputError, match=f"line 1: '{header}' begins with a number of atoms, beside which only"):
            molecule(f"{header}\n\nHe 0 0 0")


def test_a_bad_file_is_named_in_the_message(tmp_path):
    path = tmp_path / "bad.xyz"
    path.write_text("2\n\nH 0 0 0\nH 0 0 O.74\n")
    with pytest.raises(InputError, match=r"bad\.xyz, line 4: 'H 0 0 O\.74' can't be read"):
        molecule(path)


def test_a_file_of_another_format_is_refused_with_the_way_by_ase(tmp_path):
    path = tmp_path / "water.pdb"
    path.write_text("HETATM    1  O   HOH     1       0.000   0.000   0.119\nEND\n")
    with pytest.raises(InputError, match=r"water\.pdb, line 1.*for \.pdb pass the Atoms that ase\.io\.read makes"):
        molecule(path)


def test_a_long_line_takes_no_longer_than_a_short_one():
    for filler in (" " * 200_000, "charge" + " " * 200_000, "pbc" + " " * 200_000 + "!", '"' * 200_000):
        assert molecule(f"1\n{filler}\nHe 0 0 0").symbols == ("He",)
    with pytest.raises(InputError, match="neither an atom of a Z-matrix"):
        molecule("O\nH 1 R\nR" + " " * 200_000 + "==", unit="bohr")


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
    binary.write_bytes(b"\x00\x9c\xff\xfe")
    with pytest.raises(InputError, match="is not a text file"):
        molecule(binary)
    binary.write_bytes(b"\xff\xfe\x00")
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
