"""From a molecule to an energy in one call, and what can be done with a run afterwards."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import jax
import numpy as np

from nnqmc.config import Config, Layer, config_digest, config_system, resolve
from nnqmc.config.schema import check_section, sections, unknown
from nnqmc.errors import CheckpointError, InputError, Interrupted, SignatureError
from nnqmc.io import SeriesLog, read_key
from nnqmc.job.build import PARTS, build, check_memory, state_template
from nnqmc.job.devices import devices_for, devices_text, spread
from nnqmc.job.directory import RunDirectory
from nnqmc.job.evaluation import evaluation
from nnqmc.job.figures import draw, known_energy
from nnqmc.job.progress import Reporter, reporting
from nnqmc.job.result import FRACTIONS, Result, finite
from nnqmc.job.stages import Job, performance_of, start, training
from nnqmc.job.stopping import Stop, stop_on_signals
from nnqmc.job.walkers import fitted
from nnqmc.methods import Evaluation
from nnqmc.parallel import n_devices
from nnqmc.parallel.processes import check_same, from_first, is_first
from nnqmc.system import reference
from nnqmc.typing import System, TrainState

_LAST_STEPS, _MANY_CLIPPED = 200, 0.02


def run(config: Config, out: str | os.PathLike[str] | None = None, *, custom: Mapping[str, Any] | None = None,
        progress: bool | Reporter = True, started: float | None = None,
        key_file: str | os.PathLike[str] | None = None) -> Result:
    """Run a complete configuration.

    Args:
        config: from `resolve`.
        out: a new or empty directory, or None.
        custom: ready-made objects by name.
        progress: whether to tell how it goes, or a Reporter.
        started: `time.monotonic()` from which max_time counts; now by default.
        key_file: holds the key that all files are signed with; None signs nothing.

    Raises:
        As `solve`.
    """
    parts = build(config, custom)
    check_memory(config, parts)
    if out is None and key_file is not None:
        raise InputError("key_file signs the files of a run, and without out= there are none: give both or neither")
    directory = None if out is None else RunDirectory(out, config, read_key(key_file))
    with contextlib.ExitStack() as stack:
        stack.enter_context(devices_for(config["train"]["walkers"]))
        if directory is not None:
            directory.check_free()
            stack.enter_context(directory.lock())
            directory.check_free()
            directory.save_config()
        reporter = stack.enter_context(reporting(progress if is_first() else False))
        reporter.note(_introduction(config, parts.system, out))
        stop = Stop(config["max_time"], **({} if started is None else {"started": started}))
        known = None if custom and "hamiltonian" in custom else reference(parts.system)
        job = Job(config, parts, directory, reporter, stop, known)
        stack.enter_context(stop_on_signals(stop, reporter.note))
        return _calculate(job)


def _introduction(config: Config, system: System, out: str | os.PathLike[str] | None) -> str:
    """What is about to happen, in one line."""
    train, where = config["train"], devices_text(config["train"]["walkers"])
    where += "" if out is None else f", files in {out}"
    return (f"{system.name}: {system.n_electrons} electrons ({system.n_up} up, {system.n_down} down), preset "
            f"{config['preset']}, {train['walkers']} walkers, {train['steps']} steps, seed {config['seed']}{where}")


def _calculate(job: Job) -> Result:
    """From wherever the run is to its result."""
    restored = None
    if job.directory is not None:
        restored = job.directory.load_state(state_template(job.config, job.parts))
    if restored is None:
        state, log = start(job), SeriesLog() if job.directory is None else job.directory.new_log()
        job.save(state, log)
    else:
        state, log, job.seconds, devices = restored
        job.earlier = job.seconds.pop("total", 0.0)
        if int(state.step) > job.config["train"]["steps"]:
            raise InputError(f"{job.directory.path} is at step {int(state.step)} already, more than the "
                             f"{job.config['train']['steps']} asked for: give at least as many --steps")
        where = devices_text(job.config["train"]["walkers"])
        where += f" (the checkpoint was written on {devices})" if devices != n_devices() else ""
        job.reporter.note(f"resuming at step {int(state.step)} of {job.config['train']['steps']}{where}")
        state = fitted(job, state)
    state = training(job, state, log)
    return _finish(job, state, evaluation(job, state), log)


def _finish(job: Job, state: TrainState, measured: Evaluation, log: SeriesLog, seed: int | None = None) -> Result:
    """Make the result and write what belongs to it; `seed` is that of the evaluation, if not the run's."""
    result = _make_result(job, int(state.step), measured, log)
    if job.directory is not None:
        steps = np.arange(1, len(measured.series["energy"]) + 1)
        attributes = {"config": job.directory.digest, "seed": job.config["seed"] if seed is None else seed,
                      "training_steps": int(state.step), "nnqmc": job.config["nnqmc"]}
        try:
            job.directory.save_evaluation({"step": steps, **measured.series}, attributes)
            job.directory.save_result(result)
        except CheckpointError as error:
            kept = f"{error}\nWhat could not be kept is the result:\n{result}" if str(error) else ""
            raise CheckpointError(kept) from error
        if measured.finished:
            job.directory.remove_partial()
        if is_first():
            draw(job.directory, result)
        from_first(lambda: None)  # the others wait here, and not at the end, where time is short
    return result


def _notes(job: Job, steps: int, measured: Evaluation, log: SeriesLog) -> list[str]:
    """What a reader should know although the error bar holds."""
    planned, target = job.config["train"]["steps"], job.config["evaluate"]["target_error"]
    notes = []
    if steps < planned:
        by_time = " by the time limit" if job.stop.max_time is not None else ""
        notes.append(f"training was cut at step {steps} of {planned}{by_time}")
    if not measured.finished:
        notes.append(f"evaluation was cut by the time limit after {len(measured.series['energy'])} steps")
    elif target is not None and not measured.energy.error <= target:
        notes.append(f"evaluation ended by evaluate.max_steps before the error bar reached {target:g} Ha")
    series = log.arrays
    if len(log) and (rejected := int(series["rejected"].sum())):
        notes.append(f"{rejected} of {len(log)} training steps were rejected, since they weren't finite")
    for name, words in (("excluded", "had no finite local energy and were left out"), ("reseeded", "were replaced")):
        if len(log) and name in series and (share := float(series[name].mean())) > 0.0:
            notes.append(f"{100.0 * share:.2g} % of the walkers in training {words}")
    if len(log) and (clipped := float(series["clipped"][-_LAST_STEPS:].mean())) > _MANY_CLIPPED:
        notes.append(f"{clipped:.1%} of the local energies were clipped at the end of training")
    return notes


def _make_result(job: Job, steps: int, measured: Evaluation, log: SeriesLog) -> Result:
    known = job.reference
    compared = None if known is None else {
        "energy": known.energy, "uncertainty": known.uncertainty, "kind": known.kind, "source": known.source}
    return Result(
        name=job.parts.system.name,
        energy=measured.energy,
        reference=compared,
        terms=measured.terms,
        observables=measured.observables,
        steps=steps,
        planned_steps=job.config["train"]["steps"],
        fractions={name: getattr(measured, name) for name in FRACTIONS},
        notes=tuple(_notes(job, steps, measured, log)),
        evaluation_cut=not measured.finished,
        seconds=job.all_seconds(),
        performance=performance_of(job, steps, log),
        settings=job.config,
        versions=_versions(),
    )


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "device": jax.local_devices()[0].device_kind}
    for name in ("nnqmc", "jax", "jaxlib", "flax", "optax", "pyscf", "numpy", "h5py"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def resume(directory: str | os.PathLike[str], *, steps: int | None = None, walkers: int | None = None,
           max_time: float | None = None, progress: bool | Reporter = True, started: float | None = None,
           key_file: str | os.PathLike[str] | None = None, **custom: Any) -> Result:
    """Complete a run: the missing training steps from its newest checkpoint, then the evaluation or the rest of it.

    Two runs of N steps, the second one resumed, give exactly what one run of 2N steps gives. A run that is complete
    is not computed again.

    Args:
        directory: what `solve` was given as `out`.
        steps: training steps in all, instead of those planned; kept in the run's configuration.
        walkers: size of the population from here on; kept in the run's configuration, too.
        max_time: seconds for this call.
        progress: whether to tell how it goes.
        started: `time.monotonic()` from which max_time counts.
        key_file: holds the key that the run is signed with.
        **custom: the ready-made objects that the run was started with, if any.

    Raises:
        InputError: no run there, another process at work on it, or `steps` below what is done.
        CheckpointError: its files are damaged, altered, of something else, or not signed as they have to be.
        Interrupted: Ctrl-C, SIGTERM, SIGUSR1 or SIGHUP.
    """
    opened = RunDirectory.open(directory, read_key(key_file))
    _check_custom(custom)
    if max_time is not None:
        resolve(config_system(opened.config["system"]), [Layer("resume", {"max_time": max_time})])
    changed = {name: value for name, value in (("steps", steps), ("walkers", walkers)) if value is not None}
    check_same("settings", f"{changed} {max_time}")
    opened.config["train"] |= check_section("train", changed, sections()["train"])
    parts = build(opened.config, custom)
    check_memory(opened.config, parts)
    with contextlib.ExitStack() as stack:
        stack.enter_context(devices_for(opened.config["train"]["walkers"]))
        stack.enter_context(opened.lock())
        reporter = stack.enter_context(reporting(progress if is_first() else False))
        if (complete := _complete_result(opened)) is not None:
            reporter.note(f"{opened.path} is complete: {complete.steps} training steps, evaluated")
            return complete
        stop = Stop(max_time, **({} if started is None else {"started": started}))
        known = known_energy(opened)
        job = Job(opened.config, parts, opened, reporter, stop, known)
        stack.enter_context(stop_on_signals(stop, reporter.note))
        newest = opened.load_state(state_template(opened.config, parts))
        if changed and (newest is None or int(newest.state.step) <= opened.config["train"]["steps"]):
            opened.save_config()
        return _calculate(job)


def _check_custom(custom: Mapping[str, Any]) -> None:
    for name in custom:
        if name not in PARTS:
            raise unknown("argument of resume", name, ("steps", "walkers", "max_time", "progress", "key_file", *PARTS))


def _is_of(result: Result, directory: RunDirectory) -> bool:
    """Whether a result was computed with the directory's settings."""
    try:
        return config_digest(result.settings) == config_digest(finite(directory.config))
    except (KeyError, TypeError, ValueError):
        return False


def _complete_result(directory: RunDirectory) -> Result | None:
    """The stored result if it is that of all the steps asked for, evaluated to the end."""
    try:
        result = directory.load_result()
    except SignatureError:
        raise
    except CheckpointError as error:
        logging.getLogger("nnqmc").warning("%s", error)
        return None
    if result is not None and not _is_of(result, directory):
        raise CheckpointError(f"{directory.path}: result.json was computed with other settings than config.toml holds; "
                              "restore config.toml from a copy, or start again in another directory")
    planned = directory.config["train"]["steps"]
    is_all = result is not None and result.complete and result.steps == result.planned_steps == planned
    return result if is_all else None


def reevaluate(directory: str | os.PathLike[str], *, target_error: float | None = None, max_steps: int | None = None,
               walkers: int | None = None, seed: int | None = None, progress: bool | Reporter = True,
               key_file: str | os.PathLike[str] | None = None, **custom: Any) -> Result:
    """Evaluate the newest checkpoint of a run again; result.json, evaluate.h5 and the figures become the new ones.

    Args:
        directory: of the run.
        target_error: stop at this error bar (hartree).
        max_steps: the most sampler steps.
        walkers: size of the population, if not that of training.
        seed: decides the walk; that of the run by default, which repeats its evaluation.
        progress: whether to tell how it goes.
        key_file: holds the key that the run is signed with.
        **custom: the ready-made objects that the run was started with, if any.

    Raises:
        As `resume`.
    """
    opened = RunDirectory.open(directory, read_key(key_file))
    _check_custom(custom)
    given = {"evaluate": {"target_error": target_error, "max_steps": max_steps}, "train": {"walkers": walkers}}
    chosen = {name: {k: v for k, v in values.items() if v is not None} for name, values in given.items()}
    checked = {name: check_section(name, values, sections()[name]) for name, values in chosen.items()}
    resolve(config_system(opened.config["system"]), [Layer("evaluate", {} if seed is None else {"seed": seed})])
    check_same("settings", f"{checked} {seed}")
    parts = build(opened.config, custom)
    check_memory(opened.config | {"train": opened.config["train"] | checked["train"]}, parts)
    n_walkers = checked["train"].get("walkers", opened.config["train"]["walkers"])
    with contextlib.ExitStack() as stack:
        stack.enter_context(devices_for(n_walkers))
        stack.enter_context(opened.lock())
        restored = opened.load_state(state_template(opened.config, parts))
        if restored is None:
            raise InputError(f"{opened.path} has no checkpoint yet: `nnqmc resume {opened.path}` runs it")
        state, log, seconds, _ = restored
        reporter = stack.enter_context(reporting(progress if is_first() else False))
        config = opened.config | {"evaluate": opened.config["evaluate"] | checked["evaluate"]}
        job = Job(config, parts, opened, reporter, Stop(), known_energy(opened), seconds, seconds.pop("total", 0.0))
        stack.enter_context(stop_on_signals(job.stop, reporter.note))
        try:
            measured = evaluation(job, spread(state), n_walkers=n_walkers, seed=seed)
        except Interrupted as error:
            raise Interrupted(f"stopped by {job.stop.signal} during evaluation; what the run had before is unchanged, "
                              "and the same command goes on") from error
        return _finish(job, state, measured, log, seed)


def report(directory: str | os.PathLike[str], *, key_file: str | os.PathLike[str] | None = None
           ) -> tuple[RunDirectory, Result | None]:
    """Read a run's files and draw its figures again.

    Args:
        directory: of the run.
        key_file: holds the key that the run is signed with.

    Raises:
        InputError: no run there.
        CheckpointError: result.json is damaged, or a file isn't signed as it has to be.
    """
    opened = RunDirectory.open(directory, read_key(key_file))
    result = opened.load_result()
    draw(opened, result)
    return opened, result
