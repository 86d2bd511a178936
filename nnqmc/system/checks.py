"""The checks that every molecule passes: whole numbers, possible electrons, sensible nuclei."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from nnqmc.errors import InputError
from nnqmc.messages import counted
from nnqmc.system.elements import atom_spin, formula

CLOSEST = 0.1
"""Nuclei closer than this (bohr) are taken for a mistake."""

FARTHEST = 1e4
"""Coordinates beyond this (bohr) are taken for a mistake."""

MAX_ATOMS = 1000

_BOHR = ("bohr", "au", "a.u.")
_ANGSTROM = ("angstrom", "angstroms", "ang", "a", "å")


def length_unit(unit: str | None) -> str | None:
    """Recognise 'bohr' (or 'au', 'a.u.') and 'angstrom' (or 'ang', 'a') in any case; None stays None.

    Raises:
        InputError: it is anything else.
    """
    if unit is None:
        return None
    word = unit.strip().lower() if isinstance(unit, str) else ""
    if word in _BOHR:
        return "bohr"
    if word in _ANGSTROM:
        return "angstrom"
    raise InputError(f"unknown unit {unit!r}: pass unit='bohr' (or 'au') or unit='angstrom' (or 'ang', 'a').")


def whole_number(value: Any, what: str) -> int:
    """Take a whole number of Python or NumPy, and nothing that merely resembles one.

    Raises:
        InputError: it is a fraction, text, a truth value or anything else, or a number beyond a million.
    """
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise InputError(f"{what}={value!r:.60} is not a whole number; pass an int such as {what}=1.") from None
    if abs(number) > 10**6:
        raise InputError(f"{what} is beyond any molecule (more than a million); pass an int such as {what}=1.")
    return number


def electrons(nuclear: int, charge: int, symbols: tuple[str, ...]) -> int:
    """Count the electrons of nuclei of the given charge, cores taken off, at a total charge.

    Raises:
        InputError: none are left, or more than twice the nuclear charge.
    """
    n_electrons = nuclear - charge
    if n_electrons < 1:
        raise InputError(
            f"charge={charge} leaves {formula(symbols)} (nuclear charge {nuclear}) without electrons; "
            f"pass a charge of at most {nuclear - 1}."
        )
    if n_electrons > 2 * nuclear:
        raise InputError(
            f"charge={charge} puts {counted(n_electrons, 'electron')} on {formula(symbols)} (nuclear charge {nuclear}"
            f"), where none would stay bound; pass a charge of at least {-nuclear}."
        )
    return n_electrons


def default_spin(numbers: tuple[int, ...], n_electrons: int, symbols: tuple[str, ...]) -> int:
    """Choose 2S when nobody gave it: the ground state of a single atom or ion, otherwise the lowest possible.

    Args:
        numbers: nuclear charges of the elements.
        n_electrons: all electrons, those of cores included.
        symbols: element symbols, for the messages.

    Raises:
        InputError: the ground state of a single atom or ion isn't tabulated.
    """
    if len(numbers) > 1:
        return n_electrons % 2
    spin = atom_spin(numbers[0], n_electrons)
    if spin is None:
        raise InputError(
            f"the ground-state spin of {formula(symbols, numbers[0] - n_electrons)} is not tabulated (atoms to Xe and "
            f"their simple ions are); pass spin= (2S), {'an odd' if n_electrons % 2 else 'an even'} number."
        )
    return spin


def check_spin(spin: int, n_electrons: int) -> None:
    """Refuse a 2S that `n_electrons` electrons can't have.

    Raises:
        InputError: it is negative, more than the electrons, or of the wrong parity.
    """
    count = counted(n_electrons, "electron")
    allowed = _listed(range(n_electrons % 2, n_electrons + 1, 2))
    rule = f"spin is 2S = n_up - n_down; {count} allow {allowed}: pass one of these, or another charge."
    if spin < 0:
        raise InputError(f"spin={spin} is negative. {rule}")
    if spin > n_electrons:
        raise InputError(f"spin={spin} is more than the {count}. {rule}")
    if (n_electrons - spin) % 2:
        raise InputError(f"spin={spin} is impossible for {count}: n_up and n_down would not be whole. {rule}")


def check_nuclei(positions: np.ndarray, symbols: tuple[str, ...]) -> None:
    """Refuse too many, non-finite, absurdly far or coincident nuclei.

    Args:
        positions: (n_atoms, 3), bohr.
        symbols: element symbols, for the messages.

    Raises:
        InputError: nuclei can't be so; the message names the atoms, counted from 1.
    """
    if not 1 <= len(symbols) <= MAX_ATOMS:
        raise InputError(f"{counted(len(symbols), 'atom')} given; between 1 and {MAX_ATOMS} are allowed.")
    if positions.shape != (len(symbols), 3):
        raise InputError(f"positions have the shape {positions.shape}; pass x, y, z per atom: ({len(symbols)}, 3).")
    names = [f"{number} ({symbol})" for number, symbol in enumerate(symbols, start=1)]
    for name, position in zip(names, positions, strict=True):
        if not np.isfinite(position).all():
            raise InputError(f"atom {name} has a coordinate that is not finite: {position}; give finite numbers.")
        if np.abs(position).max() > FARTHEST:
            raise InputError(
                f"atom {name} is at {position} bohr; coordinates up to {FARTHEST:g} bohr are allowed: "
                "check the numbers and the unit."
            )
    i, j = np.triu_indices(len(symbols), k=1)
    if not i.size:
        return
    distances = np.linalg.norm(positions[i] - positions[j], axis=-1)
    pair = int(np.argmin(distances))
    if distances[pair] < CLOSEST:
        raise InputError(
            f"atoms {names[i[pair]]} and {names[j[pair]]} are {distances[pair]:.4f} bohr apart; "
            f"nuclei have to be at least {CLOSEST} bohr apart: check the coordinates and the unit."
        )


def _listed(allowed: range) -> str:
    """Return the numbers as text, with dots where there are more than four."""
    if len(allowed) <= 4:
        return ", ".join(map(str, allowed))
    return f"{allowed[0]}, {allowed[1]}, ..., {allowed[-1]}"
