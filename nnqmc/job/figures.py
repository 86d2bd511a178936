"""The figures of a run, from its files."""

from __future__ import annotations

import logging

import numpy as np

from nnqmc.errors import NnqmcError, SignatureError
from nnqmc.job.directory import BLOCKING, CURVE, EVALUATE, TRAIN, RunDirectory
from nnqmc.job.result import Result
from nnqmc.statistics import Estimate
from nnqmc.system import Reference, from_dict, reference


def draw(directory: RunDirectory, result: Result | None) -> None:
    """Write energy.png and blocking.png from the run's files; what can't be drawn is a warning, not an error."""
    from nnqmc.plots import blocking_plot, learning_curve

    estimate: Estimate | None = None if result is None else result.energy
    known = known_energy(directory)
    try:
        series = directory.load_series(TRAIN)
        if len(series.get("step", ())):
            variance = series["variance"]
            error = np.sqrt(np.maximum(variance, 0.0) / directory.config["train"]["walkers"])
            learning_curve(directory.path / CURVE, series["step"], series["energy"], error=error, variance=variance,
                           reference=known, estimate=estimate, title=directory.config["system"]["name"])
        if (directory.path / EVALUATE).exists():
            blocking_plot(directory.path / BLOCKING, directory.load_series(EVALUATE)["energy"])
    except SignatureError:
        raise
    except (NnqmcError, OSError, KeyError, ImportError, RuntimeError, ArithmeticError, ValueError) as error:
        logging.getLogger("nnqmc").warning("the figures of %s can't be drawn: %s", directory.path, error)


def known_energy(directory: RunDirectory) -> Reference | None:
    """The published energy of a run's system, unless it has a Hamiltonian of its own."""
    has_own = "hamiltonian" in directory.config.get("custom", {})
    return None if has_own else reference(from_dict(directory.config["system"]))
