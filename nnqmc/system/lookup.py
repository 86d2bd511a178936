"""Look-up of named systems: by benchmark names, aliases, element symbols and atomic ions in any clear case."""

from __future__ import annotations

import difflib
import re
import unicodedata

from nnqmc.errors import InputError
from nnqmc.system.elements import SYMBOLS, formula, nuclear_charge
from nnqmc.system.labels import ISOTOPES, element
from nnqmc.system.named import Entry, entries

_ION = re.compile(r"([A-Z][a-z]?)(?:\^([1-9][0-9]?))?([+-])")
_OXIDATION = ("0", "I", "II", "III", "IV", "V", "VI", "VII", "VIII")
_CHARGED = re.compile(r"(?P<symbol>[A-Za-z]{1,2}) ?[\^_({]{0,2}(?:(?P<before>[1-9][0-9]?)?(?P<signs>\++|-+)"
                      r"(?P<after>[1-9][0-9]?)?|(?P<oxidation>[IV]{1,4}))[)}]?")


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
    if word.upper() in ISOTOPES:
        return "H", 0
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
    return InputError(f"unknown name {word[:60]!r}: {_ghost(word) or _ion(word) or _nearest(word)}{listing}")


def _ghost(word: str) -> str:
    """Return the sentence that refuses a ghost atom, or nothing."""
    try:
        element(word)
    except InputError as error:
        return f"{error} " if "ghost" in str(error) else ""
    return ""


def _ion(word: str) -> str:
    """Return how an ion is spelled that the word may mean, or nothing."""
    hints = []
    stem, sign = word[:-1], word[-1:]
    if sign in ("+", "-") and any(stem.casefold() == entry.name.casefold() for entry in entries()):
        hints.append(f"for an ion at this geometry pass the name {stem!r} and charge={sign.strip('+')}1")
    parts = _CHARGED.fullmatch(unicodedata.normalize("NFKC", word[:40]))
    symbol = parts["symbol"].capitalize() if parts else ""
    if symbol in SYMBOLS and not (len(symbol) == 2 and parts["symbol"].isupper()):  # NH4+ is no nihonium
        size = _OXIDATION.index(parts["oxidation"]) if parts["oxidation"] in _OXIDATION else int(
            parts["before"] or parts["after"] or len(parts["signs"] or "+"))
        charge = -size if (parts["signs"] or "+")[0] == "-" else size
        if charge < nuclear_charge(symbol):
            hints.append(f"for the ion of a single atom write {formula((symbol,), charge)!r}")
    return f"{'; '.join(hints)}. " if hints else ""


def _nearest(word: str) -> str:
    """Return the names most like the word as a question, or nothing."""
    spellings = {name.casefold(): name for entry in entries() for name in (entry.name, *entry.aliases)}
    spellings |= {symbol.casefold(): symbol for symbol in SYMBOLS}
    near = difflib.get_close_matches(word.casefold()[:40], spellings, n=3, cutoff=0.6 if len(word) < 4 else 0.7)
    return f"did you mean {' or '.join(repr(spellings[name]) for name in near)}? " if near else ""
