"""Look-up of named systems: by benchmark names, aliases, element symbols and atomic ions in any clear case."""

from __future__ import annotations

import difflib
import re

from nnqmc.errors import InputError
from nnqmc.system.elements import SYMBOLS
from nnqmc.system.named import Entry, entries

_ION = re.compile(r"([A-Z][a-z]?)(?:\^([1-9][0-9]?))?([+-])")


def find(word: str) -> Entry | tuple[str, int]:
    """Find what a word names.

    Exact spellings come first (CO is carbon monoxide, Co cobalt); another case is accepted when only one meaning is
    left, counting the formulas that the letters could spell (NO is not nobelium).

    Args:
        word: such as 'LiH', 'WATER', 'he', 'Fe', 'O-' or 'Ca^2+'.

    Returns:
        A benchmark entry, or the (symbol, charge) of a free atom or ion without one.

    Raises:
        InputError: nothing has this name, or several things have; the candidates are named.
    """
    word = " ".join(word.split())
    exact = [entry for entry in entries() if entry.name == word]
    if exact:
        return exact[0]
    if word in SYMBOLS:
        return word, 0
    if (ion := _ION.fullmatch(word)) and ion[1] in SYMBOLS:
        return ion[1], int(ion[2] or 1) * (1 if ion[3] == "+" else -1)
    return _tolerant(word)


def _tolerant(word: str) -> Entry | tuple[str, int]:
    """Find what a word means whose case is not that of any name, or raise InputError."""
    folded = word.casefold()
    named = [entry for entry in entries() if folded in (name.casefold() for name in (entry.name, *entry.aliases))]
    names = {entry.name for entry in named}
    element = word.capitalize() if word.isascii() else ""
    if element in SYMBOLS and (names or not _spells_formula(word)):
        names.add(element)
    if len(names) > 1:
        options = " or ".join(repr(name) for name in sorted(names, key=lambda name: (len(name), name)))
        raise InputError(f"{word[:60]!r} can mean several things; write {options}.")
    if named:
        return named[0]
    if names:
        return element, 0
    raise _unknown(word)


def _spells_formula(word: str) -> bool:
    """Tell whether the two letters can also be two elements, as in NO or Cs = C and S."""
    return len(word) == 2 and all(letter.upper() in SYMBOLS for letter in word)


def _unknown(word: str) -> InputError:
    """Return the error for a word that names nothing, with the nearest names."""
    listing = "`nnqmc list` shows the names; any other molecule is given as 'He 0 0 0; H 0 0 1.4632' or an xyz file."
    stem, sign = word[:-1], word[-1:]
    if sign in ("+", "-") and any(stem.casefold() == entry.name.casefold() for entry in entries()):
        ion = f"for an ion at this geometry pass the name {stem!r} and charge={sign.strip('+')}1."
        return InputError(f"unknown name {word[:60]!r}: {ion} {listing}")
    spellings = {name.casefold(): name for entry in entries() for name in (entry.name, *entry.aliases)}
    spellings |= {symbol.casefold(): symbol for symbol in SYMBOLS}
    near = difflib.get_close_matches(word.casefold()[:40], spellings, n=3, cutoff=0.6 if len(word) < 4 else 0.7)
    hint = f"did you mean {' or '.join(repr(spellings[name]) for name in near)}? " if near else ""
    return InputError(f"unknown name {word[:60]!r}: {hint}{listing}")
