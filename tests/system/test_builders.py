"""`molecule`: charge and spin, sources, units, and every refusal."""

import dataclasses
import logging
import re

import ase
import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyscf import gto
from pyscf.pbc import gto as periodic

from nnqmc.errors import InputError
from nnqmc.system import describe, molecule, reference

HEH = "He 0 0 0; H 0 0 1.4632"


def test_arrays_are_float64_on_the_host_and_fresh_each_time():
    first, second = molecule("LiH"), molecule("LiH")
    for array in (first.atoms, first.charges):
        assert type(array) is np.ndarray and array.dtype == np.float64
    first.atoms[:] = 7.0
    np.testing.assert_array_equal(second.atoms, molecule("LiH").atoms)


def test_a_system_is_a_pytree_of_its_arrays():
    leaves, tree = jax.tree.flatten(molecule("water"))
    assert [leaf.shape for leaf in leaves] == [(3, 3), (3,)]
    assert jax.tree.unflatten(tree, leaves).name == "H2O"


def test_the_inline_cation_of_the_readme():
    system = molecule(HEH, unit="bohr", charge=1)
    assert (system.name, system.charge, system.n_up, system.n_down) == ("HeH+", 1, 1, 1)
    np.testing.assert_array_equal(system.charges, [2.0, 1.0])


def test_units_differ_by_the_bohr_radius():
    bohr, angstrom = molecule("H 0 0 0; H 0 0 2", unit="au"), molecule("H 0 0 0; H 0 0 2", unit="Angstrom")
    assert angstrom.atoms[1, 2] / bohr.atoms[1, 2] == pytest.approx(1 / 0.529177210544)
    for unit in ("ang", "A", "å"):
        np.testing.assert_array_equal(molecule("H 0 0 0; H 0 0 2", unit=unit).atoms, angstrom.atoms)
    np.testing.assert_array_equal(molecule("H 0 0 0; H 0 0 2", unit="a.u.").atoms, bohr.atoms)


def test_one_atom_needs_no_unit():
    assert molecule("He 0 0 0").name == "He"


@pytest.mark.parametrize(
    ("source", "options", "spin"),
    [
        ("O2", {}, 2),
        ("O2", {"charge": 0}, 2),
        ("O2", {"charge": 1}, 1),
        ("O2", {"charge": 2}, 0),
        ("O2", {"charge": 1, "spin": 3}, 3),
        ("CH2", {"spin": 0}, 0),
        ("N", {}, 3),
        ("N", {"charge": 1}, 2),
        ("N", {"charge": 7 - 1}, 1),
        ("Li+", {"charge": 0}, 1),
        ("N 0 0 0", {}, 3),
        ("O 0 0 0", {"charge": -1}, 1),
        ("O 0 0 0; O 0 0 2.283", {"unit": "bohr"}, 0),
        ("O 0 0 0; H 0 0 1.8", {"unit": "bohr"}, 1),
        ("H", {"charge": -1}, 0),
        ("He", {"spin": 2}, 2),
        ("Au", {"spin": 1}, 1),
    ],
)
def test_spin_is_the_entrys_or_hunds_or_the_lowest(source, options, spin):
    system = molecule(source, **options)
    assert system.spin == spin
    assert system.n_up + system.n_down == system.charges.sum() - system.charge


def test_names_follow_what_was_built():
    assert molecule("LiH", spin=2).name == "LiH"
    assert molecule("LiH", charge=1).name == "LiH+"
    assert molecule("H-", charge=0).name == "H"
    assert molecule("water", name="my water").name == "my water"


def test_numpy_integers_are_whole_numbers():
    assert molecule("LiH", charge=np.int64(1), spin=np.int32(1)).n_electrons == 3


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("LiH", {"spin": 1}, "spin=1 is impossible for 4 electrons: n_up and n_down would not be whole."),
        ("LiH", {"spin": 1}, "4 electrons allow 0, 2, 4: pass one of these"),
        ("LiH", {"spin": 6}, "spin=6 is more than the 4 electrons."),
        ("LiH", {"spin": -2}, "spin=-2 is negative. spin is 2S = n_up - n_down"),
        ("H", {"spin": 0}, "1 electron allow"),
        ("H2O", {"spin": 1}, "allow 0, 2, ..., 10"),
        ("LiH", {"charge": 4}, "charge=4 leaves LiH (nuclear charge 4) without electrons"),
        ("LiH", {"charge": 9}, "pass a charge of at most 3."),
        ("H", {"charge": -2}, "charge=-2 puts 3 electrons on H (nuclear charge 1), where none would stay bound"),
        ("LiH", {"charge": 1.5}, "charge=1.5 is not a whole number; pass an int such as charge=1."),
        ("LiH", {"charge": 1.0}, "charge=1.0 is not a whole number"),
        ("LiH", {"spin": 0.5}, "spin=0.5 is not a whole number"),
        ("LiH", {"charge": True}, "charge=True is not a whole number"),
        ("LiH", {"spin": 10**5000}, "spin is beyond any molecule"),
        ("LiH", {"unit": "bohr"}, "unit='bohr' was given with the name 'LiH', which carries its own; leave unit out."),
        ("LiHH", {"unit": "bohr"}, "unknown name 'LiHH'"),
        ("Fe", {"unit": "angstrom"}, "was given with the name 'Fe'"),
        (HEH, {}, "the unit of these 2 atoms is not known: pass unit='bohr' or unit='angstrom'"),
        (HEH, {"unit": "nm"}, "unknown unit 'nm': pass unit='bohr' (or 'au') or unit='angstrom' (or 'ang', 'a')."),
        ("LiH", {"name": "  "}, "name='  ' is not a name"),
        ("H 0 0 0; He 1 0 0; H 0 0 0.05", {"unit": "bohr"}, "atoms 1 (H) and 3 (H) are 0.0500 bohr apart"),
        (
            "H 0 0 0; H 0 0 2e4",
            {"unit": "bohr"},
            "atom 2 (H) is at [    0.     0. 20000.] bohr; coordinates up to 10000",
        ),
        ("\n".join(f"H 0 0 {i}" for i in range(1001)), {"unit": "bohr"}, "1001 atoms given; between 1 and 1000"),
        ("Au", {}, "the ground-state spin of Au is not tabulated"),
        ("Fe", {"charge": 2}, "the ground-state spin of Fe^2+ is not tabulated"),
        (None, {}, "can't make a molecule of NoneType: allowed are a name, xyz text"),
        (3, {}, "can't make a molecule of int"),
        (b"LiH", {}, "can't make a molecule of bytes"),
    ],
)
def test_refusals_say_what_was_given_and_what_is_allowed(source, options, message):
    with pytest.raises(InputError, match=re.escape(message)):
        molecule(source, **options)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["H", "Li", "LiH", "O2"]), st.integers(), st.integers(-5, 20))
def test_any_charge_and_spin_build_a_consistent_system_or_are_refused(source, charge, spin):
    try:
        system = molecule(source, charge=charge % 9 - 4 if charge % 2 else charge, spin=spin)
    except InputError:
        return
    assert system.n_up - system.n_down == spin and system.n_down >= 0
    assert system.n_electrons + system.charge == system.charges.sum()


# PySCF


def test_a_pyscf_mole_keeps_its_geometry_charge_and_spin():
    mole = gto.M(atom="O 0 0 0; H@1 0 0 0.97", charge=-1, spin=2, basis="sto-3g", verbose=0)
    system = molecule(mole)
    assert (system.symbols, system.charge, system.name) == (("O", "H"), -1, "OH-")
    assert (system.n_up, system.n_down) == mole.nelec
    np.testing.assert_allclose(system.atoms, mole.atom_coords(unit="Bohr"))
    assert molecule(mole, charge=0).spin == 1
    assert molecule(mole, spin=0).spin == 0


def test_a_pyscf_mole_in_bohr_finds_its_reference():
    mole = gto.M(atom="Li 1 0 0; H 1 0 3.015", unit="Bohr", basis="sto-3g", verbose=0)
    assert reference(molecule(mole)).name == "LiH"


def test_pyscf_moles_that_are_no_all_electron_molecules_are_refused():
    plain = {"basis": "sto-3g", "verbose": 0}
    with pytest.raises(InputError, match="effective core potential; only all-electron"):
        molecule(gto.M(atom="Na 0 0 0", spin=1, ecp="lanl2dz", basis="lanl2dz", verbose=0))
    with pytest.raises(InputError, match=r"ghost atoms \(GHOST-H\); only real nuclei"):
        molecule(gto.M(atom="He 0 0 0; ghost-H 0 0 1", **plain))
    with pytest.raises(InputError, match=r"holds no atoms; give it some and call mol.build\(\)"):
        molecule(gto.Mole())
    with pytest.raises(InputError, match="periodic PySCF Cell"):
        molecule(periodic.M(atom="He 0 0 0", a=np.eye(3) * 4, **plain))
    with pytest.raises(InputError, match="with a PySCF Mole, which carries its own"):
        molecule(gto.M(atom="He 0 0 0", **plain), unit="bohr")
    broken = gto.M(atom="He 0 0 0", **plain)
    broken.spin = 1
    with pytest.raises(InputError, match="the PySCF Mole is inconsistent"):
        molecule(broken)


# ASE


def test_ase_atoms_are_angstrom_without_a_word(caplog):
    atoms = ase.Atoms("LiH", positions=[(0, 0, 0), (0, 0, 3.015 * 0.529177210544)])
    with caplog.at_level(logging.INFO, logger="nnqmc"):
        system = molecule(atoms)
        assert molecule(atoms, unit="angstrom").name == "LiH"
    assert not caplog.records
    assert reference(system).name == "LiH"


def test_ase_atoms_that_are_no_molecule_are_refused():
    with pytest.raises(InputError, match="periodic; only molecules are allowed"):
        molecule(ase.Atoms("He", cell=[3, 3, 3], pbc=True))
    with pytest.raises(InputError, match="only real nuclei, 1 to 118"):
        molecule(ase.Atoms("HX", positions=[(0, 0, 0), (0, 0, 1)]))
    with pytest.raises(InputError, match="in angstrom by definition"):
        molecule(ase.Atoms("He"), unit="bohr")
    with pytest.raises(InputError, match="0 atoms given"):
        molecule(ase.Atoms())
    with pytest.raises(InputError, match="atom 1 \\(H\\) has a coordinate that is not finite"):
        molecule(ase.Atoms("H", positions=[(0, 0, np.nan)]))


# System


def test_a_system_passes_through_and_takes_overrides():
    triplet = molecule("CH2")
    again = molecule(triplet)
    assert (again.name, again.spin) == ("CH2", 2)
    np.testing.assert_array_equal(again.atoms, triplet.atoms)
    assert molecule(triplet, spin=0).spin == 0
    assert (molecule(triplet, charge=1).name, molecule(triplet, charge=1).spin) == ("CH2+", 1)
    with pytest.raises(InputError, match="with a System, which carries its own"):
        molecule(triplet, unit="bohr")


def test_a_system_whose_charges_are_not_its_symbols_is_refused():
    wrong = dataclasses.replace(molecule("LiH"), charges=np.array([3.0, 2.0]))
    with pytest.raises(InputError, match=r"charges \[3.0, 2.0\] don't belong to the elements \['Li', 'H'\]"):
        molecule(wrong)


# describe


def test_the_description_holds_what_a_person_checks():
    text = describe(molecule("LiH"))
    assert "4 (2 up, 2 down)" in text and "0 (singlet)" in text and "charge             0" in text
    assert "3.015000" in text and "1.595469" in text
    assert "0.99502488" in text, "the nuclear repulsion is 3 / 3.015 hartree"
    assert "-8.07054846 +- 1e-07 hartree (exact)" in text and "Cencek" in text
    assert describe(molecule("water")).startswith("H2O\n")
    assert describe(molecule("water", name="wet")).startswith("wet (H2O)")
    cation = describe(molecule(HEH, unit="bohr", charge=1))
    assert "charge             +1" in cation and "none known" in cation
    assert "-128.937943" in describe(molecule("Ne"))
