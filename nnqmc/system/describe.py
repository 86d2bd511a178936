"""The description of a molecule in words, as `nnqmc info` prints it."""

from __future__ import annotations

import numpy as np

from nnqmc.system.elements import formula
from nnqmc.system.named import Reference, reference
from nnqmc.system.nuclei import require_molecule
from nnqmc.system.reached import reached
from nnqmc.typing import System
from nnqmc.units import bohr_to_angstrom


def describe(system: System) -> str:
    """Describe a system in plain text: its atoms in bohr and angstrom, charge, spin, electrons and reference energy.

    Args:
        system: the molecule, with concrete arrays.

    Returns:
        Several lines without a final line break.

    Raises:
        InputError: the system has a lattice.
    """
    require_molecule(system)
    bohr = np.asarray(system.atoms, dtype=np.float64)
    rows = [_row(i, symbol, bohr[i]) for i, symbol in enumerate(system.symbols)]
    title = formula(system.symbols, system.charge)
    if system.name and system.name != title:
        title = f"{system.name} ({title})"
    return "\n".join(
        [
            title,
            f"  charge             {system.charge:+d}" if system.charge else "  charge             0",
            f"  spin 2S            {system.spin} ({_multiplicity(system.spin)})",
            f"  electrons          {system.n_electrons} ({system.n_up} up, {system.n_down} down)",
            *_core_line(system),
            f"  nuclear repulsion  {_nuclear_repulsion(bohr, np.asarray(system.charges)):.8f} hartree",
            *_reference_lines(reference(system)),
            *_reached_lines(reference(system)),
            "",
            "  {:>4} {:<2} {:>36} {:>36}".format("atom", "", "x, y, z (bohr)", "x, y, z (angstrom)"),
            *rows,
        ]
    )


def _core_line(system: System) -> list[str]:
    """Return a line with the core electrons of each atom that has some, and no line for all electrons."""
    cores = dict.fromkeys(f"{n} of {symbol}" for symbol, n in zip(system.symbols, system.core, strict=False) if n)
    return [f"  core electrons     {', '.join(cores)}, replaced by a pseudopotential"] if cores else []


def _row(index: int, symbol: str, bohr: np.ndarray) -> str:
    """Return one atom's number, symbol and position in both units."""
    numbers = "".join(f"{x:12.6f}" for x in bohr) + " " + "".join(f"{x:12.6f}" for x in bohr_to_angstrom(bohr))
    return f"  {index + 1:>4} {symbol:<2} {numbers}"


def _multiplicity(spin: int) -> str:
    """Return the name of a spin multiplicity."""
    names = ("singlet", "doublet", "triplet", "quartet", "quintet", "sextet", "septet")
    return names[spin] if spin < len(names) else f"multiplicity {spin + 1}"


def _nuclear_repulsion(positions: np.ndarray, charges: np.ndarray) -> float:
    """Return the sum of Z_I Z_J / |R_I - R_J| over pairs of nuclei in hartree."""
    i, j = np.triu_indices(len(charges), k=1)
    return float(np.sum(charges[i] * charges[j] / np.linalg.norm(positions[i] - positions[j], axis=-1)))


def _reference_lines(found: Reference | None) -> list[str]:
    """Return the lines with a reference energy and its source."""
    if found is None:
        return ["  reference          none known"]
    lines = [f"  reference          {_energy(found)} ({found.kind})", f"                     {found.source}"]
    if found.lowest_variational is not None:
        lower = found.lowest_variational
        lines += [f"  lowest variational {_energy(lower)}", f"                     {lower.source}"]
    return lines


def _reached_lines(known: Reference | None) -> list[str]:
    """Return the lines with what runs have reached, and one that says so where none was measured."""
    found = reached(known.name) if known else None
    if found is None:
        return ["  accuracy           not measured for this system"]
    cores = "one core" if found.cores == 1 else f"{found.cores} cores"
    return [f"  accuracy           {', '.join(f'{1e3 * d:+.2f}' for d in found.differences)} mHa from the reference",
            f"                     (preset standard, a run for each seed, error bars to {1e3 * found.error:.2f} mHa;",
            f"                     {found.seconds:g} s at the longest, on {cores}, with compilation)"]


def _energy(found: Reference) -> str:
    """Return an energy with its uncertainty."""
    error = f" +- {found.uncertainty:g}" if found.uncertainty else ""
    return f"{found.energy:.13g}{error} hartree"
