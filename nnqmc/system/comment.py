"""Reader of the comment line of an xyz file: charge and spin, a unit, the order of columns, periodic boundaries."""

from __future__ import annotations

import re
from types import MappingProxyType

from nnqmc.errors import InputError
from nnqmc.system.claims import CHARGES, MULTIPLICITIES, SPINS, UNPAIRED, WORDS, Claim

_BY_LETTERS = MappingProxyType({name.replace("_", ""): name for name in (*CHARGES, *MULTIPLICITIES, *UNPAIRED, *SPINS)})
_NAMES = "|".join(re.escape(name).replace("_", r"[_\ -]?") for name in _BY_LETTERS.values())
_ENTRY = re.compile(
    rf"""(?<![\w.+:-])["']?(?P<name>{_NAMES})["']?  # a name, perhaps in quotes
    (\s*[=:]\s*["'\[({{]*\s*|\s+(?=[+-]?[0-9]+([+-]|/[0-9])?(?![\w.])))  # followed by = or by a whole number
    (?P<value>[^\s,;"'\])}}]*)""",
    re.IGNORECASE | re.VERBOSE,
)
_WORD = re.compile(rf"(?<![\w-])({'|'.join(WORDS)})s?(?![\w-])", re.IGNORECASE)
_PAIR = re.compile(r"([+-]?[0-9]{1,3})[\s,;]+([+-]?[0-9]{1,3})")
_LONE = re.compile(r"[+-][1-9]")
_NOTHING = ("", "none", "nan", "null")
_LATTICE = re.compile(r"""(?<![\w.-])["']?(lattice|cell|unit_?cell)["']?\s*[=:]""", re.IGNORECASE)
_PERIODIC = re.compile(r"""(?<![\w.-])["']?pbc["']?\s*[=:]\s*["'\[({]*\s*(?P<marks>([a-z01]+[\s,]*){1,3})?""",
                       re.IGNORECASE)
_FALSE = ("f", "false", "0", "ff", "fff")
_COLUMNS = re.compile(r"""(?<![\w.-])["']?properties["']?\s*[=:]\s*["']?(?P<columns>[\w:.]*)""", re.IGNORECASE)
_USUAL_COLUMNS = re.compile(r"species:s:1:pos:r:3(:.*)?", re.IGNORECASE)
_UNIT = re.compile(r"(?<![a-z])(bohr|angstroms?|\u00e5|\u212b)(?![a-z])", re.IGNORECASE)


def read_claim(text: str, where: str) -> Claim | None:
    """Return what a comment says of charge and spin, or None where it says nothing.

    Two whole numbers and nothing else are charge and multiplicity, as in the input of most programs.

    Args:
        text: the comment line.
        where: what a message calls it, such as "wet.xyz, line 2".

    Raises:
        InputError: a single number with a sign, which could be a charge.
    """
    words = " ".join(text.split())
    quoted = f"{where}: {words[:100]!r}"
    if pair := _PAIR.fullmatch(words):
        return Claim(quoted, (("charge", pair[1]), ("multiplicity", pair[2])))
    if _LONE.fullmatch(words):
        raise InputError(f"{quoted} could be a charge; write charge={words} there, or remove it and pass charge= and "
                         "spin= (--charge and --spin on the command line).")
    entries = tuple((_BY_LETTERS[re.sub(r"[_ -]", "", match["name"].lower())], match["value"])
                    for match in _ENTRY.finditer(words) if match["value"].lower() not in _NOTHING)
    found = tuple(dict.fromkeys(match[1].lower() for match in _WORD.finditer(words)))
    return Claim(quoted, entries, found) if entries or found else None


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
    is_periodic = any(map(_is_true, flags)) or not set(flags[:1]) <= set(_FALSE)
    if is_periodic or (_LATTICE.search(text) and flags not in (["f"] * 3, ["false"] * 3, ["0"] * 3)):
        what = "periodic boundaries (pbc)" if is_periodic else "a Lattice"
        raise InputError(f"{where}: the comment holds {what}, but only molecules without periodic boundaries are "
                         f'allowed: remove it or write pbc="F F F". It is {text[:100]!r}.')
    columns = _COLUMNS.search(text)
    if columns and not _USUAL_COLUMNS.fullmatch(columns["columns"]):
        raise InputError(f"{where}: unsupported column order {text[:100]!r}; only "
                         "Properties=species:S:1:pos:R:3 (then anything) is allowed: rewrite the file in that order.")


def _is_true(flag: str) -> bool:
    """Tell whether a mark such as 'T', 'true', '1' or 'TTF' says that something is periodic."""
    return flag in ("true", "1") or ("t" in flag and set(flag) <= {"t", "f"})


def stated_unit(text: str) -> str | None:
    """Return the only unit of length, 'bohr' or 'angstrom', that a comment names, or None."""
    units = {"bohr" if word.lower() == "bohr" else "angstrom" for word in _UNIT.findall(text)}
    return units.pop() if len(units) == 1 else None
