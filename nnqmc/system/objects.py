"""Readers of objects of other programs: PySCF Moles and mean fields, ASE Atoms, and lists of atoms."""

from __future__ import annotations

import logging
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from nnqmc.errors import InputError
from nnqmc.system.claims import Claim, add_sum
from nnqmc.system.comment import read_claim
from nnqmc.system.draft import Draft
from nnqmc.system.elements import SYMBOLS
from nnqmc.system.labels import element
from nnqmc.system.xyz import tell_readings
from nnqmc.units import angstrom_to_bohr


def from_pyscf(mole: Any, nelec: Any = None) -> Draft:
    """Read a built PySCF `Mole` without effective core potentials and ghost atoms.

    Charges of nuclei and numbers of electrons that were set by hand are respected, and logged.

    Args:
        mole: the `Mole`.
        nelec: numbers of up and down electrons instead of those of the `Mole`.

    Raises:
        InputError: it is no molecule with all electrons, or its numbers are inconsistent or fractions.
    """
    if hasattr(mole, "lattice_vectors"):
        raise InputError("a periodic PySCF Cell was given; only molecules are allowed: pass a gto.Mole.")
    if mole.natm == 0:
        raise InputError("the PySCF Mole holds no atoms; give it some and call mol.build() first.")
    try:
        labels = [mole.atom_symbol(i) for i in range(mole.natm)]
    except IndexError:
        raise InputError("the PySCF Mole holds point charges and no atoms, as those of fakemol_for_charges do; pass "
                         "the Mole of the molecule.") from None
    if mole.has_ecp():
        raise InputError("the PySCF Mole carries an effective core potential; only all-electron Moles: leave ecp out.")
    charges = _nuclear_charges(mole, labels)
    n_up, n_down = _electrons(mole, nelec)
    total = sum(charges) - n_up - n_down
    log = logging.getLogger("nnqmc")
    if total != mole.charge:
        log.warning("the PySCF Mole has %d up and %d down electrons, and so the charge %d instead of its mol.charge %s",
                    n_up, n_down, total, mole.charge)
    if mole.nucmod:
        log.warning("the PySCF Mole has nuclei of finite size (nucmod); they are taken as points")
    symbols = tuple(SYMBOLS[charge - 1] for charge in charges)
    return Draft(symbols, np.array(mole.atom_coords(unit="Bohr"), dtype=np.float64), total, n_up - n_down)


def _nuclear_charges(mole: Any, labels: Sequence[str]) -> list[int]:
    """Return the whole charges of all nuclei, and log those that are not that of their symbol."""
    charges = [float(charge) for charge in mole.atom_charges()]
    if any(not charge.is_integer() for charge in charges):
        raise InputError(f"the PySCF Mole has fractional nuclear charges {charges}; only those of elements: leave the "
                         "charges as mol.build() sets them.")
    ghosts = [label for label, charge in zip(labels, charges, strict=True) if charge < 1]
    if ghosts:
        raise InputError(f"the PySCF Mole has ghost atoms ({', '.join(ghosts)}); only real nuclei: remove them.")
    if max(charges) > len(SYMBOLS):
        raise InputError(f"the PySCF Mole has nuclear charges {charges}; 1 (H) to {len(SYMBOLS)} (Og) are allowed.")
    symbols = [SYMBOLS[int(charge) - 1] for charge in charges]
    for i, symbol in enumerate(symbols):
        if mole.atom_pure_symbol(i) != symbol:
            logging.getLogger("nnqmc").warning("atom %d (%s) of the PySCF Mole has the nuclear charge %g and is taken "
                                               "as %s", i + 1, labels[i], charges[i], symbol)
    return [int(charge) for charge in charges]


def _electrons(mole: Any, nelec: Any) -> tuple[int, int]:
    """Return the numbers of up and down electrons."""
    try:
        found = [float(count) for count in (mole.nelec if nelec is None else nelec)]
        if not float(mole.charge).is_integer() or not all(count.is_integer() for count in found):
            raise ValueError(f"charge {mole.charge} and nelec {found} have to be whole numbers")
        n_up, n_down = map(int, found)
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else "it has fewer electrons than its spin needs"
        raise InputError(f"the PySCF Mole is inconsistent: {reason}. Correct its charge or spin.") from error
    return n_up, n_down


def from_ase(atoms: Any, unit: str | None) -> Draft:
    """Read ASE `Atoms`, which are in angstrom, with what they say of charge and spin.

    That is what stands in `info`, and the sums of initial charges and of initial magnetic moments where there are any.

    Raises:
        InputError: they are periodic or hold ghost atoms, or 'bohr' was given as their unit.
    """
    if unit == "bohr":
        raise InputError("unit='bohr' was given with ASE Atoms, which are in angstrom by definition; leave unit out.")
    if np.any(atoms.pbc):
        raise InputError("the ASE Atoms are periodic; only molecules are allowed: set atoms.pbc = False.")
    numbers_ = [int(number) for number in atoms.get_atomic_numbers()]
    if not all(1 <= number <= len(SYMBOLS) for number in numbers_):
        raise InputError(f"the ASE Atoms have atomic numbers {numbers_}, where 0 marks a ghost or dummy atom; only "
                         f"real nuclei, 1 to {len(SYMBOLS)}: remove the others.")
    symbols = tuple(SYMBOLS[number - 1] for number in numbers_)
    with np.errstate(over="ignore"):
        positions = angstrom_to_bohr(np.array(atoms.get_positions(), dtype=np.float64))
    return Draft(symbols, positions, claim=_ase_claim(atoms))


def _ase_claim(atoms: Any) -> Claim | None:
    """Return what ASE Atoms say of charge and spin, or None."""
    pairs = [(str(key)[:60], _text(value)) for key, value in atoms.info.items()]
    words = [key if text == "True" else f'{key}="{text}"' for key, text in pairs if text]
    claim = read_claim(" ".join(words), "the info of the ASE Atoms") or Claim("the ASE Atoms")
    if words == ["1"]:  # ASE reads the comment line '1 1' as that
        claim = Claim("the info of the ASE Atoms, {'1': True},", unclear="may come from a comment line '1 1' of charge "
                      "and multiplicity: remove it")
    claim = add_sum(claim, "initial charges", "charge", atoms.get_initial_charges())
    claim = add_sum(claim, "initial magnetic moments", "unpaired", atoms.get_initial_magnetic_moments())
    return claim if claim.entries or claim.words or claim.unclear else None


def _text(value: Any) -> str:
    """Return a value of the info of ASE Atoms as text, arrays and dictionaries too; '' where it is anything else."""
    if isinstance(value, str | numbers.Number | np.bool_ | dict):
        return str(value)[:200]
    try:
        array = np.asarray(value)
    except Exception:  # whatever an object of a stranger raises
        return ""
    return str(array)[:200] if array.dtype.kind in "biufU" else ""


def from_list(atoms: Sequence[Any] | np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Read a list of atoms such as [('H', (0, 0, 0)), ('H', 0, 0, 1.4)], labels or atomic numbers first.

    Returns:
        Symbols and positions (n_atoms, 3), in the unit of the list.

    Raises:
        InputError: an item is no atom.
    """
    symbols, positions, readings = [], [], []
    for place, atom in enumerate(atoms, start=1):
        label, position = _label_and_position(atom, place)
        symbol, reading = element(label)
        symbols.append(symbol)
        positions.append(position)
        readings += [reading] if reading else []
    tell_readings(readings, "the list of atoms")
    return tuple(symbols), np.array(positions, dtype=np.float64).reshape(-1, 3)


def _label_and_position(atom: Any, place: int) -> tuple[str, list[float]]:
    """Return the label and the three coordinates of one item of a list of atoms."""
    try:
        label, *rest = atom
        coordinates = rest[0] if len(rest) == 1 else rest
        x, y, z = (float(value) for value in coordinates)
        if isinstance(label, numbers.Real) and not isinstance(label, bool) and float(label).is_integer():
            label = str(int(label))
        if not isinstance(label, str) or any(isinstance(value, str) for value in coordinates):
            raise TypeError
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"item {place} of the list of atoms is {atom!r:.80}; expected a label and three numbers, such "
                         "as ('H', (0, 0, 1.4)), for each atom.") from None
    return label.strip(), [x, y, z]
