"""Reader of the comment line of an xyz file: charge and spin, a unit, the order of columns, periodic boundaries."""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import MappingProxyType

import numpy as np

from nnqmc.errors import InputError
from nnqmc.system.claims import CHARGES, MULTIPLICITIES, SPINS, UNPAIRED, WORDS, Claim, add_sum
from nnqmc.system.elements import SYMBOLS

_BY_LETTERS = MappingProxyType({name.replace("_", ""): name for name in (*CHARGES, *MULTIPLICITIES, *UNPAIRED, *SPINS)})
_NAMES = "|".join(re.escape(name).replace("_", r"[_\ .:-]?") for name in _BY_LETTERS.values())
_START = r"""(?<![\w.+:])(?<!\w-)["']?"""
_ENTRY = re.compile(
    rf"""{_START}(?P<name>{_NAMES})["']?  # a name, perhaps in quotes
    (\s*[=:]\s*["'\[({{]*\s*|\s?\((?=[+-]?[0-9]+\))  # followed by =, or by a whole number
    |\s+((is|of)\s+)?(?=[+-]?[0-9]+(\.0*)?(e|[+-]|/[0-9])?(?!\w|\.[0-9])))
    (?P<value>[^\s,;"'\])}}]*)""",
    re.IGNORECASE | re.VERBOSE,
)
_TWO_ENTRIES = re.compile(
    rf"""{_START}(?P<first>{_NAMES})\s?([/,&+]|and\b)?\s?(?P<second>{_NAMES})\s?(is|are|[=:])?\s?["'\[({{]*
    (?P<one>[+-]?[0-9]{{1,3}}[+-]?)(\s?([,;/|]|and)\s?|\s)(?P<two>[+-]?[0-9]{{1,3}})(?!\w|\.[0-9])""",
    re.IGNORECASE | re.VERBOSE,
)
_COUNTED = re.compile(r"(?<![\w.])([0-9]{1,3}) unpaired", re.IGNORECASE)
_WORD = re.compile(rf"(?<![A-Za-z0-9-])({'|'.join(WORDS)})s?(?![A-Za-z0-9-]|(?<=\bion) pair)", re.IGNORECASE)
_ION = re.compile(r"(?<!\S)[\[(]?(?P<formula>([A-Z][a-z]?[0-9]*)+)[\])]?"
                  r"\^?[({]?[0-9]?(?P<sign>[+-])((?P=sign)*|[0-9])[)}\]]?[.,;:]?(?!\S)")
_PAIR = re.compile(r"(.*\* ?xyz )?[\[(]?([+-]?[0-9]{1,3})[\s,;]+([+-]?[0-9]{1,3})[\])]?", re.IGNORECASE)
_LONE = re.compile(r"[+-][1-9]")
_BEFORE_WORDS = re.compile(r"([+-]?[0-9]{1,2}) ?[ ,;] ?([0-9]{1,2})[,;:]? [^\w+.]? ?[A-Za-z].*")
_NOTHING = ("", "none", "nan", "null")
_LATTICE = re.compile(
    r"""(?<![\w.-])["']?(lattice(_?vectors?)?|latvec|cell|unit[_ ]?cell|box|cryst1|celldm|vec[123])["']?\ ?
    (\([a-z]{1,10}\)\ ?)?([=:]|(?=["'\[({]|\ ?([+-]?[0-9][0-9.]*\ ){2}))""", re.IGNORECASE | re.VERBOSE)
_PERIODIC = re.compile(
    r"""(?<![\w.-])["']?(pbc|(is_)?periodic)["']?(\s*[=:]\s*["'\[({]*\s*|\s(?=([tf01]|true|false)\b))
    (?P<marks>([a-z01]+[\s,]*){1,3})?""", re.IGNORECASE | re.VERBOSE)
_BOUNDARIES = re.compile(r"(?<!non)(?<!non-)(?<!no )(?<!not )(?<!without )periodic boundar", re.IGNORECASE)
_FALSE = ("f", "false", "0", "ff", "fff", "no", "off", "none")
_COLUMNS = re.compile(r"""(?<![\w.-])["']?properties["']?\s*[=:]\s*["']?(?P<columns>[\w:.]*)""", re.IGNORECASE)
_OF_ATOMS = MappingProxyType({"initial_charges": "charge", "initial_magmoms": "unpaired"})  # as ASE calls them
_USUAL_COLUMNS = re.compile(r"species:s:1:pos:r:3(:.*)?", re.IGNORECASE)
_UNIT = re.compile(r"(?<![a-z/])(?<!bond_)(bohr|angstroms?|\u00e5|\u212b)(?![a-z])", re.IGNORECASE)
_SHORT_UNIT = r"(?P<unit>a\.u\.|(?-i:au|AU)|atomic units?|atomic|nm|nanomet\w+|pm|picomet\w+)"
_OF_COORDINATES = re.compile(
    rf"(units?|coord\w*|positions?|geometry|distances?|lengths?)\W{{1,3}}((are|is|given|in)\W){{0,3}}{_SHORT_UNIT}(?!\w)"
    rf"|^\W*(?P<alone>{_SHORT_UNIT.replace('unit>', 'word>')})\W*$", re.IGNORECASE)


def read_claim(text: str, where: str) -> Claim | None:
    """Return what a comment says of charge and spin, or None where it says nothing.

    Two whole numbers and nothing else are charge and multiplicity, as in the input of most programs.

    Args:
        text: the comment line.
        where: what a message calls it, such as "wet.xyz, line 2".

    A single number with a sign, and two numbers before other words, are left to the caller as unclear.
    """
    words = " ".join(text.split())
    quoted = f"{where}: {words[:100]!r}"
    if pair := _PAIR.fullmatch(words):
        return Claim(quoted, (("charge", pair[2]), ("multiplicity", pair[3])))
    if _LONE.fullmatch(words):
        return Claim(quoted, unclear=f"could be a charge; write charge={words} there")
    if pair := _BEFORE_WORDS.fullmatch(words):
        return Claim(quoted, unclear=f"could begin with charge and multiplicity; write charge={pair[1]} "
                                     f"multiplicity={pair[2]} there")
    entries: list[tuple[str, str]] = []

    def take(both: re.Match[str]) -> str:
        """Take the entries of text such as 'charge/mult: 1 2', and return what is left of it."""
        names = _name(both["first"]), _name(both["second"])
        if (names[0] in CHARGES) == (names[1] in CHARGES):
            return both[0]
        entries.extend(zip(names, (both["one"], both["two"]), strict=True))
        return " "

    rest = _TWO_ENTRIES.sub(take, words)
    entries += [(_name(match["name"]), match["value"]) for match in _ENTRY.finditer(rest)
                if match["value"].lower() not in _NOTHING]
    entries += [("unpaired_electrons", match[1]) for match in _COUNTED.finditer(rest)]
    found = [match[1].lower() for match in _WORD.finditer(rest)] + [
        match["formula"] + match["sign"] for match in _ION.finditer(rest)
        if set(re.findall("[A-Z][a-z]?", match["formula"])) <= set(SYMBOLS)]
    return Claim(quoted, tuple(entries), tuple(dict.fromkeys(found))) if entries or found else None


def _name(written: str) -> str:
    """Return the name in `claims` of an entry, however its words are joined."""
    return _BY_LETTERS[re.sub(r"[_ .:-]", "", written.lower())]


def check_comment(text: str, where: str) -> None:
    """Refuse a comment that marks periodic boundaries or an unusual order of columns.

    Args:
        text: the comment line.
        where: what a message calls it, such as "wet.xyz, line 2".

    Raises:
        InputError: the atoms are no molecule, or their columns are not symbol, x, y, z.
    """
    text = " ".join(text.split())
    marks = _PERIODIC.search(text)
    flags = re.findall(r"[a-z01]+", (marks["marks"] or "unreadable").lower()) if marks else []
    is_periodic = any(map(_is_true, flags)) or not set(flags[:1]) <= set(_FALSE) or _BOUNDARIES.search(text)
    if is_periodic or (_LATTICE.search(text) and flags not in (["f"] * 3, ["false"] * 3, ["0"] * 3)):
        what = "periodic boundaries (pbc)" if is_periodic else "a Lattice"
        raise InputError(f"{where}: the comment holds {what}, but only molecules without periodic boundaries are "
                         f'allowed: remove it or write pbc="F F F". It is {text[:100]!r}.')
    columns = _COLUMNS.search(text)
    if columns and not _USUAL_COLUMNS.fullmatch(columns["columns"]):
        raise InputError(f"{where}: unsupported column order {text[:100]!r}; only "
                         "Properties=species:S:1:pos:R:3 (then anything) is allowed: rewrite the file in that order.")


def read_columns(text: str, rows: Sequence[Sequence[str]], where: str) -> Claim | None:
    """Return what a comment says of charge and spin, with the sums of columns of charges and moments that it names.

    Args:
        text: the comment line.
        rows: the words of the line of each atom.
        where: what a message calls the comment, such as "wet.xyz, line 2".

    Raises:
        InputError: a column that the comment names holds something else than numbers.
    """
    claim = read_claim(text, where) or Claim(f"{where}: {' '.join(text.split())[:100]!r}")
    columns = _COLUMNS.search(text)
    parts = columns["columns"].split(":") if columns else []
    place = 0
    for name, count in zip(parts[::3], parts[2::3], strict=False):
        start, place = place, place + (int(count) if count.isdecimal() else 1)
        if kind := _OF_ATOMS.get(name.lower()):
            try:
                values = np.array([row[start:place] for row in rows], dtype=np.float64)
            except ValueError:
                raise InputError(f"{where}: the comment names a column {name}, which doesn't hold numbers for all "
                                 "atoms; correct it.") from None
            claim = add_sum(claim, f"columns {name}", kind, values[:, 0] if values.shape[1:] == (1,) else values)
    return claim if claim.entries or claim.words or claim.unclear else None


def _is_true(flag: str) -> bool:
    """Tell whether a mark such as 'T', 'true', '1' or 'TTF' says that something is periodic."""
    return flag in ("true", "1") or ("t" in flag and set(flag) <= {"t", "f"})


def other_unit(text: str) -> str:
    """Return the unit of length other than angstrom, such as 'bohr', 'a.u.' or 'nm', that a comment names, or ''."""
    units = {word.lower() for word in _UNIT.findall(text)}
    if units == {"bohr"}:
        return "bohr"
    found = None if units else _OF_COORDINATES.search(text)
    return (found["unit"] or found["word"]) if found else ""
