"""Drafts of molecules: what a source says of one, with changes, and the system that is built from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from nnqmc.errors import InputError
from nnqmc.system.checks import check_nuclei, check_spin, default_spin, electrons, whole_number
from nnqmc.system.claims import Claim, check_words, settle
from nnqmc.system.elements import formula, nuclear_charge
from nnqmc.system.nuclei import nuclei
from nnqmc.typing import System


class Draft(NamedTuple):
    """The contents of a source: symbols, positions in bohr, and charge, spin, name and cores where it has them.

    A claim is what the source says of charge and spin in words that have to be weighed first.
    """

    symbols: tuple[str, ...]
    positions: np.ndarray
    charge: int | None = None
    spin: int | None = None
    name: str | None = None
    core: tuple[int, ...] = ()
    claim: Claim | None = None

    def changed(self, charge: Any = None, spin: Any = None, name: Any = None, core: Any = None) -> Draft:
        """Return the draft with the given values; where the charge changes, its old spin and name are dropped.

        Raises:
            InputError: charge or spin is not a whole number, or what the source claims of them is not clear.
        """
        charge = None if charge is None else whole_number(charge, "charge")
        spin = None if spin is None else whole_number(spin, "spin")
        if self.claim is not None:
            return self._settled(charge, spin).changed(charge, spin, name, core)
        total = self.charge if charge is None else charge
        is_same = self.charge is None or total == self.charge
        cores = tuple(core) if isinstance(core, Sequence | np.ndarray) else (core,)
        kept_spin, kept_name = (self.spin, self.name) if is_same else (None, None)
        return self._replace(
            charge=total,
            spin=kept_spin if spin is None else spin,
            name=kept_name if name is None else name,
            core=self.core if core is None else cores,
        )

    def _settled(self, charge: int | None, spin: int | None) -> Draft:
        """Return the draft with the charge and the spin that are given, or else claimed by the source."""
        numbers = tuple(map(nuclear_charge, self.symbols))
        nuclear = sum(numbers)
        total, settled_spin = settle(self.claim, nuclear, charge, spin)
        if self.claim.words:
            used = settled_spin
            if used is None:
                used = default_spin(numbers, electrons(nuclear, total or 0, self.symbols), self.symbols)
            check_words(self.claim, (total or 0, used), (total, settled_spin))
        return self._replace(charge=total, spin=settled_spin, claim=None)

    def system(self) -> System:
        """Build the system, with the ground-state or lowest spin and the formula where spin or name are missing.

        Raises:
            InputError: name, nuclei, cores, charge or spin are impossible; the message says what is allowed.
        """
        name = self.name
        if not (name is None or (isinstance(name, str) and name.strip() and name.isprintable() and len(name) <= 200)):
            raise InputError(f"name={name!r:.80} is not a name; pass one line of text of at most 200 printable "
                             "characters that is not empty, or leave it out.")
        check_nuclei(self.positions, self.symbols)
        atoms, total = nuclei(self.symbols, self.core), self.charge or 0
        n_electrons = electrons(sum(atom.charge for atom in atoms), total, self.symbols)
        core = tuple(atom.core for atom in atoms)
        numbers = tuple(atom.number for atom in atoms)
        spin = default_spin(numbers, n_electrons + sum(core), self.symbols) if self.spin is None else self.spin
        check_spin(spin, n_electrons)
        return System(
            atoms=self.positions,
            charges=np.array([atom.charge for atom in atoms], dtype=np.float64),
            n_up=(n_electrons + spin) // 2,
            n_down=(n_electrons - spin) // 2,
            symbols=self.symbols,
            name=name or formula(self.symbols, total),
            core=core if any(core) else (),
        )
