"""`molecule`, the one way in for names, xyz text and files, PySCF Moles, ASE Atoms and Systems."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nnqmc.errors import InputError
from nnqmc.system.checks import length_unit, whole_number
from nnqmc.system.draft import Draft
from nnqmc.system.elements import SYMBOLS
from nnqmc.system.lookup import find
from nnqmc.system.named import Entry
from nnqmc.system.nuclei import check_charges, require_molecule
from nnqmc.system.xyz import looks_like_atoms, parse_atoms, read_text
from nnqmc.typing import System
from nnqmc.units import angstrom_to_bohr


def molecule(
    source: Any,
    *,
    charge: int | float | np.integer | None = None,
    spin: int | float | np.integer | None = None,
    unit: str | None = None,
    name: str | None = None,
    core: int | np.integer | Sequence[int] | np.ndarray | None = None,
) -> System:
    """Build a molecule from nearly anything that describes one.

    A source that carries a charge and spin (a named system, a PySCF Mole, a System) keeps them unless told otherwise.
    Everywhere else, and when the charge is changed, an atom or ion takes its ground-state spin and a molecule the
    lowest spin that its number of electrons allows (0 or 1).

    Args:
        source: a benchmark name or alias ('LiH', 'water'), an element or atomic ion ('Fe', 'O-', 'Ca^2+'), atoms as
            text ('He 0 0 0; H 0 0 1.4632', one per line, or in xyz format), the path of an xyz file, a built PySCF
            `Mole`, ASE `Atoms`, or a `System`.
        charge: total charge in units of e, a whole number.
        spin: 2S = n_up - n_down, a whole number.
        unit: 'bohr' or 'angstrom', for text and files. Text with two or more atoms needs it; files are in angstrom
            unless told otherwise, which is logged; other sources know their own.
        name: what to call it, instead of the benchmark's name, the file's stem or the formula.
        core: electrons of each atom that a pseudopotential replaces, one whole number per atom (0 for none); for a
            single atom the number itself will do.

    Returns:
        The system: NumPy float64 arrays on the host, in bohr.

    Raises:
        InputError: the source or an option can't be used; the message says what is allowed.
    """
    return draft(source, length_unit(unit)).changed(charge, spin, name, core).system()


def draft(source: Any, unit: str | None) -> Draft:
    """Read what a source says of a molecule, with 'bohr', 'angstrom' or None as the unit.

    Raises:
        InputError: the source can't be read.
    """
    if isinstance(source, str):
        return _from_string(source, unit)
    if isinstance(source, os.PathLike):
        return _from_file(Path(source), unit)
    if isinstance(source, System):
        _refuse_unit(unit, "a System")
        return _from_system(source)
    if hasattr(source, "atom_coords") and hasattr(source, "has_ecp"):
        _refuse_unit(unit, "a PySCF Mole")
        return _from_pyscf(source)
    if hasattr(source, "get_positions") and hasattr(source, "get_atomic_numbers"):
        return _from_ase(source, unit)
    raise InputError(
        f"can't make a molecule of {type(source).__name__}: allowed are a name, xyz text, the path of an xyz file, "
        "a PySCF Mole, ASE Atoms or a System."
    )


def _refuse_unit(unit: str | None, source: str) -> None:
    """Raise InputError where a unit was given with a source that has its own."""
    if unit is not None:
        raise InputError(f"unit={unit!r} was given with {source}, which carries its own; leave unit out.")


def _from_string(text: str, unit: str | None) -> Draft:
    """Read text, which is a list of atoms if it has several lines, semicolons or numbers, else a name, else a path."""
    word = text.strip()
    if not word:
        raise InputError("empty text given; pass a name such as 'LiH', atoms such as 'He 0 0 0', or an xyz file.")
    single = len(word.splitlines()) == 1
    if single and (word.lower().endswith(".xyz") or _is_file(word)) and not _is_name(word):
        return _from_file(Path(word), unit)
    if looks_like_atoms(word):
        return _from_atoms(text, unit)
    if _is_name(word) or not any(separator in word for separator in "/\\"):
        return _from_name(word, unit)
    return _from_file(Path(word), unit)


def _from_name(word: str, unit: str | None) -> Draft:
    """Look up a named system, a free atom or an ion."""
    found = find(word)
    _refuse_unit(unit, f"the name {word!r}")
    if isinstance(found, Entry):
        return Draft(found.symbols, np.array(found.atoms, dtype=np.float64), found.charge, found.spin, found.name)
    symbol, charge = found
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


def _from_atoms(text: str, unit: str | None) -> Draft:
    """Read a list of atoms in text."""
    symbols, positions = parse_atoms(text, "the text given")
    return Draft(symbols, in_bohr(positions, unit, len(symbols)))


def _from_file(path: Path, unit: str | None) -> Draft:
    """Read an xyz file, in angstrom unless told otherwise, and take its stem as the name."""
    symbols, positions = parse_atoms(read_text(path), path.name)
    if unit is None:
        message = '%s: coordinates read as angstrom (pass unit="bohr" if they are bohr)'
        logging.getLogger("nnqmc").warning(message, path.name)
    name = "".join(character if character.isprintable() else " " for character in path.stem)[:200].strip()
    return Draft(symbols, in_bohr(positions, unit or "angstrom"), name=name or None)


def _from_system(system: System) -> Draft:
    """Take a system apart, checked as if it came from a stranger."""
    require_molecule(system)
    check_charges(system)
    n_up, n_down = whole_number(system.n_up, "n_up"), whole_number(system.n_down, "n_down")
    charge = round(float(np.sum(system.charges))) - n_up - n_down
    positions = np.array(system.atoms, dtype=np.float64)
    return Draft(system.symbols, positions, charge, n_up - n_down, system.name or None, system.core)


def _from_pyscf(mole: Any) -> Draft:
    """Read a built PySCF `Mole` without effective core potentials and ghost atoms."""
    if hasattr(mole, "lattice_vectors"):
        raise InputError("a periodic PySCF Cell was given; only molecules are allowed: pass a gto.Mole.")
    if mole.natm == 0:
        raise InputError("the PySCF Mole holds no atoms; give it some and call mol.build() first.")
    labels = [mole.atom_symbol(i) for i in range(mole.natm)]
    if mole.has_ecp():
        raise InputError("the PySCF Mole carries an effective core potential; only all-electron Moles: leave ecp out.")
    ghosts = [label for label, number in zip(labels, mole.atom_charges(), strict=True) if number < 1]
    if ghosts:
        raise InputError(f"the PySCF Mole has ghost atoms ({', '.join(ghosts)}); only real nuclei: remove them.")
    try:
        n_up, n_down = (int(count) for count in mole.nelec)
    except RuntimeError as error:
        raise InputError(f"the PySCF Mole is inconsistent: {error}. Correct its charge or spin.") from error
    symbols = tuple(SYMBOLS[int(number) - 1] for number in mole.atom_charges())
    positions = np.array(mole.atom_coords(unit="Bohr"), dtype=np.float64)
    return Draft(symbols, positions, int(mole.charge), n_up - n_down)


def _from_ase(atoms: Any, unit: str | None) -> Draft:
    """Read ASE `Atoms`, which are in angstrom."""
    if unit == "bohr":
        raise InputError("unit='bohr' was given with ASE Atoms, which are in angstrom by definition; leave unit out.")
    if np.any(atoms.pbc):
        raise InputError("the ASE Atoms are periodic; only molecules are allowed: set atoms.pbc = False.")
    numbers = [int(number) for number in atoms.get_atomic_numbers()]
    if not all(1 <= number <= len(SYMBOLS) for number in numbers):
        raise InputError(f"the ASE Atoms have atomic numbers {numbers}; only real nuclei, 1 to {len(SYMBOLS)}.")
    if np.any(atoms.get_initial_charges()) or np.any(atoms.get_initial_magnetic_moments()):
        message = "ASE initial charges and magnetic moments are not used (pass charge= and spin=)"
        logging.getLogger("nnqmc").warning(message)
    symbols = tuple(SYMBOLS[number - 1] for number in numbers)
    return Draft(symbols, in_bohr(np.array(atoms.get_positions(), dtype=np.float64), "angstrom"))


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
