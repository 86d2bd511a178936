"""Reader of atoms from text in the xyz format (count, comment, atoms) or as loose 'He 0 0 0; H 0 0 1.4632'."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from nnqmc.errors import InputError
from nnqmc.system.elements import SYMBOLS, nuclear_charge

MAX_FILE_BYTES = 10_000_000

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eEdD][+-]?[0-9]{1,4})?")
_NON_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_COUNT = re.compile(r"[0-9]{1,9}")
_COLUMNS = re.compile(r"properties=species:s:1:pos:r:3\b", re.IGNORECASE)
_OPEN_BOUNDARY = re.compile(r'pbc\s*=\s*"?\s*f(alse)?[\s,]+f(alse)?[\s,]+f(alse)?\b', re.IGNORECASE)


def looks_like_atoms(text: str) -> bool:
    """Tell a list of atoms from a name or a path: it has several lines, a semicolon, or numbers after a word."""
    words = text.replace(",", " ").split()
    return ";" in text or len(text.splitlines()) > 1 or any(_is_number(word) for word in words[1:])


def parse_atoms(text: str, origin: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Read atoms from xyz text or from loose text.

    Text whose first line is a whole number is in the xyz format: number of atoms, comment, one atom per line, further
    columns ignored. Anything else is one 'symbol x y z' per line or between semicolons.

    Args:
        text: the text itself.
        origin: what to call it in messages, such as the file's name.

    Returns:
        Symbols and positions (n_atoms, 3), in the unit of the text.

    Raises:
        InputError: the text can't be read; the message has the line's number and content.
    """
    lines = text.splitlines()
    first = next((i for i, line in enumerate(lines) if line.strip()), None)
    if first is None:
        raise InputError(f"{origin}: no atoms found; expected lines such as 'H 0.0 0.0 1.4'.")
    counted = _COUNT.fullmatch(lines[first].strip()) is not None
    if counted:
        rows = _counted_rows(lines, first, origin)
    else:
        pieces = ((i + 1, piece.strip()) for i, line in enumerate(lines) for piece in line.split(";"))
        rows = [(number, piece) for number, piece in pieces if piece]
    if not rows:
        raise InputError(f"{origin}: no atoms found; expected lines such as 'H 0.0 0.0 1.4'.")
    atoms = [_atom(number, row, origin, extra_columns=counted) for number, row in rows]
    return tuple(symbol for symbol, _ in atoms), np.array([position for _, position in atoms], dtype=np.float64)


def read_text(path: Path) -> str:
    """Read a text file of atoms.

    Raises:
        InputError: no such file, a folder, too large, not readable or not text.
    """
    try:
        path = path.expanduser()
        if path.is_dir():
            raise InputError(f"{str(path)!r} is a folder; give the path of an xyz file in it.")
        if not path.is_file():
            raise InputError(f"no such file: {str(path)!r}. Check the path (relative to {str(Path.cwd())!r}).")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(f"{str(path)!r} is larger than {MAX_FILE_BYTES // 10**6} MB; give a file of one molecule.")
        return path.read_text(encoding="utf-8-sig")
    except InputError:
        raise
    except UnicodeDecodeError as error:
        raise InputError(f"{str(path)!r} is not a text file; an xyz file is allowed ({error.reason}).") from error
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"can't read {str(path)[:200]!r}: {error}. Give the path of a readable xyz file.") from error


def _counted_rows(lines: list[str], first: int, origin: str) -> list[tuple[int, str]]:
    """Return the numbered lines of atoms of text in the xyz format, whose count is in line `first`."""
    count = int(lines[first])
    comment = lines[first + 1] if first + 1 < len(lines) else ""
    if "lattice=" in comment.lower() and not _OPEN_BOUNDARY.search(comment):
        raise InputError(
            f"{origin}, line {first + 2}: the comment holds a Lattice, but only molecules without periodic boundaries "
            'are allowed: remove it or write pbc="F F F".'
        )
    if "properties=" in comment.lower() and not _COLUMNS.search(comment):
        raise InputError(
            f"{origin}, line {first + 2}: unsupported column order {comment[:100]!r}; "
            "only Properties=species:S:1:pos:R:3 (then anything) is allowed: rewrite the file in that order."
        )
    rows = [(i + 1, line.strip()) for i, line in enumerate(lines) if i > first + 1 and line.strip()]
    if len(rows) != count:
        raise InputError(
            f"{origin}, line {first + 1}: the count says {count} atoms, but {len(rows)} lines of atoms follow the "
            "comment line; correct the count, and keep one molecule (one frame) per file."
        )
    return rows


def _atom(number: int, row: str, origin: str, *, extra_columns: bool) -> tuple[str, list[float]]:
    """Read the symbol and the position of one atom."""
    where = f"{origin}, line {number}: {row[:80]!r}"
    label, *numbers = row.replace(",", " ").split() or [""]
    if len(numbers) < 3 or (len(numbers) > 3 and not extra_columns):
        raise InputError(f"{where} is not an atom; expected 'symbol x y z', with atoms separated by ';' or new lines.")
    for text in numbers[:3]:
        if _NON_FINITE.fullmatch(text):
            raise InputError(f"{where} has the coordinate {text}; coordinates have to be finite numbers.")
        if not _NUMBER.fullmatch(text):
            raise InputError(f"{where} can't be read: {text[:40]!r} is not a number; expected 'symbol x y z'.")
    try:
        charge = int(label) if _COUNT.fullmatch(label) else nuclear_charge(label)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    if not 1 <= charge <= len(SYMBOLS):
        raise InputError(f"{where}: {label} is no atomic number; 1 (H) to {len(SYMBOLS)} (Og) are allowed.")
    return SYMBOLS[charge - 1], [float(text.replace("d", "e").replace("D", "e")) for text in numbers[:3]]


def _is_number(word: str) -> bool:
    """Tell whether a word is a number, finite or not."""
    return bool(_NUMBER.fullmatch(word) or _NON_FINITE.fullmatch(word))
