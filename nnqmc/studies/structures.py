"""Lists of structures, and what is known of the atoms in them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nnqmc.errors import InputError
from nnqmc.messages import counted
from nnqmc.system import entries, molecule
from nnqmc.system.builders import has_own_unit
from nnqmc.system.checks import length_unit
from nnqmc.system.comment import other_unit
from nnqmc.typing import System

_MOST_BYTES = 2**28
_SUFFIXES = (".xyz", ".extxyz")


def is_list(source: Any) -> bool:
    """Tell whether a source is a list of structures or the file of one, and no single molecule."""
    if isinstance(source, list | tuple):
        return bool(source) and not _is_atom(source[0])
    return isinstance(source, str | os.PathLike) and str(source).lower().endswith(_SUFFIXES)


def read_structures(source: Any, *, charge: int | None = None, spin: int | None = None, unit: str | None = None
                    ) -> list[System]:
    """Return all structures of an xyz file, or of a list of anything that `nnqmc.molecule` takes.

    Args:
        source: the path of a file with any number of frames; a list or an iterator of structures; or a single one that
            isn't text.
        charge: of all structures; None leaves it to each of them.
        spin: of all structures, 2S; None leaves it to each of them.
        unit: of the coordinates in files, texts and lists of atoms; a name or an object has its own. Files are in
            angstrom unless told otherwise.

    Raises:
        InputError: there is none, or one can't be read; the message says which.
    """
    unit = length_unit(unit)
    if isinstance(source, str | os.PathLike):
        return _structures_of_file(Path(source), charge, spin, unit)
    is_iterator = isinstance(source, Iterator) and not hasattr(source, "read")
    parts = list(source) if is_list(source) or is_iterator else [source]
    if not parts or (isinstance(source, list | tuple) and not source):  # an empty list is no molecule either
        raise InputError(f"{source!r:.80} holds no structures: give an xyz file with one frame or more, or a list of "
                         "what nnqmc.molecule takes")
    found = []
    for number, part in enumerate(parts, start=1):
        try:
            found.append(molecule(part, charge=charge, spin=spin, unit=None if has_own_unit(part) else unit))
        except InputError as error:
            raise InputError(f"structure {number} of {len(parts)}: {error}") from error
    return found


def _structures_of_file(path: Path, charge: int | None, spin: int | None, unit: str | None) -> list[System]:
    """Return the structures of all frames of an xyz file, which is in angstrom unless told otherwise.

    Raises:
        InputError: one can't be read; the message has the line in the file.
    """
    frames, found = list(_frames(path)), []
    if not frames:
        raise InputError(f"{path} holds no structures: give an xyz file with one frame or more")
    for number, (start, text) in enumerate(frames, start=1):
        is_other = any(other_unit(comment) for comment in text.split("\n")[1:2])
        try:
            found.append(molecule(text, charge=charge, spin=spin, unit=unit or (None if is_other else "angstrom")))
        except InputError as error:
            raise InputError(f"structure {number} of {len(frames)}: {_in_file(str(error), path, start)}") from error
    return found


def _in_file(message: str, path: Path, start: int) -> str:
    """Return a message on the text of a frame that begins after `start` lines as one on its file."""
    message = re.sub("the text given, line ([0-9]+)", lambda found: f"{path}, line {start + int(found[1])}", message)
    return message.replace("the text given", f"{path}, line {start + 1}")


def energy_of_atoms(system: System) -> float | None:
    """Return the sum of the reference energies of the neutral atoms in hartree, or None if one isn't known."""
    known = {entry.name: entry.reference.energy for entry in entries() if len(entry.symbols) == 1 and entry.charge == 0}
    if system.charge != 0 or not set(system.symbols) <= set(known):
        return None
    return sum(known[symbol] for symbol in system.symbols)


def atomic_masses(system: System) -> list[float]:
    """Return the masses of the most common isotopes in dalton."""
    from pyscf.data.elements import COMMON_ISOTOPE_MASSES

    return [float(COMMON_ISOTOPE_MASSES[round(float(charge))]) for charge in system.charges]


def pair_of(system: System, atoms: Any) -> tuple[int, int]:
    """Return the two atoms of a bond, counted from 0.

    Args:
        system: the molecule.
        atoms: their numbers from 1 on; None is enough where there are two atoms.

    Raises:
        InputError: it isn't said which atoms, or there are no such ones.
    """
    if atoms is None and system.n_atoms == 2:
        return 0, 1
    listed = ", ".join(f"{i} {symbol}" for i, symbol in enumerate(system.symbols[:12], start=1))
    if atoms is None:
        raise InputError(f"{system.name} has {counted(system.n_atoms, 'atom')} ({listed}): say which two are bonded "
                         "with --between I J or atoms=(I, J)" if system.n_atoms > 2 else
                         f"{system.name} has a single atom, and a curve needs two: give a molecule")
    try:
        first, second = (int(i) - 1 for i in atoms)
    except (TypeError, ValueError):
        raise InputError(f"atoms = {atoms!r:.60}: give the numbers of two atoms ({listed})") from None
    if first == second or not {first, second} <= set(range(system.n_atoms)):
        raise InputError(f"atoms {first + 1} and {second + 1}: give two different atoms of {system.name} ({listed})")
    return first, second


def _is_atom(entry: Any) -> bool:
    """Tell whether an entry of a list is one atom, such as ('H', (0, 0, 0))."""
    return isinstance(entry, list | tuple) and len(entry) in (2, 4) and isinstance(entry[0], str | int) and (
        not isinstance(entry[1], str))


def _frames(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the number of lines before each frame of an xyz file, and the text of the frame."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"{path} is larger than {_MOST_BYTES // 2**20} MiB: split it")
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except (OSError, ValueError) as error:
        raise InputError(f"{str(path)[:200]!r} can't be read: {getattr(error, 'strerror', None) or error}. Give an xyz "
                         "file with one frame or more, or in Python a list of what nnqmc.molecule takes") from error
    at = 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        if not re.fullmatch(r"\s*[0-9]{1,6}\s*", lines[at]):
            raise InputError(f"{path}, line {at + 1}: {lines[at]!r:.40} stands where the number of atoms of a frame is "
                             "expected: give an xyz file, whose frames have the number of atoms in their first line, a "
                             "comment in the second one, and a line 'H 0.0 0.0 0.74' for each atom")
        end = at + 2 + int(lines[at])
        if not any(map(str.strip, lines[at + 2:end])):
            raise InputError(f"{path}, line {at + 1}: no atoms follow the number {lines[at].strip()} and the comment: "
                             "complete the frame, or remove it")
        yield at, "\n".join(lines[at:end])
        at = end
