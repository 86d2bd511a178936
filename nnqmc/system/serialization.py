"""A system as plain values, for configurations, run directories and results: written exactly, and read with checks."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from nnqmc.errors import InputError
from nnqmc.system.builders import draft, in_bohr, molecule
from nnqmc.system.checks import length_unit, whole_number
from nnqmc.system.distances import warn_of_distances
from nnqmc.system.draft import Draft
from nnqmc.system.labels import element
from nnqmc.system.named import Reference, reference
from nnqmc.system.xyz import tell_readings
from nnqmc.typing import System

_KEYS = ("source", "name", "unit", "charge", "spin", "symbols", "atoms", "core", "frame")
_TEXTS = ("source", "name", "unit")
_WHOLE_NUMBERS = ("charge", "spin", "frame")
_WRITTEN = frozenset({"name", "charge", "spin", "symbols"})
_LISTS = ("symbols", "atoms", "core")


def to_dict(system: System) -> dict[str, Any]:
    """Write a molecule as plain values, which TOML and JSON keep exactly; `from_dict` reads them.

    Args:
        system: the molecule, with concrete arrays.

    Returns:
        name, charge, spin, unit ('bohr'), symbols, atoms and, where a pseudopotential replaces electrons, core.

    Raises:
        InputError: the system is not a molecule that `nnqmc.molecule` would build.
    """
    system = molecule(system)
    return {
        "name": system.name,
        "charge": system.charge,
        "spin": system.spin,
        "unit": "bohr",
        "symbols": list(system.symbols),
        "atoms": system.atoms.tolist(),
        **({"core": list(system.core)} if system.core else {}),
    }


def from_dict(plain: Any, *, charge: int | None = None, spin: int | None = None) -> System:
    """Build the molecule that plain values describe: those of `to_dict`, or a section [system] that a person wrote.

    Args:
        plain: a mapping with `source` (as in `nnqmc.molecule`), or with `symbols` and `atoms`; name, charge, spin,
            unit, core and frame where needed.
        charge: total charge instead of that of `plain`; another charge doesn't keep spin and name.
        spin: 2S instead of that of `plain`.

    Returns:
        The system: NumPy float64 arrays on the host, in bohr.

    Raises:
        InputError: a key is unknown or missing, a value has the wrong type, or the molecule can't be.
    """
    _check_types(plain)
    unit = length_unit(plain.get("unit"))
    found = draft(plain["source"], unit, plain.get("frame")) if "source" in plain else _listed(plain, unit)
    own = {key: plain[key] for key in ("charge", "spin", "name", "core") if key in plain}
    first = found.changed(**own)
    system = first._replace(charge=first.charge or 0).changed(charge, spin).system()
    if not _WRITTEN <= plain.keys():  # what `to_dict` wrote was looked at before
        warn_of_distances(system.atoms, system.symbols)
    return system


def known_energy(config: Mapping[str, Any]) -> Reference | None:
    """Return the published energy of a configuration's system, or None, also for a Hamiltonian of the user's own.

    Args:
        config: with the section system and, for Python objects of the user's own, custom.

    Raises:
        InputError: as `from_dict`.
    """
    return None if "hamiltonian" in config.get("custom", {}) else reference(from_dict(config["system"]))


def _check_types(plain: Any) -> None:
    """Refuse what is not a mapping, keys that mean nothing, and values of another type than their key asks for."""
    if not isinstance(plain, Mapping):
        raise InputError(f"system = {_shown(plain)}: it is a section; write system.source = 'LiH', for example")
    for key, value in plain.items():
        if key not in _KEYS:
            near = difflib.get_close_matches(str(key)[:60], _KEYS, n=1, cutoff=0.5)
            hint = f"did you mean 'system.{near[0]}'? " if near else ""
            raise InputError(f"unknown setting 'system.{str(key)[:60]}': {hint}Allowed: {', '.join(_KEYS)}")
        if key in _TEXTS and not isinstance(value, str):
            raise InputError(f"system.{key} = {_shown(value)}: it has to be text")
        if key in _LISTS and not isinstance(value, list | tuple):
            raise InputError(f"system.{key} = {_shown(value)}: it has to be a list with one item per atom")
        if key in _WHOLE_NUMBERS:
            whole_number(value, f"system.{key}")
    if ("source" in plain) == bool({"symbols", "atoms"} & plain.keys()) or ("symbols" in plain) != ("atoms" in plain):
        raise InputError("the section [system] needs source = 'NAME', or symbols = ['H', ...] and "
                         "atoms = [[x, y, z], ...] of the same length with unit, and not both")


def _listed(plain: Mapping[str, Any], unit: str | None) -> Draft:
    """Return the draft of a molecule whose atoms are written out."""
    symbols, rows = plain["symbols"], plain["atoms"]
    if len(symbols) != len(rows):
        raise InputError(f"system.symbols has the length {len(symbols)} and system.atoms {len(rows)}: they have to be "
                         "of the same length, with one [x, y, z] for each symbol")
    for symbol in symbols:
        if not isinstance(symbol, str):
            raise InputError(f"system.symbols holds {_shown(symbol)}: give element symbols such as 'H'")
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, list | tuple) or len(row) != 3 or not all(map(_is_coordinate, row)):
            raise InputError(f"system.atoms: atom {number} is {_shown(row)}, and three numbers [x, y, z] are needed")
    found = [element(symbol) for symbol in symbols]
    tell_readings((reading for _, reading in found if reading), "system.symbols")
    proper = tuple(symbol for symbol, _ in found)
    return Draft(proper, in_bohr(np.array(rows, dtype=np.float64).reshape(-1, 3), unit, len(rows)))


def _is_coordinate(value: Any) -> bool:
    """Tell whether a value is a number that a float holds."""
    return isinstance(value, float) or (type(value) is int and abs(value) < 2**1000)


def _shown(value: Any) -> str:
    """Return a value as a person would recognise it, short however large it is."""
    try:
        return reprlib.repr(value)
    except ValueError:  # a whole number of thousands of digits
        return "a huge number"
