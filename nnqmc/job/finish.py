"""The end of a run: its result, the files that keep it, and the figures drawn from them."""

from __future__ import annotations

import contextlib
import logging
import platform
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import jax
import numpy as np

from nnqmc.cost.forecast import performance
from nnqmc.errors import CheckpointError, NnqmcError, SignatureError
from nnqmc.io import SeriesLog
from nnqmc.job.directory import BLOCKING, CURVE, EVALUATE, TRAIN, RunDirectory
from nnqmc.job.job import Job
from nnqmc.job.result import FRACTIONS, Result, in_millihartree
from nnqmc.methods import Evaluation
from nnqmc.parallel.processes import from_first, is_first
from nnqmc.statistics import Trend, estimate, trend
from nnqmc.system import Reference, from_dict, reference
from nnqmc.typing import TrainState
from nnqmc.version import VERSION

_LAST_STEPS, _MANY_CLIPPED = 200, 0.02
"""A note is made if more than 2 % of the local energies were clipped in the last 200 training steps."""


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
        draw(job.directory, result)
    from_first(lambda: None)  # the others wait here, and not at the end, where time is short
    return result


def unevaluated(job: Job, steps: int, log: SeriesLog) -> Result | None:
    """Return the mean energy of the last half of training as a result that isn't trusted; None before any energy.

    Args:
        job: of the run.
        steps: training steps done.
        log: the series of training.
    """
    last = min(_LAST_STEPS, len(log) // 2 + 1)
    rows = {name: values[-last:] for name, values in log.arrays.items()}
    is_finite = np.isfinite(rows.get("energy", np.zeros(0)))
    if not is_finite.any():
        return None
    energies, variances = rows["energy"][is_finite], rows["variance"][is_finite]
    caveat = f"training was cut and not evaluated: this is the mean of its last {len(energies)} steps"
    energy = replace(estimate(energies), variance=float(variances.mean()), caveats=(caveat,),
                     n_samples=len(energies) * job.config["train"]["walkers"])
    unknown = dict.fromkeys(FRACTIONS, 0.0)
    nothing = Evaluation(energy, {}, {}, {"energy": np.zeros((0, 1))}, chains=None, finished=False, **unknown)
    return _result(job, steps, nothing, log)


def _result(job: Job, steps: int, measured: Evaluation, log: SeriesLog) -> Result:
    """Put together what a run has found."""
    series = log.arrays
    curve = trend(series.get("energy", np.zeros(0)))
    return Result(
        name=job.components.system.name,
        energy=measured.energy,
        reference=job.reference and {name: getattr(job.reference, name)
                                     for name in ("energy", "uncertainty", "kind", "source")},
        terms=measured.terms,
        observables=measured.observables,
        steps=steps,
        planned_steps=job.config["train"]["steps"],
        fractions={name: getattr(measured, name) for name in FRACTIONS},
        notes=tuple(_notes(job, steps, measured, series, curve)),
        hartree_fock=None if "hamiltonian" in job.config.get("custom", {}) else job.hartree_fock,
        trend=curve,
        evaluation_cut=not measured.finished,
        seconds=job.all_seconds(),
        performance=performance(job.forecast, job.sweeps, job.seconds.get("train", 0.0) / max(steps, 1)),
        settings=job.config,
        versions=_versions(),
    )


def _notes(job: Job, steps: int, measured: Evaluation, series: Mapping[str, np.ndarray], curve: Trend | None
           ) -> list[str]:
    """Return sentences that a reader should know although the error bar holds."""
    planned, target = job.config["train"]["steps"], job.config["evaluate"]["target_error"]
    notes = []
    cause = job.stop.signal or ("the time limit" if job.stop.max_time is not None else "")
    by_cause = f" by {cause}" * bool(cause)
    if steps < planned:
        notes.append(f"training was cut at step {steps} of {planned}{by_cause}")
    if not measured.finished:
        notes.append(f"evaluation was cut{by_cause} after {len(measured.series['energy'])} steps")
    elif target is not None and not measured.energy.error <= target:
        notes.append(f"evaluation ended by evaluate.max_steps before the error bar reached {target:g} Ha")
    if curve is None:
        notes.append(f"only {len(series.get('step', ()))} training steps are recorded, too few to tell whether the "
                     "energy was still falling")
    elif curve.is_falling(measured.energy.error):
        fall = in_millihartree(curve.fall, curve.fall_error)
        notes.append(f"the energy was still falling when training ended, by {fall} mHa from its third quarter to its "
                     "last: more steps would lower it further")
    if not len(series.get("step", ())):
        return notes
    if rejected := int(series["rejected"].sum()):
        notes.append(f"{rejected} of {len(series['step'])} training steps were rejected, since they weren't finite")
    for name, words in (("excluded", "had no finite local energy and were left out"), ("reseeded", "were replaced")):
        if name in series and (share := float(series[name].mean())) > 0.0:
            notes.append(f"{100.0 * share:.2g} % of the walkers in training {words}")
    if (clipped := float(series["clipped"][-_LAST_STEPS:].mean())) > _MANY_CLIPPED:
        notes.append(f"{clipped:.1%} of the local energies were clipped at the end of training")
    return notes


def _versions() -> dict[str, str]:
    """Return the versions of what the numbers depend on, and the kind of device."""
    found = {"nnqmc": VERSION, "python": platform.python_version(), "device": jax.local_devices()[0].device_kind}
    for name in ("jax", "jaxlib", "flax", "optax", "pyscf", "numpy", "h5py"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def draw(directory: RunDirectory, result: Result | None) -> None:
    """Write energy.png and blocking.png from the run's files; what can't be drawn is a warning, not an error."""
    from nnqmc.plots import blocking_plot, learning_curve

    try:
        series = directory.load_series(TRAIN)[0]
        if len(series.get("step", ())):
            error = np.sqrt(np.maximum(series["variance"], 0.0) / directory.config["train"]["walkers"])
            learning_curve(directory.path / CURVE, series["step"], series["energy"], error=error,
                           variance=series["variance"], reference=known_energy(directory.config),
                           estimate=None if result is None else result.energy,
                           title=directory.config["system"]["name"])
        if (directory.path / EVALUATE).exists():
            blocking_plot(directory.path / BLOCKING, directory.load_series(EVALUATE)[0]["energy"])
    except SignatureError:
        raise
    except (NnqmcError, OSError, KeyError, ImportError, RuntimeError, ArithmeticError, ValueError) as error:
        logging.getLogger("nnqmc").warning("the figures of %s can't be drawn: %s", directory.path, error)


def known_energy(config: Mapping[str, Any]) -> Reference | None:
    """Return the published energy of a configuration's system, or None, also for a Hamiltonian of the user's own."""
    return None if "hamiltonian" in config.get("custom", {}) else reference(from_dict(config["system"]))
