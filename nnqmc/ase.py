"""A calculator for ASE: energies and forces with their uncertainties, from runs that learn from their neighbours.

This module needs ASE (pip install "nnqmc[ase]"); nothing else of nnqmc imports it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import jax.numpy as jnp
import numpy as np

from nnqmc import presets
from nnqmc.config import Config, Layer, config_digest, resolve
from nnqmc.errors import InputError, NumericalError
from nnqmc.io import SeriesLog, as_path
from nnqmc.job import Result, RunDirectory, resume, run
from nnqmc.job.build import build, stage_key, state_template
from nnqmc.observables import warped
from nnqmc.parallel.surroundings import usual_rules
from nnqmc.ranges import Between, check
from nnqmc.samplers import check_state
from nnqmc.system import molecule
from nnqmc.typing import System, TrainState, Walkers
from nnqmc.units import BOHR_IN_ANGSTROM, HARTREE_IN_EV

try:
    from ase.calculators.calculator import Calculator, all_changes
except ImportError as error:
    raise ImportError('nnqmc.ase needs ASE, which is not installed: pip install "nnqmc[ase]"') from error

_NEAR = 1.0
"""A nucleus of a neighbour is at most so many bohr away."""

_SHARE = 0.1
"""The share of the usual training steps that a geometry with a neighbour gets."""

_LOGGER = logging.getLogger("nnqmc")


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
        warm_steps: training steps at a geometry that has a neighbour; None is a tenth of those of the preset.
        **settings: any section of the configuration as a dict, such as train={"steps": 300}; progress=True to see how
            the runs go.

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
        check(NNQMC.__init__, forces=forces, warm_steps=warm_steps)
        progress = settings.pop("progress", False)
        super().__init__(preset=preset, charge=charge, spin=spin, seed=seed, forces=forces, warm_steps=warm_steps,
                         **settings)
        self._progress, self._settings, self._temporary = progress, settings, None
        self._out = None if out is None else as_path(out, "out")
        self.result: Result | None = None
        self._config(molecule("H"))  # so that a wrong setting is refused now

    def calculate(self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes) -> None:
        """Compute energy and forces of the Atoms, whatever is asked for; ASE calls this."""
        super().calculate(atoms, properties, system_changes)
        system = molecule(self.atoms, charge=self.parameters["charge"], spin=self.parameters["spin"])
        self.result = self._solved(self._config(system))
        found = self.result.observables[self.parameters["forces"]]
        if not np.isfinite(found.value).all():
            raise NumericalError(f"the forces of {system.name} aren't finite: {'; '.join(found.caveats)}")
        for sentence in (*self.result.caveats, *found.caveats):
            _LOGGER.warning("%s: not to be trusted: %s", system.name, sentence)
        energy, per_length = self.result.energy, HARTREE_IN_EV / BOHR_IN_ANGSTROM
        forces = found.parts.get("balanced", found)
        self.results = {"energy": energy.value * HARTREE_IN_EV, "energy_uncertainty": energy.error * HARTREE_IN_EV,
                        "forces": forces.value * per_length, "forces_uncertainty": forces.error * per_length}

    def _config(self, system: System) -> Config:
        """Return the configuration of a geometry without neighbours."""
        given = {name: self.parameters[name] for name in ("preset", "seed")}
        config = resolve(system, [Layer("NNQMC", {**self._settings, **given})])
        wanted = [name.strip() for name in config["evaluate"]["observe"].split(",") if name.strip()]
        wanted += [self.parameters["forces"]] if self.parameters["forces"] not in wanted else []
        return config | {"evaluate": config["evaluate"] | {"observe": ",".join(wanted)}}

    def _solved(self, config: Config) -> Result:
        """Return the result of a geometry, from its files if it is there, or begun alone or from its neighbour."""
        folder = self._folder()
        warm = self.parameters["warm_steps"] or max(round(_SHARE * config["train"]["steps"]), 1)
        warm_config = config | {"train": config["train"] | {"steps": warm}}
        known = list(_runs(folder))
        for directory in known:
            if _is_same(directory.config, config) or (_is_same(directory.config, warm_config)
                                                      and any(directory.path.glob("checkpoint-*.h5"))):
                return resume(directory.path, progress=self._progress)
        path = folder / f"{1 + max((int(run.path.name) for run in known), default=0):04d}"
        neighbour = _nearest(known, config)
        if neighbour is None:
            return run(config, path, progress=self._progress)
        _begin(RunDirectory(path, warm_config), neighbour)
        return resume(path, progress=self._progress)

    def _folder(self) -> Path:
        """Return the directory of all runs."""
        if self._out is not None:
            return self._out
        if self._temporary is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="nnqmc-")
        return Path(self._temporary.name)


def _runs(folder: Path) -> Iterator[RunDirectory]:
    """Yield the runs in numbered directories; whatever else is there is passed over."""
    for path in sorted(folder.glob("[0-9]*")):
        if path.name.isdecimal():
            with contextlib.suppress(InputError):
                yield RunDirectory.open(path)


def _is_same(one: Config, other: Config) -> bool:
    """Tell whether two configurations give the same numbers."""
    lengths = [(config["train"]["steps"], config["evaluate"]) for config in (one, other)]
    return lengths[0] == lengths[1] and config_digest(one) == config_digest(other)


def _nearest(known: list[RunDirectory], config: Config) -> RunDirectory | None:
    """Return the complete run of the same molecule and settings whose nuclei are the nearest ones, if near enough."""
    def kind(config: Config) -> str:
        return config_digest(config | {"system": config["system"] | {"atoms": []}})

    def distance(directory: RunDirectory) -> float:
        moves = np.subtract(directory.config["system"]["atoms"], config["system"]["atoms"])
        return float(np.linalg.norm(moves, axis=-1).max())

    same = [each for each in known if kind(each.config) == kind(config) and each.load_result() is not None]
    near = [each for each in same if distance(each) <= _NEAR]
    return min(near, key=distance, default=None)


@usual_rules()
def _begin(directory: RunDirectory, neighbour: RunDirectory) -> None:
    """Write a checkpoint before the first step: parameters of the neighbour, and its walkers moved with the nuclei.

    The configuration is written last, so that a directory that has one also has the checkpoint.
    """
    before, now = build(neighbour.config), build(directory.config)
    restored = neighbour.load_state(partial(state_template, neighbour.config, before))
    if restored is None:
        raise InputError(f"{neighbour.path} has no checkpoint any more: remove that directory, and run this again")
    state = restored.state
    walkers = state.sampler.walkers
    electrons = warped(walkers.electrons, before.system.atoms, now.system.atoms)
    chains = check_state(now.sampler.init(Walkers(electrons, walkers.log_weight), now.system))
    if hasattr(chains.shared, "width"):
        chains = chains._replace(shared=chains.shared._replace(width=state.sampler.shared.width))
    first = TrainState(jnp.zeros((), jnp.int32), stage_key(directory.config, "train"), state.average, state.average,
                       chains, state.opt_state)
    directory.path.mkdir(parents=True, exist_ok=True)
    with directory.lock():
        directory.save_state(first, SeriesLog(), {})
        directory.save_config()
