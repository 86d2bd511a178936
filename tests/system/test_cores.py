"""Systems whose core electrons a pseudopotential replaces, and periodic ones: what they are, and what refuses them."""

import dataclasses
import math

import jax
import numpy as np
import pytest

from nnqmc.errors import InputError
from nnqmc.system import describe, molecule, reference, to_dict
from nnqmc.system.nuclei import check_charges, require_molecule
from nnqmc.typing import System

CO = "C 0 0 0; O 0 0 2.132"


def crystal():
    return dataclasses.replace(molecule("LiH"), lattice=np.eye(3) * 7.7)


def test_charges_and_electrons_are_those_outside_of_the_cores():
    system = molecule(CO, unit="bohr", core=[2, 2])
    np.testing.assert_array_equal(system.charges, [4.0, 6.0])
    assert (system.n_electrons, system.charge, system.spin, system.core) == (10, 0, 0, (2, 2))
    cation = molecule(system, charge=1)
    assert (cation.n_electrons, cation.charge, cation.spin, cation.core) == (9, 1, 1, (2, 2))


@pytest.mark.parametrize(
    ("symbol", "charge", "core"), [("C", 0, 2), ("N", 1, 2), ("Na", 0, 10), ("Fe", 0, 10), ("Br", -1, 28)]
)
def test_a_core_does_not_change_the_ground_state_spin(symbol, charge, core):
    assert molecule(symbol, charge=charge, core=[core]).spin == molecule(symbol, charge=charge).spin


def test_no_core_at_all_is_the_same_as_none_given():
    assert all(molecule("LiH", core=core).core == () for core in (None, [0, 0], (0, 0), np.zeros(2, int)))


def test_a_system_keeps_its_core_until_told_otherwise():
    carbon = molecule("C", core=[2])
    assert molecule(carbon).core == (2,) and molecule(carbon).n_electrons == 4
    whole = molecule(carbon, core=[0])
    assert (whole.core, whole.n_electrons, whole.charges.tolist()) == ((), 6, [6.0])


def test_the_core_of_a_single_atom_may_be_a_number():
    assert molecule("C", core=2).core == molecule("C", core=np.int64(2)).core == (2,)
    with pytest.raises(InputError, match="core has 1 number for 2 atoms"):
        molecule("CO", core=2)


def test_the_core_is_static_and_the_lattice_a_leaf():
    assert len(jax.tree.leaves(molecule("C", core=[2]))) == 2
    assert len(jax.tree.leaves(crystal())) == 3
    assert jax.tree.structure(molecule("C", core=[2])) != jax.tree.structure(molecule("C"))


def test_a_carbon_with_a_helium_core_is_not_beryllium():
    carbon = molecule("C", core=[2], spin=0)
    beryllium = molecule("Be")
    np.testing.assert_array_equal(carbon.charges, beryllium.charges)
    assert (carbon.n_up, carbon.n_down) == (beryllium.n_up, beryllium.n_down)
    assert reference(beryllium).name == "Be" and reference(carbon) is None


@pytest.mark.parametrize("name", ["C", "LiH", "CO"])
def test_neither_cores_nor_crystals_are_compared_with_the_energies_of_molecules(name):
    system = molecule(name)
    assert reference(system) is not None
    assert reference(molecule(system, core=[2] + [0] * (system.n_atoms - 1)) if name != "LiH" else crystal()) is None


def test_the_description_names_the_core_and_repels_effective_charges():
    text = describe(molecule("C 0 0 0; C 0 0 2; O 0 0 4", unit="bohr", core=[2, 2, 0]))
    assert "core electrons     2 of C, replaced by a pseudopotential\n" in text and "none known" in text
    assert f"{4 * 4 / 2 + 4 * 8 / 4 + 4 * 8 / 2:.8f} hartree" in text
    assert "core" not in describe(molecule("CO"))


@pytest.mark.parametrize(
    ("core", "message"),
    [([2, 2], "core has 2 numbers for 1 atom;"), ([3], "doesn't fill the inner subshells of C"),
     (3, "a core of 3 electrons doesn't fill the inner subshells of C"), (True, "core=True is not a whole number")],
)
def test_a_core_that_cant_be_is_refused(core, message):
    with pytest.raises(InputError, match=message):
        molecule("C", core=core)


def test_charge_limits_count_what_the_core_leaves():
    message = r"leaves Na \(nuclear charge 1\) without electrons; pass a charge of at most 0"
    with pytest.raises(InputError, match=message):
        molecule("Na", core=[10], charge=1)


def test_a_system_whose_charges_are_not_those_its_core_leaves_is_refused():
    carbon = molecule("C", core=[2])
    check_charges(carbon)
    for wrong in (dataclasses.replace(carbon, core=()), dataclasses.replace(molecule("C"), core=(2,))):
        with pytest.raises(InputError, match=r"charges \[.\.0\] don't belong to the elements \['C'\]"):
            molecule(wrong)


@pytest.mark.parametrize("one", [1.0, np.float32(1), np.int64(1)])
def test_counts_of_electrons_are_kept_as_int(one):
    for system in (System(np.zeros((1, 3)), np.ones(1), one, one - 1, ("H",)),
                   dataclasses.replace(molecule("H"), n_up=one)):
        assert type(system.n_up) is type(system.n_down) is type(system.n_electrons) is int
        assert molecule(system).n_electrons == 1


@pytest.mark.parametrize(("n_up", "n_down"), [(1.5, 0), (1, -0.5), (True, 0), (math.nan, 0), ("1", 0)])
def test_counts_of_electrons_are_whole_numbers(n_up, n_down):
    with pytest.raises(InputError, match=r"n_(up|down)=.* is not a whole number"):
        molecule(System(np.zeros((1, 3)), np.ones(1), n_up, n_down, ("H",)))


@pytest.mark.parametrize("name", ["two\nlines", " ", "x" * 201, 5])
def test_a_system_of_ones_own_has_a_name_that_a_file_can_keep(name):
    with pytest.raises(InputError, match="is not a name; pass one line of text"):
        molecule(System(np.zeros((1, 3)), np.ones(1), 1, 0, ("H",), name))


@pytest.mark.parametrize("use", [molecule, to_dict, describe, require_molecule], ids=lambda f: f.__name__)
def test_a_lattice_is_refused_where_a_molecule_is_needed(use):
    with pytest.raises(InputError, match="LiH has a lattice, and only molecules are allowed here"):
        use(crystal())


def test_what_is_no_system_at_all_is_told_how_to_become_one():
    with pytest.raises(InputError, match=r"'LiH' is not a System; build one with nnqmc\.molecule"):
        require_molecule("LiH")
