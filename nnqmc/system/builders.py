"""`molecule`: one way in for names, xyz text and files, PySCF Moles, ASE Atoms and Systems."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nnqmc.errors import InputError
from nnqmc.system.checks import check_nuclei, check_spin, default_spin, electrons, length_unit, whole_number
from nnqmc.system.elements import SYMBOLS, formula, nuclear_charge
from nnqmc.system.lookup import find
from nnqmc.system.named import Entry
from nnqmc.system.xyz import looks_like_atoms, parse_atoms, read_text
from nnqmc.typing import System
from nnqmc.units import angstrom_to_bohr


class Draft(NamedTuple):
    """What a source says: symbols, positions in bohr, and charge, spin and name where it has them."""

    symbols: tuple[str, ...]
    positions: np.ndarray
    charge: int | None = None
    spin: int | None = None
    name: str | None = None


def molecule(
    source: Any,
    *,
    charge: int | float | np.integer | None = None,
    spin: int | float | np.integer | None = None,
    unit: str | None = None,
    name: str | None = None,
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

    Returns:
        The system: NumPy float64 arrays on the host, in bohr.

    Raises:
        InputError: the source or an option can't be used; the message says what is allowed.
    """
    draft = _draft(source, length_unit(unit))
    if not (name is None or (isinstance(name, str) and name.strip() and name.isprintable() and len(name) <= 200)):
        raise InputError(f"name={name!r:.80} is not a name; pass one line of text of at most 200 printable characters "
                         "that is not empty, or leave it out.")
    check_nuclei(draft.positions, draft.symbols)
    numbers = tuple(nuclear_charge(symbol) for symbol in draft.symbols)
    total = (draft.charge or 0) if charge is None else whole_number(charge, "charge")
    as_given = draft.charge is None or draft.charge == total
    n_electrons = electrons(numbers, total, draft.symbols)
    if spin is not None:
        two_s = whole_number(spin, "spin")
    elif draft.spin is not None and as_given:
        two_s = draft.spin
    else:
        two_s = default_spin(numbers, n_electrons, draft.symbols)
    check_spin(two_s, n_electrons)
    return System(
        atoms=draft.positions,
        charges=np.array(numbers, dtype=np.float64),
        n_up=(n_electrons + two_s) // 2,
        n_down=(n_electrons - two_s) // 2,
        symbols=draft.symbols,
        name=name or (as_given and draft.name) or formula(draft.symbols, total),
    )


def _draft(source: Any, unit: str | None) -> Draft:
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
    if unit is not None:
        raise InputError(f"unit={unit!r} was given with {source}, which carries its own; leave unit out.")


def _from_string(text: str, unit: str | None) -> Draft:
    """Several lines, semicolons or numbers make a list of atoms; then names; then paths."""
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
    found = find(word)
    _refuse_unit(unit, f"the name {word!r}")
    if isinstance(found, Entry):
        return Draft(found.symbols, np.array(found.atoms, dtype=np.float64), found.charge, found.spin, found.name)
    symbol, charge = found
    return Draft((symbol,), np.zeros((1, 3)), charge)


def _is_name(word: str) -> bool:
    try:
        return bool(find(word))
    except InputError:
        return False


def _is_file(word: str) -> bool:
    try:
        return Path(word).expanduser().is_file()
    except (OSError, ValueError, RuntimeError):
        return False


def _from_atoms(text: str, unit: str | None) -> Draft:
    symbols, positions = parse_atoms(text, "the text given")
    if unit is None and len(symbols) > 1:
        raise InputError(
            f"the unit of these {len(symbols)} atoms is not known: pass unit='bohr' or unit='angstrom' "
            "(--unit on the command line)."
        )
    return Draft(symbols, _bohr(positions, unit or "bohr"))


def _from_file(path: Path, unit: str | None) -> Draft:
    symbols, positions = parse_atoms(read_text(path), path.name)
    if unit is None:
        message = '%s: coordinates read as angstrom (pass unit="bohr" if they are bohr)'
        logging.getLogger("nnqmc").warning(message, path.name)
    name = "".join(character if character.isprintable() else " " for character in path.stem)[:200].strip()
    return Draft(symbols, _bohr(positions, unit or "angstrom"), name=name or None)


def _from_system(system: System) -> Draft:
    numbers = np.array([nuclear_charge(symbol) for symbol in system.symbols], dtype=np.float64)
    charges = np.asarray(system.charges, dtype=np.float64)
    if charges.shape != numbers.shape or not np.allclose(charges, numbers, rtol=0.0, atol=1e-6):
        raise InputError(
            f"the System's charges {charges.tolist()} don't belong to its symbols {list(system.symbols)}; "
            f"nuclei with charges {numbers.tolist()} are needed."
        )
    positions = np.array(system.atoms, dtype=np.float64)
    return Draft(system.symbols, positions, system.charge, system.spin, system.name or None)


def _from_pyscf(mole: Any) -> Draft:
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
    return Draft(symbols, _bohr(np.array(atoms.get_positions(), dtype=np.float64), "angstrom"))


def _bohr(positions: np.ndarray, unit: str) -> np.ndarray:
    with np.errstate(over="ignore"):  # a coordinate that overflows is refused as non-finite later
        return angstrom_to_bohr(positions) if unit == "angstrom" else positions
