"""Objects of PySCF and ASE whose numbers were set by hand, and lists of atoms."""

import io
import re
from decimal import Decimal
from types import MappingProxyType

import ase
import ase.build
import ase.io
import numpy as np
import pytest
from pyscf import gto, scf

from nnqmc.errors import InputError
from nnqmc.system import molecule

PLAIN = MappingProxyType({"basis": "sto-3g", "verbose": 0})


def mole(atom="Li 0 0 0; H 0 0 1.6", **options):
    return gto.M(atom=atom, **PLAIN, **options)


# lists


@pytest.mark.parametrize(
    "atoms",
    [
        [("H", (0, 0, 0)), ("H", (0, 0, 1.4))],
        [["h", [0, 0, 0]], ["H1", np.array([0, 0, 1.4])]],
        [("H", 0, 0, 0), (1, 0, 0, 1.4)],
        ((np.int64(1), (0, 0, 0)), (1.0, (0, 0, 1.4))),
        np.array([[1, 0, 0, 0], [1, 0, 0, 1.4]]),
        ["H 0 0 0", "H 0 0 1.4"],
        ("2", "", "H 0 0 0", "D 0 0 1.4"),
    ],
)
def test_lists_of_atoms_are_molecules(atoms):
    system = molecule(atoms, unit="bohr")
    assert (system.symbols, system.name, system.n_electrons) == (("H", "H"), "H2", 2)
    np.testing.assert_array_equal(system.atoms, [[0, 0, 0], [0, 0, 1.4]])


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        ([("H", (0, 0, 0)), ("H", (0, 0, 1))], "the unit of these 2 atoms is not known"),
        ([("H", (0, 0))], "item 1 of the list of atoms is ('H', (0, 0)); expected a label and three numbers"),
        ([("H", "123")], "item 1 of the list of atoms is ('H', '123')"),
        ([("H", (0, 0, 0)), None], "item 2 of the list of atoms is None"),
        ([(True, (0, 0, 0))], "item 1 of the list of atoms"),
        ([(1.5, (0, 0, 0))], "item 1 of the list of atoms"),
        ([(0, (0, 0, 0))], "marks a ghost or dummy atom"),
        ([("@H", (0, 0, 0))], "marks a ghost or dummy atom"),
        ([("H", (0, 0, float("inf")))], "atom 1 (H) has a coordinate that is not finite"),
        ([ase.Atoms("H")], "item 1 of the list of atoms is Atoms"),
        ([], "0 atoms given; between 1 and 1000"),
        ((1, 2), "item 1 of the list of atoms is 1"),
    ],
)
def test_lists_that_are_no_atoms_are_refused(atoms, message):
    with pytest.raises(InputError, match=re.escape(message)):
        molecule(atoms)


# PySCF


def test_a_mole_of_point_charges_is_refused_by_name():
    with pytest.raises(InputError, match=r"holds point charges and no atoms, as those of fakemol_for_charges do"):
        molecule(gto.fakemol_for_charges(np.zeros((1, 3))))


@pytest.mark.parametrize("kind", [gto.Mole, ase.Atoms])
def test_a_class_is_no_molecule(kind):
    with pytest.raises(InputError, match=f"the class {kind.__name__} was given; pass an object of it"):
        molecule(kind)


def test_electrons_that_were_set_by_hand_are_respected_and_said(caplog):
    by_hand = mole()
    by_hand.nelec = (3, 1)
    assert (molecule(by_hand).charge, molecule(by_hand).spin) == (0, 2)
    assert not caplog.records
    by_hand.nelec = (2, 1)
    assert (molecule(by_hand).charge, molecule(by_hand).spin) == (1, 1)
    assert "has 2 up and 1 down electrons, and so the charge 1 instead of its mol.charge 0" in caplog.text
    other = mole("He")
    other.nelectron, other.spin = 1, 1
    assert (molecule(other).charge, molecule(other).spin) == (1, 1)


def test_a_nuclear_charge_that_was_set_by_hand_is_respected_and_said(caplog):
    by_hand = mole("He")
    by_hand._atm[0, gto.mole.CHARGE_OF], by_hand.spin = 3, 1
    system = molecule(by_hand)
    assert (system.symbols, system.charges.tolist(), system.n_electrons) == (("Li",), [3.0], 3)
    assert "atom 1 (He) of the PySCF Mole has the nuclear charge 3 and is taken as Li" in caplog.text


def fractional(charge):
    found = mole("He")
    found._atm[0, gto.mole.NUC_MOD_OF] = gto.mole.NUC_FRAC_CHARGE
    found._atm[0, gto.mole.PTR_FRAC_CHARGE] = len(found._env)
    found._env = np.append(found._env, charge)
    return found


def test_fractions_are_refused_with_the_reason():
    with pytest.raises(InputError, match=r"fractional nuclear charges \[2\.4\]; only those of elements"):
        molecule(fractional(2.4))
    assert molecule(fractional(2.0)).symbols == ("He",)
    half = mole("He")
    half.charge = 0.5
    with pytest.raises(InputError, match=r"inconsistent: charge 0\.5 .* have to be whole numbers"):
        molecule(half)
    half = mole("He")
    half.nelectron = 1.5
    with pytest.raises(InputError, match="the PySCF Mole is inconsistent"):
        molecule(half)
    high = mole("He")
    high.spin = 4
    with pytest.raises(InputError, match="inconsistent: it has fewer electrons than its spin needs"):
        molecule(high)


def test_nuclei_of_finite_size_are_points_and_that_is_said(caplog):
    assert molecule(mole("He", nucmod="G")).n_electrons == 2
    assert "has nuclei of finite size (nucmod); they are taken as points" in caplog.text


def test_a_mean_field_is_the_molecule_that_it_was_computed_for():
    assert molecule(scf.RHF(mole())).name == "LiH"
    triplet = scf.UHF(mole())
    triplet.nelec = (3, 1)
    assert molecule(triplet).spin == 2
    assert molecule(scf.ROHF(mole("Li", spin=1))).spin == 1
    with pytest.raises(InputError, match="with a PySCF mean field, which carries its own"):
        molecule(triplet, unit="bohr")


# ASE


@pytest.mark.parametrize(("name", "spin"), [("O2", 2), ("CH", 1), ("NO", 1), ("CH3", 1), ("H2O", 0), ("O", 2)])
def test_initial_magnetic_moments_are_the_spin(name, spin, caplog):
    system = molecule(ase.build.molecule(name))
    assert (system.charge, system.spin) == (0, spin)
    assert ("initial magnetic moments that add up to" in caplog.text) == bool(spin)


def water(charges=None, moments=None, **info):
    atoms = ase.build.molecule("H2O")
    atoms.info.update(info)
    if charges is not None:
        atoms.set_initial_charges(charges)
    if moments is not None:
        atoms.set_initial_magnetic_moments(moments)
    return atoms


@pytest.mark.parametrize(
    ("atoms", "charge", "spin"),
    [
        (water(charge=1), 1, 1),
        (water(charge=np.int64(-1)), -1, 1),
        (water(charge=1.0, multiplicity=2.0), 1, 1),
        (water(charge=1, spin=2), 1, 1),
        (water(charge=1, spin=1), 1, 1),
        (water(spin=2), 0, 2),
        (water(charge=np.array([1]), spin=np.array(1)), 1, 1),
        (water(charge=(1,), multiplicity=Decimal(2)), 1, 1),
        (water(data={"charge": 1, "multiplicity": 2}), 1, 1),
        (water(total_charge="2", Multiplicity=np.array(3)[()]), 2, 2),
        (water([1, 0, 0]), 1, 1),
        (water([0.334, 0.333, 0.334]), 1, 1),
        (water([-0.8, 0.4, 0.4]), 0, 0),
        (water(moments=[2, 0, 0]), 0, 2),
        (water(moments=[1, -1, 0]), 0, 0),
        (water([1, 0, 0], [0.6, 0.2, 0.2], charge=1), 1, 1),
        (ase.Atoms("He2", [[0, 0, 0], [0, 0, 3]], magmoms=[[2, 0, 0], [0, 0, 0]]), 0, 2),
    ],
)
def test_what_ase_atoms_say_is_used_and_said(atoms, charge, spin, caplog):
    system = molecule(atoms)
    assert (system.charge, system.spin) == (charge, spin)
    assert len(caplog.records) == 1 and "taken from the " in caplog.text


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (water(spin=1), "the info of the ASE Atoms: 'spin=\"1\"': spin 1 can mean 2S = 0 or 2"),
        (water(charge=0.5), "charge 0.5 is no charge of a molecule"),
        (water([0.3, 0, 0]), "with initial charges that add up to 0.3"),
        (water(moments=[1, 0.5, 0]), "with initial magnetic moments that add up to 1.5"),
        (water(moments=[1, 0, 0]), "unpaired 1 is impossible for 10 electrons"),
        (water([1, 0, 0], charge=0), "charge 0, charge 1 contradict each other"),
        (water(name="water cation"), "speaks of a cation"),
        (water(charge=[0.3, 0.3, 0.4]), "charge 0.3 is no charge of a molecule"),
        (water([np.nan, 0, 0]), "charge nan is no charge of a molecule"),
    ],
)
def test_what_is_unclear_is_refused_with_the_options(atoms, message):
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        molecule(atoms)
    assert "charge= and spin=" in str(caught.value)


def test_what_is_given_wins_over_ase_atoms_and_that_is_said(caplog):
    oxygen = ase.build.molecule("O2")
    assert molecule(oxygen, spin=0).spin == 0
    assert "spin=0 as given, instead of unpaired 2" in caplog.text
    caplog.clear()
    assert (molecule(oxygen, charge=1).charge, molecule(oxygen, charge=1).spin) == (1, 1)
    assert "charge=1 as given, instead of unpaired 2" in caplog.text


def test_comment_lines_that_ase_has_taken_apart_are_put_together():
    def read(comment):
        return ase.io.read(io.StringIO(f"2\n{comment}\nO 0 0 0\nH 0 0 1\n"), format="extxyz")

    assert (molecule(read("-1 1")).charge, molecule(read("-1 1")).spin) == (-1, 0)
    assert molecule(read("charge=-1")).charge == -1
    with pytest.raises(InputError, match="may come from a comment line '1 1'"):
        molecule(read("1 1"))
    assert molecule(read("1 1"), charge=1, spin=2).spin == 2
