"""The one table of shells: Slater's rules, the rows of the periodic table, and what a core leaves."""

import numpy as np
import pytest
from pyscf.data.elements import CONFIGURATION

from nnqmc.errors import InputError
from nnqmc.system.elements import SYMBOLS, nuclear_charge
from nnqmc.system.nuclei import Nucleus, nuclei
from nnqmc.system.shells import SUBSHELLS, closed_cores, occupations, shell_exponents, slater_orbitals

EVERY = range(1, len(SYMBOLS) + 1)


def first_slot(n, angular):
    """The place of a subshell's first orbital in the order of filling."""
    return sum(2 * other + 1 for _, other in SUBSHELLS[: SUBSHELLS.index((n, angular))])


@pytest.mark.parametrize("number", EVERY)
def test_every_atom_holds_as_many_electrons_as_protons_in_full_subshells_but_the_last(number):
    found = occupations(number)
    assert sum(found.values()) == number and tuple(found) == SUBSHELLS[: len(found)]
    assert all(count == 2 * (2 * angular + 1) for (_, angular), count in list(found.items())[:-1])


@pytest.mark.parametrize("symbol", ["He", "C", "Ne", "Si", "Fe", "Br", "Kr", "I", "Xe"])
def test_the_occupations_of_atoms_with_regular_filling_are_those_of_pyscf(symbol):
    by_angular_momentum = [0, 0, 0, 0]
    for (_, angular), count in occupations(nuclear_charge(symbol)).items():
        by_angular_momentum[angular] += count
    assert by_angular_momentum == CONFIGURATION[nuclear_charge(symbol)]


@pytest.mark.parametrize(
    ("symbol", "subshell", "charge"),
    [("He", (1, 0), 1.7), ("C", (1, 0), 5.7), ("C", (2, 0), 3.25), ("N", (2, 1), 3.9), ("K", (4, 0), 2.2),
     ("Fe", (3, 2), 6.25), ("Fe", (4, 0), 3.75), ("Fe", (1, 0), 25.7), ("Zn", (3, 2), 8.85), ("Zn", (4, 0), 4.35)],
)
def test_effective_charges_are_those_of_slater(symbol, subshell, charge):
    zeta, effective_n = slater_orbitals(nuclear_charge(symbol))
    slot = first_slot(*subshell)
    assert zeta[slot] * effective_n[slot] == pytest.approx(charge)
    assert effective_n[slot] == {1: 1.0, 2: 2.0, 3: 3.0, 4: 3.7}[subshell[0]]


@pytest.mark.parametrize("number", EVERY)
def test_exponents_of_shells_fall_from_the_charge_to_one(number):
    exponents = [exponent for exponent, _ in shell_exponents(number)]
    assert exponents[0] == number and exponents[-1] == (number if number <= 2 else 1.0)
    assert exponents == sorted(exponents, reverse=True)
    capacities = [capacity for _, capacity in shell_exponents(number)]
    assert capacities == [1, 4, 4, 9, 9, 16, 16][: len(capacities)]
    assert 2 * sum(capacities[:-1]) < number <= 2 * sum(capacities)


@pytest.mark.parametrize(
    ("symbol", "cores"),
    [("H", [0]), ("He", [0]), ("C", [0, 2, 4]), ("Na", [0, 2, 4, 10]), ("Fe", [0, 2, 4, 10, 12, 18]),
     ("Br", [0, 2, 4, 10, 12, 18, 28, 30]), ("Cs", [0, 2, 4, 10, 12, 18, 28, 30, 36, 46, 48, 54]),
     ("Au", [0, 2, 4, 10, 12, 18, 28, 30, 36, 46, 60, 62, 68])],
)
def test_cores_are_full_inner_subshells(symbol, cores):
    found = closed_cores(nuclear_charge(symbol))
    assert list(found) == cores
    for n_electrons, subshells in found.items():
        assert sum(2 * (2 * angular + 1) for _, angular in subshells) == n_electrons


@pytest.mark.parametrize("symbol", ["C", "Na", "Fe", "Zn", "Br", "Cs", "Au"])
def test_outside_of_a_core_an_atom_is_as_it_was(symbol):
    """Whatever the core, the orbitals outside are those of the whole atom and in the same order."""
    number = nuclear_charge(symbol)
    slots = [subshell for subshell in SUBSHELLS for _ in range(2 * subshell[1] + 1)]
    whole = np.stack(slater_orbitals(number), axis=1)
    for core, inner in closed_cores(number).items():
        outside = [row for slot, row in zip(slots, whole.tolist()) if slot not in inner]
        found = np.stack(slater_orbitals(number, core), axis=1)
        assert len(found) == len(whole)
        np.testing.assert_array_equal(found[: len(outside)], outside)
        np.testing.assert_array_equal(found[len(outside) :], np.tile(whole[-1], (core // 2, 1)))
        n_inner = sum(capacity for _, capacity in shell_exponents(number)) - core // 2
        assert sum(capacity for _, capacity in shell_exponents(number, core)) == n_inner
        assert {zeta for zeta, _ in shell_exponents(number, core)} <= {zeta for zeta, _ in shell_exponents(number)}


def test_the_shells_that_a_core_leaves():
    assert shell_exponents(6, 2) == [(1.0, 4)]
    assert shell_exponents(30, 10) == [((30 - 10) / 3, 4), (1.0, 9)]
    assert shell_exponents(35, 28) == [(1.0, 4)]


def test_nuclei_know_their_element_their_core_and_the_charge_left():
    carbon, hydrogen = nuclei(("C", "H"), (2, 0))
    assert (carbon, carbon.charge, hydrogen.charge) == (Nucleus(6, 2), 4, 1)
    assert nuclei(("C", "H")) == (Nucleus(6, 0), Nucleus(1, 0))


@pytest.mark.parametrize(
    ("core", "message"),
    [((2,), "core has 1 number for 2 atoms; give one per atom"),
     ((3, 0), "a core of 3 electrons doesn't fill the inner subshells of C; allowed are 0, 2, 4."),
     ((6, 0), "a core of 6 electrons doesn't"), ((0, 1), "inner subshells of H; allowed are 0."),
     ((-2, 0), "a core of -2 electrons"), ((2.0, 0), r"core=2\.0 is not a whole number"),
     ((True, 0), "core=True is not a whole number"), (([2], 0), r"core=\[2\] is not a whole number")],
)
def test_cores_that_cant_be_are_refused(core, message):
    with pytest.raises(InputError, match=message):
        nuclei(("C", "H"), core)
