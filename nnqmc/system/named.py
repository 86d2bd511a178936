"""The named benchmark systems, their aliases and their reference energies (packaged data with sources)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from nnqmc.system.elements import nuclear_charge
from nnqmc.typing import System

DISTANCE_TOLERANCE = 1e-3
"""Interatomic distances (bohr) that differ by less than this belong to the same geometry."""


@dataclass(frozen=True)
class Reference:
    """A published total energy: non-relativistic, clamped nuclei of infinite mass.

    Attributes:
        name: the benchmark system it belongs to.
        energy: total energy in hartree.
        uncertainty: in hartree, or None where the source gives none.
        kind: 'exact' (explicitly correlated, variational), 'best-estimate' (may lie on either side of the truth) or
            'variational' (an upper bound within its error bar).
        source: where the number was published.
        lowest_variational: the lowest published variational energy, where it is worth comparing with.
    """

    name: str
    energy: float
    uncertainty: float | None
    kind: str
    source: str
    lowest_variational: Reference | None = None


@dataclass(frozen=True)
class Entry:
    """A named benchmark system.

    Attributes:
        name: its name, as `nnqmc.molecule` takes it.
        aliases: further names.
        symbols: element symbols of the atoms.
        atoms: positions of the nuclei in bohr, one (x, y, z) per atom.
        charge: total charge in units of e.
        spin: 2S = n_up - n_down.
        reference: its reference energy.
    """

    name: str
    aliases: tuple[str, ...]
    symbols: tuple[str, ...]
    atoms: tuple[tuple[float, float, float], ...]
    charge: int
    spin: int
    reference: Reference


@cache
def entries() -> tuple[Entry, ...]:
    """List every named benchmark system in the order of the packaged data, atoms first."""
    aliases = _read("aliases.json")
    return tuple(_entry(raw, tuple(aliases.get(raw["name"], ()))) for raw in _read("references.json")["entries"])


def reference(system: System) -> Reference | None:
    """Find the reference energy of a system by what it is, whatever its name, position and orientation.

    References are all-electron energies of molecules, so that a system with a core or a lattice has none. The nuclear
    charges, the numbers of spin-up and spin-down electrons and all interatomic distances (within 1e-3 bohr, compared in
    sorted order for each pair of elements) have to agree with those of a named entry.

    Args:
        system: the molecule, with concrete arrays.

    Returns:
        The reference, or None if no named entry matches.
    """
    if any(system.core) or system.lattice is not None:
        return None
    positions, charges = np.asarray(system.atoms, float), np.asarray(system.charges, float)
    for entry in entries():
        if (entry.charge, entry.spin, len(entry.symbols)) != (system.charge, system.spin, len(charges)):
            continue
        numbers = np.array([nuclear_charge(symbol) for symbol in entry.symbols], float)
        if _same_geometry(positions, charges, np.array(entry.atoms), numbers):
            return entry.reference
    return None


def _same_geometry(first: np.ndarray, charges: np.ndarray, second: np.ndarray, numbers: np.ndarray) -> bool:
    """Tell whether two sets of nuclei have the same charges and the same distances for each pair of charges."""
    if not np.allclose(np.sort(charges), np.sort(numbers), rtol=0.0, atol=1e-6):
        return False
    difference = _pair_table(first, np.round(charges)) - _pair_table(second, numbers)
    return bool(np.all(np.abs(difference) < DISTANCE_TOLERANCE))


def _pair_table(positions: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return the sorted rows (smaller Z, larger Z, distance) of all pairs of atoms."""
    i, j = np.triu_indices(len(numbers), k=1)
    distances = np.linalg.norm(positions[i] - positions[j], axis=-1)
    lower, upper = np.minimum(numbers[i], numbers[j]), np.maximum(numbers[i], numbers[j])
    order = np.lexsort((distances, upper, lower))
    return np.stack([lower, upper, distances], axis=-1)[order]


def _read(file: str) -> dict[str, Any]:
    """Read one of the packaged JSON files."""
    return json.loads((resources.files("nnqmc.system") / "data" / file).read_text(encoding="utf-8"))


def _entry(raw: dict[str, Any], aliases: tuple[str, ...]) -> Entry:
    """Build an entry from its packaged data."""
    bound = raw.get("lowest_variational")
    lowest = bound and Reference(raw["name"], bound["energy"], bound["uncertainty"], "variational", bound["source"])
    return Entry(
        name=raw["name"],
        aliases=aliases,
        symbols=tuple(symbol for symbol, *_ in raw["atoms"]),
        atoms=tuple((float(x), float(y), float(z)) for _, x, y, z in raw["atoms"]),
        charge=raw["charge"],
        spin=raw["spin"],
        reference=Reference(raw["name"], raw["energy"], raw["uncertainty"], raw["kind"], raw["source"], lowest),
    )
