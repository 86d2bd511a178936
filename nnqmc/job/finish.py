"""The end of a run: its result, the files that keep it, and the figures drawn from them."""

from __future__ import annotations

import contextlib
import logging
import platform
from importlib.metadata import PackageNotFoundError, version

import jax
import numpy as np

from nnqmc.cost.forecast import performance
from nnqmc.errors import CheckpointError, NnqmcError, SignatureError
from nnqmc.io import SeriesLog
from nnqmc.job.directory import RunDirectory
from nnqmc.job.job import Job
from nnqmc.job.result import FRACTIONS, Result
from nnqmc.methods import Evaluation
from nnqmc.parallel.processes import from_first, is_first
from nnqmc.statistics import is_enough, notes_on_training, remaining, training_energy, trend
from nnqmc.typing import TrainState
from nnqmc.version import VERSION


def finish(job: Job, state: TrainState, measured: Evaluation, log: SeriesLog, seed: int | None = None) -> Result:
    """Write what belongs to the result and return it; `seed` is that of the evaluation, if it is not the run's.

    Raises:
        CheckpointError: the files can't be written; the message holds the result.
        Interrupted: a signal cut the evaluation; the exception has the result, and nothing is written.
    """
    result = _result(job, int(state.step), measured, log)
    if not measured.finished:
        job.leave_if_asked("during evaluation", lambda: result)
    if job.directory is None:
        return result
    steps = np.arange(1, len(measured.series["energy"]) + 1)
    attributes = {"config": job.directory.digest, "seed": job.config["seed"] if seed is None else seed,
                  "training_steps": int(state.step), "nnqmc": VERSION}
    try:
        job.directory.save_evaluation({"step": steps, **measured.series}, attributes)
        job.directory.save_result(result)
    except CheckpointError as error:
        kept = f"{error}\nWhat could not be kept is the result:\n{result}" if str(error) else ""
        raise CheckpointError(kept) from error
    if measured.finished:
        job.directory.remove_kept_evaluation()
    if is_first():
        draw(job.directory)
    from_first(lambda: None)  # the others wait here, and not at the end, where time is short
    return result


def unevaluated(job: Job, steps: int, log: SeriesLog) -> Result | None:
    """Return the mean energy at the end of so many training steps as a result that isn't trusted, or None."""
    if (energy := training_energy(log.arrays, job.config["train"]["walkers"])) is None:
        return None
    unknown = dict.fromkeys(FRACTIONS, 0.0)
    nothing = Evaluation(energy, {}, {}, {"energy": np.zeros((0, 1))}, chains=None, finished=False, **unknown)
    return _result(job, steps, nothing, log)


def _result(job: Job, steps: int, measured: Evaluation, log: SeriesLog) -> Result:
    """Put together what a run has found."""
    series = log.arrays
    curve, left = (found(series.get("energy", np.zeros(0))) for found in (trend, remaining))
    length = job.config["train"]
    planned = steps if is_enough(steps, lambda: series["energy"], length["accuracy"]) else length["steps"]
    return Result(
        name=job.components.system.name,
        energy=measured.energy,
        reference=job.reference and {name: getattr(job.reference, name)
                                     for name in ("energy", "uncertainty", "kind", "source")},
        terms=measured.terms,
        observables=measured.observables,
        steps=steps,
        planned_steps=planned,
        fractions={name: getattr(measured, name) for name in FRACTIONS},
        notes=(*_notes(job, steps, planned, measured),
               *notes_on_training(series, curve, measured.energy, left, length["accuracy"])),
        hartree_fock=None if "hamiltonian" in job.config.get("custom", {}) else job.hartree_fock,
        trend=curve,
        left=left,
        evaluation_cut=not measured.finished,
        seconds=job.all_seconds(),
        performance=performance(job.forecast, job.sweeps, job.seconds.get("train", 0.0) / max(steps, 1), job.parts),
        settings=job.config,
        series={"train": series, "evaluate": {name: measured.series[name] for name in ("energy", "variance")
                                              if name in measured.series}},
        versions=_versions(),
    )


def _notes(job: Job, steps: int, planned: int, measured: Evaluation) -> list[str]:
    """Return in sentences what was cut, or ended before its target."""
    target = job.config["evaluate"]["target_error"]
    notes = []
    cause = job.stop.signal or ("the time limit" if job.stop.max_time is not None else "")
    by_cause = f" by {cause}" * bool(cause)
    if steps < planned:
        notes.append(f"training was cut at step {steps} of {planned}{by_cause}")
    if not measured.finished:
        notes.append(f"evaluation was cut{by_cause} after {len(measured.series['energy'])} steps")
    elif target is not None and not measured.energy.error <= target:
        notes.append(f"evaluation ended by evaluate.max_steps before the error bar reached {target:g} Ha")
    return notes


def _versions() -> dict[str, str]:
    """Return the versions of what the numbers depend on, and the kind of device."""
    found = {"nnqmc": VERSION, "python": platform.python_version(), "device": jax.local_devices()[0].device_kind}
    for name in ("jax", "jaxlib", "flax", "optax", "pyscf", "numpy", "h5py"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def draw(directory: RunDirectory) -> None:
    """Write energy.png and blocking.png from the run's files; what can't be drawn is a warning, not an error."""
    from nnqmc.plots import write_figures

    try:
        write_figures(directory)
    except SignatureError:
        raise
    except (NnqmcError, OSError, KeyError, ImportError, RuntimeError, ArithmeticError, ValueError) as error:
        logging.getLogger("nnqmc").warning("the figures of %s can't be drawn: %s", directory.path, error)
