"""Symbols and ground-state spins of free atoms and ions."""

import pytest
from pyscf.data.elements import CONFIGURATION, ELEMENTS

from nnqmc.errors import InputError
from nnqmc.system.elements import SYMBOLS, atom_spin, formula, nuclear_charge


def test_the_periodic_table_agrees_with_pyscf():
    assert SYMBOLS == tuple(ELEMENTS[1:119])


def hund(configuration):
    """2S of the highest spin that the open shells of a configuration [s, p, d, f electrons] allow."""
    capacities = (2, 6, 10, 14)
    open_shells = ((count % size, size) for count, size in zip(configuration, capacities, strict=True))
    return sum(min(count, size - count) for count, size in open_shells)


@pytest.mark.parametrize("number", range(1, 55))
def test_neutral_atoms_follow_hunds_first_rule(number):
    assert atom_spin(number, number) == hund(CONFIGURATION[number])


@pytest.mark.parametrize(
    ("symbol", "charge", "spin"),
    [
        ("H", -1, 0),
        ("Li", 1, 0),
        ("N", 1, 2),
        ("O", -1, 1),
        ("C", -1, 3),
        ("Na", 1, 0),
        ("Fe", 16, 0),
        ("Ca", 2, 0),
        ("Ca", 1, 1),
        ("Zn", 2, None),
        ("Fe", 2, None),
        ("Sc", 1, None),
        ("Kr", 16, None),
        ("Br", -1, 0),
        ("Ga", 1, 0),
    ],
)
def test_ions_have_their_ground_state_spin_or_none_where_a_d_shell_interferes(symbol, charge, spin):
    number = nuclear_charge(symbol)
    assert atom_spin(number, number - charge) == spin


def test_beyond_xenon_nothing_is_guessed():
    assert atom_spin(79, 79) is None
    assert atom_spin(118, 118) is None


@pytest.mark.parametrize("spelling", ["He", "he", "HE"])
def test_symbols_are_read_in_any_case(spelling):
    assert nuclear_charge(spelling) == 2


def test_an_unknown_element_gets_suggestions():
    with pytest.raises(InputError, match=r"unknown element 'Lx': did you mean .*Li.*\?"):
        nuclear_charge("Lx")


@pytest.mark.parametrize(
    ("symbols", "charge", "expected"),
    [("He H", 1, "HeH+"), ("H O H", 0, "H2O"), ("O C C H H H H H H", 0, "C2H6O"), ("Fe", 2, "Fe^2+"), ("H", -1, "H-")],
)
def test_formulas(symbols, charge, expected):
    assert formula(tuple(symbols.split()), charge) == expected
