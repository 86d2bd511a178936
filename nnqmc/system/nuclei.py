"""Nuclei: the element of an atom, the core that a pseudopotential replaces, and the effective charge.

Whatever needs the full charge of an element, or the core, asks `nuclei`; `System.charges` are the effective charges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from nnqmc.errors import InputError
from nnqmc.messages import counted
from nnqmc.system.checks import whole_number
from nnqmc.system.elements import nuclear_charge
from nnqmc.system.shells import closed_cores
from nnqmc.typing import System


class Nucleus(NamedTuple):
    """One nucleus: its charge Z and how many core electrons a pseudopotential replaces (0 for all electrons)."""

    number: int
    core: int

    @property
    def charge(self) -> int:
        """Return the effective charge, Z less the core."""
        return self.number - self.core


def nuclei(symbols: Sequence[str], core: Sequence[Any] = ()) -> tuple[Nucleus, ...]:
    """Look up the nuclear charge of each atom and check its core.

    Args:
        symbols: element symbols.
        core: core electrons of each atom, or nothing where all atoms keep all electrons.

    Returns:
        One nucleus per atom.

    Raises:
        InputError: an unknown element, another number of cores than of atoms, or a core that isn't made of the full
            inner subshells of its atom.
    """
    if core and len(core) != len(symbols):
        raise InputError(f"core has {counted(len(core), 'number')} for {counted(len(symbols), 'atom')}; give one per "
                         "atom (0 for all electrons), or leave core out.")
    numbers = [nuclear_charge(symbol) for symbol in symbols]
    cores = [whole_number(n, "core") for n in core] or [0] * len(numbers)
    for symbol, number, n in zip(symbols, numbers, cores, strict=True):
        if n not in (allowed := closed_cores(number)):
            raise InputError(f"a core of {counted(n, 'electron')} doesn't fill the inner subshells of {symbol}; "
                             f"allowed are {', '.join(map(str, allowed))}.")
    return tuple(map(Nucleus, numbers, cores))


def check_charges(system: System) -> None:
    """Refuse a system whose charges are not those that its elements and cores leave.

    Raises:
        InputError: the charges are others; the message has those that are needed.
    """
    needed = [float(nucleus.charge) for nucleus in nuclei(system.symbols, system.core)]
    charges = np.asarray(system.charges, dtype=np.float64)
    if charges.shape != (len(needed),) or not np.allclose(charges, needed, rtol=0.0, atol=1e-6):
        raise InputError(f"the charges {charges.tolist()} don't belong to the elements {list(system.symbols)}"
                         f"{f' with the cores {list(system.core)}' if any(system.core) else ''}; nuclei with charges "
                         f"{needed} are needed: give another charge of the whole as charge=.")


def require_molecule(system: Any) -> None:
    """Refuse a periodic system where only a molecule has a meaning.

    Raises:
        InputError: the system has a lattice or no whole number of electrons, or is no `System` at all.
    """
    if not isinstance(system, System):
        raise InputError(f"{system!r:.60} is not a System; build one with nnqmc.molecule(...).")
    whole_number(system.n_up, "n_up")
    whole_number(system.n_down, "n_down")
    if system.lattice is not None:
        raise InputError(f"{system.name or 'the system'} has a lattice, and only molecules are allowed here: leave "
                         "lattice out.")
