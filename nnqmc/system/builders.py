"""`molecule`, the one way in for names, xyz text and files, lists of atoms, objects of PySCF and ASE, and Systems."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nnqmc.errors import InputError
from nnqmc.system.checks import length_unit, whole_number
from nnqmc.system.distances import warn_of_distances
from nnqmc.system.draft import Draft
from nnqmc.system.labels import ISOTOPES, element
from nnqmc.system.lookup import find
from nnqmc.system.named import Entry
from nnqmc.system.nuclei import check_charges, require_molecule
from nnqmc.system.objects import from_ase, from_list, from_pyscf
from nnqmc.system.textfile import read_stream, read_text
from nnqmc.system.xyz import looks_like_atoms, parse_atoms, tell_readings
from nnqmc.typing import System
from nnqmc.units import angstrom_to_bohr

_OWN_SUFFIXES = (".xyz", ".extxyz", ".txt", "")


def molecule(
    source: Any,
    *,
    charge: int | float | np.integer | None = None,
    spin: int | float | np.integer | None = None,
    unit: str | None = None,
    name: str | None = None,
    core: int | np.integer | Sequence[int] | np.ndarray | None = None,
    frame: int | float | np.integer | None = None,
) -> System:
    """Build a molecule from nearly anything that describes one.

    A source that carries a charge and spin (a named system, a PySCF Mole, a System) keeps them unless told otherwise.
    What the comment line of an xyz file or the fields of ASE Atoms say of them is used where it is clear, which is
    logged, and refused where it isn't; a `charge` or `spin` given here wins. Everywhere else, and when the charge is
    changed, an atom or ion takes its ground-state spin and a molecule the lowest spin that its number of electrons
    allows (0 or 1).

    Args:
        source: a benchmark name or alias ('LiH', 'water'), an element or atomic ion ('Fe', 'O-', 'Ca^2+'), atoms as
            text ('He 0 0 0; H 0 0 1.4632', one per line, in xyz format, or as a Z-matrix), the path of an xyz file or
            an open one, a list such as [('H', (0, 0, 0))], a built PySCF `Mole` or a mean field of one, ASE `Atoms`, or
            a `System`.
        charge: total charge in units of e, a whole number.
        spin: 2S = n_up - n_down, a whole number.
        unit: 'bohr' or 'angstrom', for text, lists and files. Two or more atoms need it; files are in angstrom unless
            told otherwise, which is logged; other sources know their own.
        name: what to call it, instead of the benchmark's name, the file's stem or the formula.
        core: electrons of each atom that a pseudopotential replaces, one whole number per atom (0 for none); for a
            single atom the number itself will do.
        frame: which of several frames of an xyz text or file to take, counted from 1.

    Returns:
        The system: NumPy float64 arrays on the host, in bohr.

    Raises:
        InputError: the source or an option can't be used; the message says what is allowed.
    """
    system = draft(source, length_unit(unit), frame).changed(charge, spin, name, core).system()
    if not isinstance(source, System):
        warn_of_distances(system.atoms, system.symbols)
    return system


def draft(source: Any, unit: str | None, frame: Any = None) -> Draft:
    """Read what a source says of a molecule, with 'bohr', 'angstrom' or None as the unit.

    Raises:
        InputError: the source can't be read.
    """
    frame = None if frame is None else whole_number(frame, "frame")
    source = _joined(source)
    if isinstance(source, str):
        return _from_string(source, unit, frame)
    if isinstance(source, os.PathLike):
        return _from_file(Path(source), unit, frame)
    if hasattr(source, "read"):
        origin = str(getattr(source, "name", "the file given"))[-200:]
        return _from_text(read_stream(source), unit, frame, origin, "angstrom")
    if frame is not None:
        raise InputError(f"frame={frame} was given with {type(source).__name__}; leave it out, since only xyz text and "
                         "files have frames.")
    return _from_object(source, unit)


def has_own_unit(source: Any) -> bool:
    """Tell whether a source of `molecule` is a name or an object with a unit of its own, and no text, file or list."""
    source = _joined(source)
    if isinstance(source, str):
        return _kind(source.strip()) == "name"
    return not (isinstance(source, os.PathLike | list | tuple | np.ndarray) or hasattr(source, "read"))


def _joined(source: Any) -> Any:
    """Return the text that a list of lines makes, and anything else as it is."""
    if isinstance(source, list | tuple) and source and all(isinstance(line, str) for line in source):
        return "\n".join(source)
    return source


def _from_object(source: Any, unit: str | None) -> Draft:
    """Read what is neither text nor a file."""
    if isinstance(source, type):
        raise InputError(f"the class {source.__name__} was given; pass an object of it.")
    if isinstance(source, System):
        _refuse_unit(unit, "a System")
        return _from_system(source)
    if hasattr(source, "mo_coeff") and hasattr(source, "mol"):
        _refuse_unit(unit, "a PySCF mean field")
        return from_pyscf(source.mol, getattr(source, "nelec", None))
    if hasattr(source, "atom_coords") and hasattr(source, "has_ecp"):
        _refuse_unit(unit, "a PySCF Mole")
        return from_pyscf(source)
    if hasattr(source, "get_positions") and hasattr(source, "get_atomic_numbers"):
        return from_ase(source, unit)
    if isinstance(source, list | tuple | np.ndarray):
        symbols, positions = from_list(source)
        return Draft(symbols, in_bohr(positions, unit, len(symbols)))
    raise InputError(
        f"can't make a molecule of {type(source).__name__}: allowed are a name, xyz text, the path of an xyz file, "
        "a list such as [('H', (0, 0, 0))], a PySCF Mole or mean field, ASE Atoms or a System."
    )


def _refuse_unit(unit: str | None, source: str) -> None:
    """Raise InputError where a unit was given with a source that has its own."""
    if unit is not None:
        raise InputError(f"unit={unit!r} was given with {source}, which carries its own; leave unit out.")


def _from_string(text: str, unit: str | None, frame: int | None) -> Draft:
    """Read text, which is that of atoms, a name or a path."""
    word = text.strip()
    if not word:
        raise InputError("empty text given; pass a name such as 'LiH', atoms such as 'He 0 0 0', or an xyz file.")
    kind = _kind(word)
    if kind == "atoms":
        return _from_text(text, unit, frame)
    return _from_name(word, unit, frame) if kind == "name" else _from_file(Path(word), unit, frame)


def _kind(word: str) -> str:
    """Return what text is: 'atoms' if it has several lines, semicolons or numbers, else a 'name', else a 'file'."""
    single = len(word.splitlines()) == 1
    if single and (word.lower().endswith(".xyz") or _is_file(word)) and not _is_name(word):
        return "file"
    if looks_like_atoms(word):
        return "atoms"
    return "name" if _is_name(word) or not any(separator in word for separator in "/\\") else "file"


def _from_name(word: str, unit: str | None, frame: int | None) -> Draft:
    """Look up a named system, a free atom or an ion."""
    found = find(word)
    _refuse_unit(unit, f"the name {word!r}")
    if frame is not None:
        raise InputError(f"frame={frame} was given with the name {word!r}, which has one geometry; leave frame out.")
    if isinstance(found, Entry):
        return Draft(found.symbols, np.array(found.atoms, dtype=np.float64), found.charge, found.spin, found.name)
    symbol, charge = found
    if word.upper() in ISOTOPES:
        tell_readings([element(word)[1]], "the name given")
    return Draft((symbol,), np.zeros((1, 3)), charge)


def _is_name(word: str) -> bool:
    """Tell whether a word names a system."""
    try:
        return bool(find(word))
    except InputError:
        return False


def _is_file(word: str) -> bool:
    """Tell whether a word is the path of a file."""
    try:
        return Path(word).expanduser().is_file()
    except (OSError, ValueError, RuntimeError):
        return False


def _from_text(text: str, unit: str | None, frame: int | None, origin: str = "the text given",
               usual: str | None = None) -> Draft:
    """Read a list of atoms in text, in the usual unit, if there is one, where nobody says another."""
    found = parse_atoms(text, origin, unit, frame)
    if found.unit is None and usual is not None:
        message = '%s: coordinates read as %s (pass unit="bohr" if they are bohr)'
        logging.getLogger("nnqmc").warning(message, origin, usual)
    positions = in_bohr(found.positions, found.unit or usual, len(found.symbols))
    return Draft(found.symbols, positions, claim=found.claim)


def _from_file(path: Path, unit: str | None, frame: int | None) -> Draft:
    """Read an xyz file, in angstrom unless told otherwise, and take its stem as the name."""
    name = "".join(character if character.isprintable() else " " for character in path.stem)[:200].strip()
    text = read_text(path)
    try:
        return _from_text(text, unit, frame, path.name, "angstrom")._replace(name=name or None)
    except InputError as error:
        if path.suffix.lower() in _OWN_SUFFIXES:
            raise
        raise InputError(f"{error} (It was read as an xyz file; for {path.suffix} pass the Atoms that ase.io.read "
                         "makes of it to nnqmc.molecule.)") from error


def _from_system(system: System) -> Draft:
    """Take a system apart, checked as if it came from a stranger."""
    require_molecule(system)
    check_charges(system)
    positions = np.array(system.atoms, dtype=np.float64)
    return Draft(system.symbols, positions, system.charge, system.spin, system.name or None, system.core)


def in_bohr(positions: np.ndarray, unit: str | None, n_atoms: int = 1) -> np.ndarray:
    """Return positions in bohr, given in `unit`; without a unit a single atom is taken to be in bohr.

    Raises:
        InputError: two or more atoms without a unit.
    """
    if unit is None and n_atoms > 1:
        raise InputError(
            f"the unit of these {n_atoms} atoms is not known: pass unit='bohr' or unit='angstrom' "
            "(--unit on the command line)."
        )
    with np.errstate(over="ignore"):  # a coordinate that overflows is refused as non-finite later
        return angstrom_to_bohr(positions) if unit == "angstrom" else positions
