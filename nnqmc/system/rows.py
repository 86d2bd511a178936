"""Reader of one atom in a line of text: its label and three numbers, with decimal points or decimal commas."""

from __future__ import annotations

import re
from typing import NamedTuple

from nnqmc.errors import InputError
from nnqmc.system.labels import element

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)((\*\^|[eEdD])[+-]?[0-9]{1,4})?")
_NON_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+((\*\^|[eEdD])[+-]?[0-9]{1,4})?")
_EXPONENT = re.compile(r"\*\^|[dD]")
_MINUS = str.maketrans({"\u2212": "-", "\u2013": "-"})


class Atom(NamedTuple):
    """An atom of a line of text.

    Attributes:
        symbol: its element.
        position: three numbers in the unit of the text.
        remarks: how label and numbers were read, in words, where that isn't obvious.
    """

    symbol: str
    position: tuple[float, float, float]
    remarks: tuple[str, ...]


def is_number(word: str) -> bool:
    """Tell whether a word is a number, finite or not."""
    word = word.translate(_MINUS)
    return bool(_NUMBER.fullmatch(word) or _NON_FINITE.fullmatch(word) or _DECIMAL_COMMA.fullmatch(word))


def number(word: str) -> float:
    """Return a word of a line as a number; exponents may be written with e, d or *^.

    Raises:
        InputError: it is none, or none that is finite.
    """
    plain = word.translate(_MINUS)
    if _NON_FINITE.fullmatch(plain):
        raise InputError(f"has the coordinate {word}; coordinates have to be finite numbers.")
    if not _NUMBER.fullmatch(plain):
        raise InputError(f"can't be read: {word[:40]!r} is not a number; expected 'symbol x y z'.")
    return float(_EXPONENT.sub("e", plain))


def looks_like_atom(row: str) -> bool:
    """Tell whether a line has the form of an atom: the label of an element, then three numbers or more."""
    label, *words = row.replace(",", " ").split() or [""]
    try:
        return bool(element(label)) and len(words) >= 3 and all(map(is_number, words[:3]))
    except InputError:
        return False


def parse_atom(row: str, where: str, *, extra_columns: bool) -> Atom:
    """Read the label and the position of an atom.

    Args:
        row: such as 'H 0 0 1.4', 'H, 0, 0, 1.4' or 'H 0 0 1,4'.
        where: what a message calls the line.
        extra_columns: whether anything may follow the three numbers.

    Raises:
        InputError: the line can't be read; the message quotes it.
    """
    where = f"{where}: {row[:80]!r}"
    label, words, comma = _split(row, where)
    if len(words) < 3 or (len(words) > 3 and not extra_columns):
        raise InputError(f"{where} is not an atom; expected 'symbol x y z', with atoms separated by ';' or new lines.")
    try:
        x, y, z = (number(word) for word in words[:3])
    except InputError as error:
        raise InputError(f"{where} {error}") from None
    try:
        symbol, reading = element(label)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return Atom(symbol, (x, y, z), tuple(remark for remark in (reading, comma) if remark))


def _split(row: str, where: str) -> tuple[str, list[str], str]:
    """Return the label and the further words of a line, and how commas were read if they are decimal points."""
    label, *words = row.split() or [""]
    inner = [word for word in words[:3] if "," in word.rstrip(",")]
    if not inner or "," in label or len(words) < 3:
        plain = row.replace(",", " ").split() or [""]
        pieces = plain[1:]
        if inner and (len(words) == 2 or (len(pieces) > 3 and not any("." in piece for piece in pieces[:3]))):
            raise InputError(f"{where} has a comma that may be a decimal point or a separator; write decimal points, "
                             "and spaces between the numbers.")
        return plain[0], plain[1:], ""
    if not all(is_number(word.rstrip(",")) for word in words[:3]):
        raise InputError(f"{where} has a comma within a number that is no decimal point; write decimal points, and "
                         "spaces between the numbers.")
    reading = f"{inner[0].rstrip(',')!r} as {inner[0].rstrip(',').replace(',', '.')}"
    return label, [word.rstrip(",").replace(",", ".") for word in words], reading
