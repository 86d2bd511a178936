"""Comment lines: charge and spin in all their spellings, periodic marks, columns; what is unclear is refused."""

import re

import pytest

from nnqmc.errors import InputError
from nnqmc.system import from_dict, molecule

WATER = "O 0.0 0.0 0.1173\nH 0.0 0.7572 -0.4692\nH 0.0 -0.7572 -0.4692\n"


def read(comment, **options):
    return molecule(f"3\n{comment}\n{WATER}", unit="angstrom", **options)


@pytest.mark.parametrize(
    ("comment", "charge", "spin", "said"),
    [
        ("1 2", 1, 1, "charge 1 and 2S = 1 taken from the text given, line 2: '1 2'"),
        ("0 1", 0, 0, "charge 0 and 2S = 0"),
        ("-1,2", -1, 1, "charge -1 and 2S = 1"),
        (" +2 \t 3 ", 2, 2, "charge 2 and 2S = 2"),
        ("charge=1", 1, 1, "charge 1 taken from"),
        ("Charge: +1", 1, 1, "charge 1 taken from"),
        ("total_charge=-1", -1, 1, "charge -1 taken from"),
        ("tot_charge=1", 1, 1, "charge 1 taken from"),
        ("q = 1", 1, 1, "charge 1 taken from"),
        ("chrg: -1 total_spin=1.5", -1, 3, "charge -1 and 2S = 3"),
        ("the total charge = -1.0 here", -1, 1, "charge -1 taken from"),
        ("charge 1 mult 2", 1, 1, "charge 1 and 2S = 1"),
        ("net charge=2+", 2, 0, "charge 2 taken from"),
        ('energy=-1.0 charge="1" multiplicity="4"', 1, 3, "charge 1 and 2S = 3"),
        ('{"charge": 1, "multiplicity": 2}', 1, 1, "charge 1 and 2S = 1"),
        ("multiplicity=3", 0, 2, "2S = 2 taken from"),
        ("spin_multiplicity=3", 0, 2, "2S = 2 taken from"),
        ("2S+1 = 3", 0, 2, "2S = 2 taken from"),
        ("uhf=2", 0, 2, "2S = 2 taken from"),
        ("spin=2", 0, 2, "2S = 2 taken from"),
        ("charge=1 spin=1", 1, 1, "charge 1 and 2S = 1"),
        ("charge=1 spin=2", 1, 1, "charge 1 and 2S = 1"),
        ("charge=1 spin=1/2", 1, 1, "charge 1 and 2S = 1"),
        ("charge=1 spin=1.5", 1, 3, "charge 1 and 2S = 3"),
        ("water cation charge=1", 1, 1, "charge 1 taken from"),
        ('Properties="species:S:1:pos:R:3" charge=1 pbc="F F F"', 1, 1, "charge 1 taken from"),
        ("charge/mult: 1 2", 1, 1, "charge 1 and 2S = 1"),
        ("charge, multiplicity = 1, 4", 1, 3, "charge 1 and 2S = 3"),
        ("Charge and Multiplicity 0 3", 0, 2, "charge 0 and 2S = 2"),
        ("multiplicity/charge: 2 1", 1, 1, "charge 1 and 2S = 1"),
        ("Spin Multiplicity 3 1 conformer", 0, 2, "2S = 2 taken from"),
        ("* xyz 1 2", 1, 1, "charge 1 and 2S = 1"),
        ("[1, 2]", 1, 1, "charge 1 and 2S = 1"),
        ("charge 1.0 multiplicity 2.0", 1, 1, "charge 1 and 2S = 1"),
        ("water with charge -1. Optimised", -1, 1, "charge -1 taken from"),
        ("a total charge of +1", 1, 1, "charge 1 taken from"),
        ("multiplicity is 3", 0, 2, "2S = 2 taken from"),
        ("xtb --chrg 1 --uhf 1", 1, 1, "charge 1 and 2S = 1"),
        ("mol.charge=1 charge_state=1", 1, 1, "charge 1 taken from"),
        ("charge(1) mult(2)", 1, 1, "charge 1 and 2S = 1"),
        ("[O-][N+](=O)C, a SMILES", 0, 0, ""),
        ("multiplicity=triplet", 0, 2, "2S = 2 taken from"),
        ("2 unpaired electrons", 0, 2, "2S = 2 taken from"),
        ("magmom=1.9996", 0, 2, "2S = 2 taken from"),
        ("H2O+ charge=1", 1, 1, "charge 1 taken from"),
        ("PBE+U, C-H bond, an ion pair", 0, 0, ""),
        ("water, a neutral singlet", 0, 0, ""),
        ("Properties=species:S:1:pos:R:3:charge:R:1", 0, 0, ""),
        ("charge_a=1 charge_b=-1 discharge=3 charge=none", 0, 0, ""),
        ("Mulliken charge 0.3, cation-pi", 0, 0, ""),
        ("17", 0, 0, ""),
        ("frame 3 of 10", 0, 0, ""),
        ("", 0, 0, ""),
    ],
)
def test_what_is_unambiguous_is_used_and_said(comment, charge, spin, said, caplog):
    system = read(comment)
    assert (system.charge, system.spin) == (charge, spin)
    assert len(caplog.records) == bool(said) and said in caplog.text


@pytest.mark.parametrize(
    ("comment", "message"),
    [
        ("1 1", "'1 1': multiplicity 1 is impossible for 9 electrons"),
        ("5 10", "'5 10': multiplicity 10 is impossible for 5 electrons"),
        ("charge=0.5", "'charge=0.5': charge 0.5 is no charge of a molecule"),
        ("charge=x", "'charge=x': charge x is no charge of a molecule"),
        ("charge=1 total_charge=0", "charge 1, total_charge 0 contradict each other"),
        ("multiplicity=1 spin=2", "multiplicity 1, spin 2 contradict each other"),
        ("spin=1", "'spin=1': spin 1 can mean 2S = 0 or 2"),
        ("total_spin=1", "'total_spin=1': total_spin 1 can mean 2S = 0 or 2"),
        ("q=0.4", "'q=0.4': q 0.4 is no charge of a molecule"),
        ("spin=up", "'spin=up': spin up is impossible for 10 electrons"),
        ("charge=1 spin=0", "spin 0 is impossible for 9 electrons"),
        ("-1", "'-1' could be a charge; write charge=-1 there"),
        ("1 2 water", "could begin with charge and multiplicity; write charge=1 multiplicity=2 there"),
        ("total charge -1e", "charge -1e is no charge of a molecule"),
        ("spin_state=3", "spin_state 3 can mean 2S = 2 or 6"),
        ("H2O--", "speaks of H2O-, but no number says so"),
        ("[H2O]+", "speaks of H2O+, but no number says so"),
        ("OH- (H2O)", "speaks of OH-, but no number says so"),
        ("an ion", "speaks of an ion, but no number says so"),
        ("water_cation_7", "speaks of a cation"),
        ("water cation", "speaks of a cation, but no number says so, and charge 0 and 2S = 0 would be used"),
        ("an anion", "speaks of an anion, but no number says so"),
        ("triplet state", "speaks of a triplet"),
        ("radical", "speaks of a radical"),
    ],
)
def test_what_is_unclear_is_refused_with_the_line_and_the_options(comment, message):
    with pytest.raises(InputError, match=re.escape(f"the text given, line 2: {comment!r}")) as caught:
        read(comment)
    assert message in str(caught.value)
    assert "charge= and spin=" in str(caught.value) and "--charge and --spin" in str(caught.value)


@pytest.mark.parametrize(
    ("comment", "options", "charge", "spin", "said"),
    [
        ("1 2", {"charge": 0}, 0, 0, "charge=0 as given, instead of charge 1, multiplicity 2 in the text given"),
        ("1 2", {"charge": 1, "spin": 3}, 1, 3, "charge=1 and spin=3 as given, instead of multiplicity 2 in"),
        ("spin=1", {"spin": 2}, 0, 2, "spin=2 as given, instead of spin 1 in"),
        ("charge=0.5", {"charge": 1}, 1, 1, "charge=1 as given, instead of charge 0.5 in"),
        ("cation", {"charge": 0}, 0, 0, "are used, though the text given, line 2: 'cation' speaks of a cation"),
        ("triplet", {"spin": 0}, 0, 0, "speaks of a triplet"),
        ("-1", {"charge": 1, "spin": 1}, 1, 1, "charge=1 and spin=1 as given, whatever the text given, line 2: '-1'"),
        ("1 2 frame", {"charge": 0, "spin": 0}, 0, 0, "as given, whatever"),
        ("1 2", {"charge": 1, "spin": 1}, 1, 1, ""),
        ("multiplicity=2", {"charge": 1, "spin": 1}, 1, 1, ""),
    ],
)
def test_what_is_given_wins_and_that_is_said(comment, options, charge, spin, said, caplog):
    system = read(comment, **options)
    assert (system.charge, system.spin) == (charge, spin)
    assert len(caplog.records) == bool(said) and said in caplog.text


def test_the_rest_of_a_comment_counts_beside_what_is_given(caplog):
    system = read("1 2", spin=3)
    assert (system.charge, system.spin) == (1, 3)
    assert "charge 1 taken from" in caplog.text and "spin=3 as given, instead of multiplicity 2" in caplog.text
    caplog.clear()
    assert read("multiplicity=4", charge=1).spin == 3
    assert "2S = 3 taken from" in caplog.text


def test_charge_and_multiplicity_stand_before_loose_text_too(caplog):
    system = molecule(f"1 2\n{WATER}", unit="angstrom")
    assert (system.charge, system.spin) == (1, 1)
    assert "taken from the text given, line 1: '1 2'" in caplog.text


def test_files_and_their_sections_of_a_configuration_are_read_alike(tmp_path, caplog):
    path = tmp_path / "wet.xyz"
    path.write_text(f"3\n1 2\n{WATER}")
    assert (molecule(path).charge, molecule(str(path)).spin) == (1, 1)
    assert "taken from wet.xyz, line 2: '1 2'" in caplog.text
    assert from_dict({"source": str(path)}).charge == 1
    assert from_dict({"source": str(path), "charge": 0}).charge == 0
    assert from_dict({"source": str(path)}, charge=0).spin == 0


@pytest.mark.parametrize(
    "comment",
    ['pbc="T T T"', 'pbc="F F T"', "pbc=T", "pbc = [True, False, False]", "pbc='1 0 0'", "pbc=TTT", "pbc=xyz",
     '"pbc": [true]', "pbc=?", "pbc=",
     'Lattice="5 0 0 0 5 0 0 0 5"', 'Lattice = "5 0 0 0 5 0 0 0 5"', "lattice: 5 5 5", "cell=[5, 5, 5]",
     "pbc T T T", "PBC 1 1 1", "periodic=True", "periodic boundary conditions", 'Lattice "5 0 0 0 5 0 0 0 5"',
     "CELL 5 5 5 90 90 90", "cell(A): 5 5 5", "lattice_vectors=[5, 5, 5]", "box=5 5 5",
     'Lattice="5 0 0 0 5 0 0 0 5" pbc="F F T"', 'Lattice="5 0 0 0 5 0 0 0 5" pbc="F"'],
)
def test_periodic_marks_are_refused(comment):
    with pytest.raises(InputError, match=r"line 2: the comment holds (a Lattice|periodic).*only molecules without"):
        read(comment)


@pytest.mark.parametrize("comment", ['pbc="F F F"', "pbc=[False, False, False]", "pbc=0,0,0", "pbc=F energy=-1.5",
                                     'Lattice="5 0 0 0 5 0 0 0 5" pbc="F F F"', "excellent: a lattice of words",
                                     "pbc=no", "no periodic boundaries, from the periodic table, cell 12"])
def test_open_boundaries_are_let_through(comment):
    assert read(comment).charge == 0


@pytest.mark.parametrize("columns", ['"species:S:1:pos:R:3"', "species:S:1:pos:R:3:f:R:3", "'species:S:1:pos:R:3'"])
def test_the_usual_columns_may_be_quoted(columns):
    assert read(f"Properties={columns}").symbols == ("O", "H", "H")
    with pytest.raises(InputError, match="unsupported column order"):
        read("Properties = " + columns.replace("species:S:1:pos:R:3", "pos:R:3:species:S:1"))


def test_columns_of_charges_and_moments_count_as_those_of_ase_do(caplog):
    head = "2\nProperties=species:S:1:pos:R:3:{}\n"
    oxygen = molecule(head.format("initial_magmoms:R:1") + "O 0 0 0 1.0\nO 0 0 1.2 1.0", unit="angstrom")
    assert (oxygen.charge, oxygen.spin) == (0, 2)
    assert "with columns initial_magmoms that add up to 2" in caplog.text
    hydroxide = head.format("forces:R:3:initial_charges:R:1") + "O 0 0 0 1 1 1 -1.2\nH 0 0 1 1 1 1 0.2"
    assert molecule(hydroxide, unit="angstrom").charge == -1
    with pytest.raises(InputError, match="contradict each other"):
        molecule(hydroxide.replace("R:1\n", "R:1 charge=0\n"), unit="angstrom")
    with pytest.raises(InputError, match="names a column initial_charges, which doesn't hold numbers for all atoms"):
        molecule(head.format("initial_charges:R:1") + "O 0 0 0\nH 0 0 1 1", unit="angstrom")
