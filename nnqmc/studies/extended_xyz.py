"""Structures with energies and forces as extended xyz, the form in which ASE and makers of force fields read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nnqmc.io import atomic_write
from nnqmc.job import Result
from nnqmc.statistics import Remaining
from nnqmc.studies.measured_forces import FORCES, best_forces, doubts
from nnqmc.typing import System
from nnqmc.units import BOHR_IN_ANGSTROM, HARTREE_IN_EV, bohr_to_angstrom


class Frame(NamedTuple):
    """A structure, the result of its run, whether that has converged, what training had left, and further words."""

    system: System
    result: Result
    converged: bool
    left: Remaining | None
    words: Mapping[str, Any]

    @property
    def caveats(self) -> tuple[str, ...]:
        """Return the reasons, in sentences, not to trust the energy or the forces."""
        return doubts(self.result)

    @property
    def is_label(self) -> bool:
        """Tell whether the run has converged, and nothing speaks against its energy and its forces."""
        return self.converged and not self.caveats


def write_frames(path: Path, frames: Iterable[Frame]) -> None:
    """Write structures as extended xyz in angstrom, eV and eV/angstrom.

    A structure that is a label has `energy` and, where they were measured, the arrays `forces`, under the keys by which
    ASE knows them, with the standard errors `energy_uncertainty` and `forces_uncertainty`. One that hasn't converged,
    or whose energy or forces aren't to be trusted, has `converged=F` and the same numbers as `unconverged_energy` and
    so on, so that nothing takes them for labels. `training_left` and `training_left_uncertainty` are what training had
    left to gain, in eV.
    """
    text = "".join(_frame(frame) for frame in frames)
    with atomic_write(path) as temporary:
        Path(temporary).write_text(text, encoding="utf-8")


def _frame(frame: Frame) -> str:
    """Return the lines of one structure."""
    prefix = "" if frame.is_label else "unconverged_"
    energy, observables = frame.result.energy, frame.result.observables
    words = {f"{prefix}energy": energy.value * HARTREE_IN_EV,
             f"{prefix}energy_uncertainty": energy.error * HARTREE_IN_EV}
    columns, names = [bohr_to_angstrom(np.asarray(frame.system.atoms))], ["pos:R:3"]
    if FORCES in observables:
        found = best_forces(observables[FORCES])
        per_length = HARTREE_IN_EV / BOHR_IN_ANGSTROM
        columns += [np.asarray(found.value) * per_length, np.asarray(found.error) * per_length]
        names += [f"{prefix}forces:R:3", f"{prefix}forces_uncertainty:R:3"]
    if frame.left is not None:
        words |= {"training_left": frame.left.value * HARTREE_IN_EV,
                  "training_left_uncertainty": frame.left.error * HARTREE_IN_EV}
    words |= {"converged": frame.is_label, "charge": frame.system.charge, "spin": frame.system.spin, **frame.words}
    comment = f"Properties=species:S:1:{':'.join(names)} " + " ".join(f"{key}={_word(value)}"
                                                                       for key, value in words.items())
    table = np.concatenate(columns, axis=1)
    rows = [f"{symbol:2} " + " ".join(f"{x:14.8f}" for x in row) + "\n"
            for symbol, row in zip(frame.system.symbols, table, strict=True)]
    return f"{len(rows)}\n{comment} pbc=\"F F F\"\n{''.join(rows)}"


def _word(value: Any) -> str:
    """Return a value as extended xyz has it."""
    if isinstance(value, bool):
        return "T" if value else "F"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.10g}"
    plain = "".join(letter if letter.isprintable() and letter not in "\"\\{}[]=" else "?" for letter in str(value))
    return f'"{plain}"'
