"""Elements named by the labels of atoms: symbols, atomic numbers, numbered labels, isotopes and ghost atoms."""

from __future__ import annotations

import re

from nnqmc.errors import InputError
from nnqmc.system.elements import SYMBOLS, nuclear_charge

_GHOST = re.compile(
    r"@.*|(gh(ost)?|xx?|bq)[-_.(:@]?[a-z]{0,2}\)?[-_]?[0-9]*|(du|dum|dummy)[-_]?[0-9]*"
    r"|[a-z]{1,2}([-_.(]?(bq|gh|ghost)\)?|:)[-_]?[0-9]*",
    re.IGNORECASE,
)
_LABEL = re.compile(r"(?P<mass>[0-9]{1,3})?(?P<symbol>[A-Za-z]{1,2})(?P<number>[-_@]?[0-9]{1,5})?"
                    r"(\(iso=(?P<iso>[0-9]{1,3}(\.[0-9]*)?)\))?", re.IGNORECASE)
_DUMMY = re.compile(r"(xx?|du|dum|dummy)[-_]?[0-9]*", re.IGNORECASE)
_XENON = re.compile(r"xe[-_]?[0-9]*", re.IGNORECASE)
ISOTOPES = ("D", "T")
"""Symbols of isotopes of hydrogen."""


def element(label: str) -> tuple[str, str]:
    """Find the element that the label of an atom names.

    Args:
        label: such as 'He', 'he', '2', 'C1', 'H@2', 'D', '13C' or 'H(Iso=2)'.

    Returns:
        The symbol, and in words how the label was read where that is more than a symbol in another case; else ''.

    Raises:
        InputError: the label marks a ghost atom, names no element or could name several.
    """
    if label.isascii() and label.isdigit():
        return _numbered_element(label), ""
    if _GHOST.fullmatch(label[:40]) and not _XENON.fullmatch(label):
        raise InputError(f"{label[:40]!r} marks a ghost or dummy atom, which has no nucleus; only real nuclei are "
                         "allowed: remove it.")
    if label.capitalize() == "Tv":
        raise InputError("'Tv' marks a lattice vector, but only molecules without periodic boundaries are allowed: "
                         "remove it.")
    parts = _LABEL.fullmatch(label[:40])
    if parts is None or (parts["symbol"].upper() not in ISOTOPES and parts["symbol"].capitalize() not in SYMBOLS):
        return SYMBOLS[nuclear_charge(label) - 1], ""
    return _parsed(label, parts)


def is_dummy(label: str) -> bool:
    """Tell whether a label, such as 'X' or 'Du2', marks a point without a nucleus and without an element."""
    return bool(_DUMMY.fullmatch(label))


def _numbered_element(label: str) -> str:
    """Return the symbol that belongs to an atomic number."""
    number = int(label[:9])
    if number == 0:
        raise InputError("the atomic number 0 marks a ghost or dummy atom, which has no nucleus; only real nuclei are "
                         "allowed: remove it.")
    if number > len(SYMBOLS):
        raise InputError(f"{label[:20]} is no atomic number; 1 (H) to {len(SYMBOLS)} (Og) are allowed.")
    return SYMBOLS[number - 1]


def _parsed(label: str, parts: re.Match[str]) -> tuple[str, str]:
    """Return the symbol of a label that consists of an element and perhaps a number or a mass, and how it was read."""
    written, proper = parts["symbol"], parts["symbol"].capitalize()
    could_be_two = len(written) == 2 and written.isupper() and written[0] in SYMBOLS
    if could_be_two and parts["number"]:
        raise InputError(f"{label!r} could be an atom of {proper} or one of {written[0]} with a name of its own; write "
                         f"{proper!r} or {written[0]!r}.")
    if written.upper() in ISOTOPES:
        return "H", f"{label!r} as H, since nuclei are clamped and isotopes make no difference"
    if parts["mass"] or parts["iso"]:
        return proper, f"{label!r} as {proper}, since nuclei are clamped and isotopes make no difference"
    return proper, f"{label!r} as {proper}" if parts["number"] or could_be_two else ""
