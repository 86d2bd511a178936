"""What studies have in common: settings, the time limit and signals, and how far each of their runs has come."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nnqmc import presets
from nnqmc.config import Config, Layer, resolve
from nnqmc.config.resolve import TOP
from nnqmc.config.schema import check as check_setting
from nnqmc.errors import CheckpointError, InputError, Interrupted
from nnqmc.io import as_path
from nnqmc.job import Result, RunDirectory, default_directory
from nnqmc.job.calculation import complete_result
from nnqmc.job.directory import TRAIN
from nnqmc.job.progress import Reporter
from nnqmc.job.solve import sort_settings
from nnqmc.job.stopping import Stop, stop_on_signals
from nnqmc.messages import say
from nnqmc.statistics import Remaining
from nnqmc.statistics.correlation import autocorrelation
from nnqmc.studies.neighbours import Runs, observing
from nnqmc.typing import System

_CLEAR = 3.0
"""The standard errors beyond which a fall of the energy in few training steps is no noise."""

_FEWEST = 9
"""The training steps, after a start from a neighbour, of which thirds can be compared."""


def plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return keyword settings as values of the configuration; a ready-made object is refused by an InputError."""
    values, custom = sort_settings(settings)
    if custom:
        raise InputError(f"{sorted(custom)[0]} was given as a ready-made object, and a study can be resumed only from "
                         "settings: give the name of a part and its settings")
    return values


class Work:
    """The runs of a study, its settings, and when it has to stop.

    Args:
        out: the directory of the study; None takes one in runs/ called `name`.
        name: of the study.
        settings: what `nnqmc.solve` takes as settings, and preset, seed, max_time, progress, key_file and warm_steps as
            in `nnqmc.ase.NNQMC`; those that aren't for the configuration are taken out.
        observe: names of observables that the study needs besides.

    Raises:
        InputError: a setting is unknown, out of range, or a ready-made object, of which no other run could know.
    """

    def __init__(self, out: str | os.PathLike[str] | None, name: str, settings: Mapping[str, Any],
                 observe: tuple[str, ...] = ()) -> None:
        given = dict(settings)
        self.folder: Path = default_directory(name) if out is None else as_path(out, "out")
        self.progress: bool | Reporter = given.pop("progress", True)
        started, limit = given.pop("started", None), check_setting("max_time", TOP["max_time"],
                                                                   given.pop("max_time", None))
        self.stop = Stop(limit, time.monotonic() if started is None else started)
        self.runs = Runs(self.folder, given.pop("warm_steps", None), given.pop("key_file", None))
        self.top = {key: given.pop(key) for key in ("preset", "seed") if given.get(key) is not None}
        self.values = plain(given)
        self.observe = observe

    def config(self, system: System) -> Config:
        """Return the complete configuration of one run."""
        layers = [Layer("study", self.values), Layer("study", {"preset": presets.DEFAULT, **self.top})]
        return observing(resolve(system, layers), *self.observe)

    def say(self, text: str) -> None:
        """Tell a line about the progress of the study."""
        if self.progress is not False:
            say(text)

    def done(self, config: Config) -> tuple[RunDirectory, Result] | None:
        """Return the run of a configuration if it is complete, from its files."""
        directory = self.runs.find(config)
        result = None if directory is None else complete_result(directory)
        return None if result is None else (directory, result)

    def solved(self, config: Config, place: str) -> tuple[RunDirectory, Result] | None:
        """Return the run of a configuration, computed as far as it isn't there; None once the time is over.

        Args:
            config: of the run.
            place: what the run is in the study, such as "point 3 of 8".

        Raises:
            Interrupted: Ctrl-C or another signal; all that is computed is in the run's files.
            SCFError, NumericalError, CheckpointError: the run failed.
        """
        if (found := self.done(config)) is not None:
            return found
        try:
            return self._computed(config)
        except Interrupted as error:
            error.args = (f"{error.args[0].partition('; ')[0]}, in {place}; nothing is lost, and the same command goes "
                          "on",)
            raise

    def _computed(self, config: Config) -> tuple[RunDirectory, Result] | None:
        """Return the run of a configuration that isn't complete; None once the time is over."""
        with stop_on_signals(self.stop, lambda text: None):
            self._leave_if_asked()
            directory = None if self.stop.is_time_over else self.runs.begin(config)
        self._leave_if_asked()
        if directory is None:
            return None
        left = None if self.stop.max_time is None else max(self.stop.max_time - self.stop.elapsed, 1e-3)
        return directory, self.runs.complete(directory, progress=self.progress, max_time=left)

    def _leave_if_asked(self) -> None:
        """Raise Interrupted if a signal came between two runs."""
        if self.stop.heard:
            raise Interrupted(f"stopped by {self.stop.heard}")

    def resolved(self, directory: RunDirectory, result: Result) -> tuple[bool, Remaining | None]:
        """Return whether a run has converged, and what its training had left to gain in hartree.

        A run of a hundred steps or more knows both itself. In the few steps after a start from a neighbour, the last
        third of the energies is compared with the one before: a fall beyond three standard errors that exceeds half
        the error bar isn't converged. What it had left is that fall, and what the runs that began from Hartree-Fock
        had left, since it starts where they ended.
        """
        if result.left is not None or result.trend is not None:
            return result.converged, result.left
        fall, error = _fall(directory)
        target = result.settings.get("evaluate", {}).get("target_error")
        is_flat = not (fall > _CLEAR * error and 2.0 * fall > result.energy.error)
        is_done = result.complete and (target is None or bool(result.energy.error <= target))
        origin = self._origin(result)
        if origin is None:
            return False, None
        left, is_sound = origin
        total = Remaining(left.value + max(fall, 0.0), float(np.hypot(left.error, error)))
        return bool(result.trusted and is_done and is_flat and is_sound), total

    def _origin(self, result: Result) -> tuple[Remaining, bool] | None:
        """Return the most that a run of the same molecule from Hartree-Fock had left, and whether all converged."""
        system = result.settings["system"]
        kind = [system[name] for name in ("symbols", "charge", "spin")]
        found = []
        for directory in self.runs.known():
            config = directory.config
            if [config["system"][name] for name in ("symbols", "charge", "spin")] == kind:
                other = directory.load_result()
                if other is not None and other.left is not None:
                    found.append(other)
        if not found:
            return None
        return max((each.left for each in found), key=lambda left: left.value), all(each.converged for each in found)


def _fall(directory: RunDirectory) -> tuple[float, float]:
    """Return by how much the last third of the energies in training lies below the one before, and its error."""
    try:
        curve = directory.load_series(TRAIN)[0].get("energy", np.zeros(0))
    except (CheckpointError, OSError) as error:
        logging.getLogger("nnqmc").warning("%s: the learning curve can't be read: %s", directory.path, error)
        return 0.0, float("inf")
    curve = curve[np.isfinite(curve)]
    if len(curve) < _FEWEST:
        return 0.0, float("inf")
    parts = curve[-3 * (len(curve) // 3):].reshape(3, -1)[1:]
    errors = [autocorrelation(part).error for part in parts]
    return float(parts[0].mean() - parts[1].mean()), float(np.hypot(*errors))
