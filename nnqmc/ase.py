"""A calculator for ASE: energies and forces with their uncertainties, from runs that learn from their neighbours.

This module needs ASE (pip install "nnqmc[ase]"); nothing else of nnqmc imports it.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from nnqmc import presets
from nnqmc.config import Config, Layer, resolve
from nnqmc.errors import InputError, NumericalError
from nnqmc.io import as_path
from nnqmc.job import Result
from nnqmc.ranges import Between, check
from nnqmc.studies.measured_forces import best_forces
from nnqmc.studies.neighbours import Runs, observing
from nnqmc.system import molecule
from nnqmc.system.checks import whole_number
from nnqmc.typing import System
from nnqmc.units import BOHR_IN_ANGSTROM, HARTREE_IN_EV

try:
    from ase.calculators.calculator import Calculator, all_changes
except ImportError as error:
    raise ImportError('nnqmc.ase needs ASE, which is not installed: pip install "nnqmc[ase]"') from error

_LOGGER = logging.getLogger("nnqmc")

_OWN = ("charge", "spin", "forces", "warm_steps")
"""The settings of the calculator that no configuration has."""


class NNQMC(Calculator):
    """Computes energies (eV) and forces (eV/angstrom) of ASE Atoms by neural-network variational Monte Carlo.

    `results` holds "energy", "forces", and their standard errors "energy_uncertainty" and "forces_uncertainty" in the
    same units. The forces are the most likely ones among those whose sum and torque vanish ("balanced" in
    `nnqmc.observables.forces`), so that noise neither moves nor turns the molecule. `result` is the nnqmc.Result of the
    last geometry in atomic units. Reasons not to trust it are logged as warnings.

    Each geometry is a run in a directory of its own, `out`/0001 and so on. The first one is trained from Hartree-Fock.
    A geometry whose nuclei are within 1 bohr of those of another one of the same molecule, with the same settings,
    starts from the parameters of the nearest such one, and from its walkers, which follow the nuclei by space warp,
    and takes fewer training steps. A script that was interrupted goes on where it was when it is run again with the
    same `out`: what is done isn't computed again.

    Args:
        preset: a name in `nnqmc.presets.PRESETS`.
        charge: total charge; None takes the sum of the initial charges of the Atoms, or 0.
        spin: 2S = n_up - n_down; None takes the sum of the initial magnetic moments of the Atoms, or the lowest spin.
        out: a directory for the runs; None takes one that is removed with the calculator.
        seed: decides every random number.
        forces: the estimator, "forces" (AC-ZVZB) or "forces_space_warp"; see `nnqmc.observables`.
        warm_steps: training steps at a geometry that has a neighbour; None is a fifth of those of the preset.
        **settings: any section of the configuration as a dict, such as train={"steps": 300}; progress=True to see how
            the runs go. There is no max_time, since every geometry is computed to its end.

    `set` changes all of these but `out`.

    Raises:
        InputError: a setting is unknown or out of range; or, once it calculates, the Atoms are no molecule, or what
            they say of charge and spin isn't clear.
        NumericalError: a force isn't finite.
        Interrupted: Ctrl-C or a signal, while it calculates; nothing of what is done is lost if `out` is given.
    """

    implemented_properties = ("energy", "forces", "energy_uncertainty", "forces_uncertainty")

    def __init__(self, *, preset: str = presets.DEFAULT, charge: int | None = None, spin: int | None = None,
                 out: str | os.PathLike[str] | None = None, seed: int = 0,
                 forces: Literal["forces", "forces_space_warp"] = "forces",
                 warm_steps: Annotated[int | None, Between(1, 10**8)] = None, **settings: Any) -> None:
        self._out = None if out is None else as_path(out, "out")
        self._progress, self._temporary = False, None
        self._runs: Runs | None = None
        self.result: Result | None = None
        super().__init__()
        self.set(preset=preset, charge=charge, spin=spin, seed=seed, forces=forces, warm_steps=warm_steps, **settings)

    def set(self, **changes: Any) -> dict[str, Any]:
        """Change settings that the constructor takes, and return those that are new; results of others are forgotten.

        A section such as train={"steps": 300} takes the place of the whole one that was given before.

        Raises:
            InputError: a setting is unknown, out of range or can't be changed; all settings stay as they were then.
        """
        if not changes:
            return {}  # ASE's constructor asks for this
        if (limit := changes.pop("max_time", None)) is not None:
            raise InputError(f"max_time = {limit!r:.40}: every geometry is computed to its end, so leave max_time out, "
                             'and give train={"steps": ...} and evaluate={"max_steps": ...} for shorter runs')
        if "out" in changes:
            raise InputError(f"out = {str(changes['out'])!r:.60}: a calculator keeps its directory, so make another "
                             "one with NNQMC(out=...)")
        progress, chosen = changes.pop("progress", self._progress), {**self.parameters, **changes}
        check(NNQMC.__init__, forces=chosen["forces"], warm_steps=chosen["warm_steps"])
        for name in ("charge", "spin"):
            if chosen[name] is not None:
                whole_number(chosen[name], name)
        self._config(molecule("H"), chosen)
        changed = super().set(**deepcopy(changes))
        self._progress = progress
        if changed:
            self._runs = self.result = None
            self.reset()
        return changed

    def calculate(self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes) -> None:
        """Compute energy and forces of the Atoms, whatever is asked for; ASE calls this."""
        super().calculate(atoms, properties, system_changes)
        system = molecule(self.atoms, charge=self.parameters["charge"], spin=self.parameters["spin"])
        self.result = self._solved(self._config(system, self.parameters))
        found = self.result.observables[self.parameters["forces"]]
        if not np.isfinite(found.value).all():
            raise NumericalError(f"the forces of {system.name} aren't finite: {'; '.join(found.caveats)}")
        for sentence in (*self.result.caveats, *found.caveats):
            _LOGGER.warning("%s: not to be trusted: %s", system.name, sentence)
        energy, per_length = self.result.energy, HARTREE_IN_EV / BOHR_IN_ANGSTROM
        forces = best_forces(found)
        self.results = {"energy": energy.value * HARTREE_IN_EV, "energy_uncertainty": energy.error * HARTREE_IN_EV,
                        "forces": forces.value * per_length, "forces_uncertainty": forces.error * per_length}

    def _config(self, system: System, chosen: Mapping[str, Any]) -> Config:
        """Return the configuration of a geometry without neighbours, for the settings that were chosen."""
        given = {name: value for name, value in chosen.items() if name not in _OWN}
        return observing(resolve(system, [Layer("NNQMC", given)]), chosen["forces"])

    def _solved(self, config: Config) -> Result:
        """Return the result of a geometry, from its files if it is there, or begun alone or from its neighbour."""
        if self._runs is None:
            self._runs = Runs(self._folder(), self.parameters["warm_steps"])
        return self._runs.complete(self._runs.begin(config), progress=self._progress)

    def _folder(self) -> Path:
        """Return the directory of all runs."""
        if self._out is not None:
            return self._out
        if self._temporary is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="nnqmc-")
        return Path(self._temporary.name)
