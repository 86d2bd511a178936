"""Readers of atoms in text: the xyz format with its frames, loose 'He 0 0 0; H 0 0 1.4632', and Z-matrices."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from nnqmc.errors import InputError
from nnqmc.messages import counted
from nnqmc.system.checks import length_unit
from nnqmc.system.claims import Claim
from nnqmc.system.comment import check_comment, other_unit, read_columns
from nnqmc.system.elements import nuclear_charge
from nnqmc.system.labels import is_dummy
from nnqmc.system.rows import is_number, looks_like_atom, parse_atom
from nnqmc.system.zmatrix import cartesian, is_zmatrix

_HEADER = re.compile(r"(?P<count>[0-9]{1,9})(\s+\(?(?P<unit>[a-z.\u00e5]{1,9})\)?)?", re.IGNORECASE)
_BEGINS_WITH_COUNT = re.compile(r"[0-9]{1,9}\s+[^\s0-9.,;+-][^;]*")
_LINES = re.compile(r"\r\n|\r|\n")  # str.splitlines takes some letters of 8-bit encodings for ends of lines, too
_PAIR = re.compile(r"[+-]?[0-9]{1,3}[\s,]+[0-9]{1,3}")
_SHOWN = 4


class Listed(NamedTuple):
    """The atoms of a text.

    Attributes:
        symbols: of the elements.
        positions: (n_atoms, 3), in the unit of the text.
        unit: 'bohr' or 'angstrom', or None where nobody says it.
        claim: what the text says of charge and spin.
    """

    symbols: tuple[str, ...]
    positions: np.ndarray
    unit: str | None
    claim: Claim | None


class _Frame(NamedTuple):
    """One set of atoms in a text: the numbered lines of the atoms, and the unit and the comment that go with them."""

    rows: list[tuple[int, str]]
    unit: str | None = None
    comment: str = ""
    comment_line: int = 0


def looks_like_atoms(text: str) -> bool:
    """Tell a list of atoms from a name or a path: it has several lines, a semicolon, or numbers after a word."""
    words = text.replace(",", " ").split()
    return ";" in text or len(text.splitlines()) > 1 or any(map(is_number, words[1:]))


def parse_atoms(text: str, origin: str, unit: str | None = None, frame: int | None = None) -> Listed:
    """Read atoms from xyz text, from loose text or from a Z-matrix.

    Text whose first line is a whole number, perhaps with a unit of length, is in the xyz format: number of atoms,
    comment, one atom per line, further columns ignored. Anything else is one 'symbol x y z' per line or between
    semicolons, or a Z-matrix; charge and multiplicity may stand before it. How labels and numbers were read is logged
    where that isn't obvious.

    Args:
        text: the text itself.
        origin: what to call it in messages, such as the file's name.
        unit: 'bohr' or 'angstrom' where the caller says it; the text itself may, too.
        frame: which of several frames to read, counted from 1; a text with one frame needs none.

    Raises:
        InputError: the text can't be read; the message has the line's number and content.
    """
    lines = _LINES.split(text.lstrip("\ufeff"))
    first = next((i for i, line in enumerate(lines) if line.strip()), None)
    if first is None:
        raise InputError(f"{origin}: no atoms found; expected lines such as 'H 0.0 0.0 1.4'.")
    is_counted = _header(lines[first]) is not None
    if not is_counted and _BEGINS_WITH_COUNT.fullmatch(lines[first].strip()):
        raise InputError(f"{origin}, line {first + 1}: {lines[first].strip()[:80]!r} begins with a number of atoms, "
                         "beside which only a unit, bohr or angstrom, may stand; move the rest to the next line, the "
                         "comment.")
    frames = _frames(lines, first, origin) if is_counted else [_loose(lines)]
    chosen = _choose(frames, frame, origin)
    where = f"{origin}, line {chosen.comment_line}"
    check_comment(chosen.comment, where)
    if not chosen.rows:
        raise InputError(f"{origin}: no atoms found; expected lines such as 'H 0.0 0.0 1.4'.")
    symbols, positions = _atoms(chosen.rows, origin, extra_columns=is_counted)
    words = [row.split() for _, row in chosen.rows]
    if is_counted and "properties" not in chosen.comment.lower():
        _check_first_column(symbols, positions[:, 0], words, where)
    return Listed(symbols, positions, _unit(unit, chosen, origin), read_columns(chosen.comment, words, where))


def _unit(given: str | None, frame: _Frame, origin: str) -> str | None:
    """Return the unit that was given, or else that beside the number of atoms, and log where they differ."""
    log = logging.getLogger("nnqmc")
    if given is None and frame.unit is None and (other := other_unit(frame.comment)):
        raise InputError(f"{origin}, line {frame.comment_line}: {frame.comment.strip()[:100]!r} speaks of {other}; "
                         f"{'convert the coordinates, and ' if other[0] in 'np' else ''}pass unit='bohr' or "
                         "unit='angstrom' (--unit on the command line).")
    if given is None and frame.unit is not None:
        log.warning("%s: coordinates read as %s, which stands beside the number of atoms", origin, frame.unit)
    elif given not in (None, frame.unit) and frame.unit is not None:
        log.warning("%s: coordinates read as %s as given, instead of the %s beside the number of atoms", origin, given,
                    frame.unit)
    return frame.unit if given is None else given


def _header(line: str) -> re.Match[str] | None:
    """Return the parts of a line that holds the number of atoms and perhaps a unit of length, or None."""
    parts = _HEADER.fullmatch(line.strip())
    if parts is None or parts["unit"] is None:
        return parts
    try:
        return parts if length_unit(parts["unit"]) else None
    except InputError:
        return None


def _frames(lines: Sequence[str], first: int, origin: str) -> list[_Frame]:
    """Return all frames of a text in the xyz format, whose first number of atoms is in line `first`."""
    frames, after, place = [], [], first
    while place < len(lines):
        header = _header(lines[place])
        if header is None:
            after += [(place + 1, lines[place].strip())] if lines[place].strip() else []
            place += 1
            continue
        count, start = int(header["count"]), place
        place += 2
        rows: list[tuple[int, str]] = []
        while place < len(lines) and len(rows) < count:
            if _header(lines[place]):  # of the next frame: no atom is a single number
                break
            rows += [(place + 1, lines[place].strip())] if lines[place].strip() else []
            place += 1
        comment = lines[start + 1] if start + 1 < len(lines) else ""
        _check_count(count, rows, f"{origin}, line {start + 1}", comment)
        frames.append(_Frame(rows, length_unit(header["unit"]), comment, start + 2))
    further = [row for row in after if looks_like_atom(row[1])]
    if further:
        raise InputError(f"{origin}, line {first + 1}: the count says {counted(len(frames[0].rows), 'atom')}, but line "
                         f"{further[0][0]}, {further[0][1][:80]!r}, is one more; correct the count.")
    if after:
        logging.getLogger("nnqmc").warning("%s: %s after the atoms not read, the first of them is %r", origin,
                                           counted(len(after), "line"), after[0][1][:60])
    return frames


def _check_count(count: int, rows: Sequence[tuple[int, str]], where: str, comment: str) -> None:
    """Refuse a frame with fewer lines than atoms."""
    if len(rows) < count:
        lines = f"{counted(len(rows), 'line')} of atoms follow{'s' if len(rows) == 1 else ''} the comment line"
        hint = "put a comment, or an empty line, after the count" if looks_like_atom(comment) else "correct the count"
        raise InputError(f"{where}: the count says {counted(count, 'atom')}, but {lines}; {hint}.")


def _loose(lines: Sequence[str]) -> _Frame:
    """Return the atoms of loose text, where charge and multiplicity may stand before the first one."""
    pieces = ((i + 1, piece.strip()) for i, line in enumerate(lines) for piece in line.split(";"))
    rows = [(number, piece) for number, piece in pieces if piece]
    if rows and _PAIR.fullmatch(rows[0][1]):
        return _Frame(rows[1:], None, rows[0][1], rows[0][0])
    return _Frame(rows)


def _choose(frames: Sequence[_Frame], frame: int | None, origin: str) -> _Frame:
    """Return the frame that was asked for, or the only one."""
    n_frames = len(frames)
    if frame is None and n_frames > 1:
        raise InputError(f"{origin} holds {n_frames} frames; pass frame=N to nnqmc.molecule, or --frame N to "
                         f"`nnqmc run` or `nnqmc info`, with N from 1 to {n_frames}, or give a file of one frame.")
    if frame is not None and not 1 <= frame <= n_frames:
        raise InputError(f"frame={frame} was given, but {origin} holds {counted(n_frames, 'frame')}; pass a number "
                         f"from 1 to {n_frames}.")
    return frames[(frame or 1) - 1]


def _atoms(rows: Sequence[tuple[int, str]], origin: str, *, extra_columns: bool) -> tuple[tuple[str, ...], np.ndarray]:
    """Return symbols and positions of numbered lines, and log how they were read where that isn't obvious."""
    if not extra_columns and is_zmatrix([row for _, row in rows]):
        placed = cartesian(rows, origin)
        if any(is_dummy(label) for _, label, _ in placed):
            logging.getLogger("nnqmc").warning("%s: dummy atoms of the Z-matrix only place the others", origin)
            placed = [atom for atom in placed if not is_dummy(atom[1])]
        rows = [(line, f"{label} {x!r} {y!r} {z!r}") for line, label, (x, y, z) in
                ((line, label, position.tolist()) for line, label, position in placed)]
    atoms = [parse_atom(row, f"{origin}, line {number}", extra_columns=extra_columns) for number, row in rows]
    tell_readings((remark for atom in atoms for remark in atom.remarks), origin)
    return tuple(atom.symbol for atom in atoms), np.array([atom.position for atom in atoms], dtype=np.float64)


def _check_first_column(symbols: Sequence[str], first: np.ndarray, words: Sequence[Sequence[str]], where: str) -> None:
    """Refuse atoms whose first number is the nuclear charge, or counts the atoms, with three more numbers after it."""
    if len(words) < 2 or not all(len(row) > 4 and all(map(is_number, row[2:5])) for row in words):
        return
    is_charge = first.tolist() == [float(nuclear_charge(symbol)) for symbol in symbols]
    if is_charge or [row[1] for row in words] == [str(place + 1) for place in range(len(words))]:
        what = "is its nuclear charge" if is_charge else "counts the atoms"
        raise InputError(f"{where}: the first number of each atom {what}, and three more follow, so that it isn't "
                         "clear which are x, y, z; remove that column, or write Properties=species:S:1:pos:R:3 into "
                         "this line.")


def tell_readings(remarks: Iterable[str], origin: str) -> None:
    """Log how labels and numbers of a source were read, each once and no more than a few."""
    found = list(dict.fromkeys(remarks))
    if found:
        more = f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        logging.getLogger("nnqmc").warning("%s: read %s%s", origin, ", ".join(found[:_SHOWN]), more)
