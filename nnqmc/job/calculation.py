"""What can be done with a run: begin it, resume it, evaluate it again, and report on it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

from nnqmc.config import Config, config_digest
from nnqmc.config.resolve import TOP
from nnqmc.config.schema import check, check_section, section
from nnqmc.errors import CheckpointError, InputError, Interrupted, unknown
from nnqmc.io import SeriesLog, pass_over, read_key
from nnqmc.job.build import CUSTOM, build, make_training_step, refuse_too_large
from nnqmc.job.compilation import MAKER
from nnqmc.job.directory import RunDirectory
from nnqmc.job.evaluation import evaluation
from nnqmc.job.finish import draw, finish
from nnqmc.job.job import Job
from nnqmc.job.progress import Reporter, reporting
from nnqmc.job.result import Result, finite
from nnqmc.job.start import hartree_fock_of, resized, start
from nnqmc.job.stopping import Stop, stop_on_signals
from nnqmc.job.training import training
from nnqmc.messages import counted
from nnqmc.methods import make_measure_step
from nnqmc.parallel import devices_for, devices_text, n_devices
from nnqmc.parallel.processes import check_same, is_first
from nnqmc.parallel.states import spread
from nnqmc.parallel.surroundings import usual_rules
from nnqmc.parallel.threads import keep_memory, one_thread_for_blas
from nnqmc.system import known_energy


@usual_rules()
def run(config: Config, out: str | os.PathLike[str] | None = None, *, custom: Mapping[str, Any] | None = None,
        progress: bool | Reporter = True, started: float | None = None,
        key_file: str | os.PathLike[str] | None = None) -> Result:
    """Run a complete configuration and return its result.

    Args:
        config: from `nnqmc.config.resolve`.
        out: a new or empty directory, or None.
        custom: ready-made objects by name.
        progress: whether to tell how it goes, or a Reporter.
        started: `time.monotonic()` from which max_time counts; now by default.
        key_file: file with the key that all files are signed with; None signs nothing.

    Raises:
        As `solve`.
    """
    if out is None and key_file is not None:
        raise InputError("key_file signs the files of a run, and without out= there are none: give both or neither")
    directory = None if out is None else RunDirectory(out, config, read_key(key_file))
    if directory is not None:
        directory.check_free()
    with _entered(config, directory, custom, Stop(config["max_time"], started or time.monotonic()), progress) as job:
        if directory is not None:
            directory.check_free()
        train, system = config["train"], job.components.system
        electrons = counted(system.n_electrons, "electron")
        where = devices_text(train["walkers"]) + ("" if out is None else f", files in {out}")
        job.reporter.note(
            f"{system.name}: {electrons} ({system.n_up} up, {system.n_down} down), preset {config['preset']}, "
            f"{train['walkers']} walkers, {train['steps']} steps, seed {config['seed']}{where}")
        return _calculate(job, is_changed=directory is not None)


@contextlib.contextmanager
def _entered(config: Config, directory: RunDirectory | None, custom: Mapping[str, Any] | None, stop: Stop,
             progress: bool | Reporter) -> Iterator[Job]:
    """Build the objects of a run, choose its devices, lock its directory, listen to signals, and yield the job."""
    components = build(config, custom)
    refuse_too_large(config, components)
    keep_memory()
    with one_thread_for_blas(), contextlib.ExitStack() as stack:
        stack.enter_context(devices_for(config["train"]["walkers"]))
        if directory is not None:
            stack.enter_context(directory.lock())
        reporter = stack.enter_context(reporting(progress if is_first() else False))
        stack.enter_context(stop_on_signals(stop, reporter.note))
        programs = MAKER.get()(make_training_step(components), make_measure_step(
            components.log_psi, components.system, observables=components.observables,
            chunk_size=config["train"]["chunk_size"]))
        yield Job(config, components, programs, directory, reporter, stop, known_energy(config))


def _calculate(job: Job, is_changed: bool) -> Result:
    """Lead a run from wherever it is to its result; a configuration that has changed is kept in its directory."""
    planned = job.config["train"]["steps"]
    restored = None if job.directory is None else job.directory.load_state(job.template)
    if restored is not None and int(restored.state.step) > planned:
        raise InputError(f"{job.directory.path} is at step {int(restored.state.step)} already, more than the {planned} "
                         "asked for: give at least as many --steps")
    if is_changed:
        job.directory.save_config()
    if restored is None:
        state, log = start(job), SeriesLog()
        job.save(state, log)
    else:
        state, log, job.seconds, devices = restored
        job.earlier = job.seconds.pop("total", 0.0)
        where = devices_text(job.config["train"]["walkers"])
        where += f" (the checkpoint was written on {devices})" if devices != n_devices() else ""
        job.reporter.note(f"resuming at step {int(state.step)} of {planned}{where}")
        hartree_fock_of(job)
        state = resized(job, state)
    state = training(job, state, log)
    return finish(job, state, evaluation(job, state), log)


@usual_rules()
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
        key_file: file with the key that the run is signed with.
        **custom: the ready-made objects that the run was started with, if any.

    Raises:
        InputError: no run there, another process at work on it, or `steps` below what is done.
        CheckpointError: its files are damaged, altered, of something else, or not signed as they have to be.
        Interrupted: Ctrl-C, SIGTERM, SIGUSR1 or SIGHUP.
    """
    opened = open_run(directory, key_file, custom)
    max_time = check("max_time", TOP["max_time"], max_time)
    changed = _checked("train", {"steps": steps, "walkers": walkers})
    changed |= {"accuracy": None} if steps is not None else {}  # exactly so many
    check_same("settings", f"{changed} {max_time}")
    opened.config["train"] |= changed
    with _entered(opened.config, opened, custom, Stop(max_time, started or time.monotonic()), progress) as job:
        if (complete := complete_result(opened)) is not None:
            job.reporter.note(f"{opened.path} is complete: {complete.steps} training steps, evaluated")
            return complete
        return _calculate(job, is_changed=bool(changed))


def open_run(directory: str | os.PathLike[str], key_file: str | os.PathLike[str] | None, custom: Mapping[str, Any]
             ) -> RunDirectory:
    """Open a run that exists, and refuse keyword arguments that are no parts of a run."""
    opened = RunDirectory.open(directory, read_key(key_file))
    for name in custom:
        if name not in CUSTOM:
            raise unknown("argument of resume", name, ("steps", "walkers", "max_time", "progress", "key_file", *CUSTOM))
    return opened


def _checked(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those settings of a section that are given, checked."""
    return check_section(name, {key: value for key, value in values.items() if value is not None}, section(name))


def complete_result(directory: RunDirectory) -> Result | None:
    """Return the stored result if it is that of all the steps asked for, evaluated to the end."""
    try:
        result = directory.load_result()
    except CheckpointError as error:
        pass_over(error, "The run goes on without it.")
        return None
    if result is None:
        return None
    try:
        is_same = config_digest(result.settings) == config_digest(finite(directory.config))
    except (KeyError, TypeError, ValueError):
        is_same = False
    if not is_same:
        raise CheckpointError(f"{directory.path}: result.json was computed with other settings than config.toml holds; "
                              "restore config.toml from a copy, or start again in another directory")
    lengths = [tuple(config["train"][name] for name in ("steps", "accuracy"))
               for config in (result.settings, directory.config)]
    return result if result.complete and lengths[0] == lengths[1] else None


@usual_rules()
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
        key_file: file with the key that the run is signed with.
        **custom: the ready-made objects that the run was started with, if any; and `observe`, the names of observables
            with commas between, and `observables`, to measure others than the run did.

    Raises:
        As `resume`.
    """
    observe = custom.pop("observe", None)
    opened = open_run(directory, key_file, custom)
    chosen = _checked("evaluate", {"target_error": target_error, "max_steps": max_steps, "observe": observe})
    population = _checked("train", {"walkers": walkers})
    seed = opened.config["seed"] if seed is None else check("seed", TOP["seed"], seed)
    check_same("settings", f"{chosen} {population} {seed}")
    config = opened.config | {"evaluate": opened.config["evaluate"] | chosen,
                              "train": opened.config["train"] | population}
    with _entered(config, opened, custom, Stop(), progress) as job:
        restored = opened.load_state(job.template)
        if restored is None:
            raise InputError(f"{opened.path} has no checkpoint yet: `nnqmc resume {opened.path}` runs it")
        state, log, job.seconds, _ = restored
        job.earlier = job.seconds.pop("total", 0.0)
        hartree_fock_of(job)
        try:
            return finish(job, state, evaluation(job, spread(state), seed), log, seed)
        except Interrupted as error:
            error.args = (f"stopped by {job.stop.signal} during evaluation; what the run had before is unchanged, and "
                          "the same command goes on",)
            raise


@usual_rules()
def report(directory: str | os.PathLike[str], *, key_file: str | os.PathLike[str] | None = None
           ) -> tuple[RunDirectory, Result | None]:
    """Read a run's files, draw its figures again, and return its directory and its result, if there is one.

    Args:
        directory: of the run.
        key_file: file with the key that the run is signed with.

    Raises:
        InputError: no run there.
        CheckpointError: result.json is damaged, or a file isn't signed as it has to be.
    """
    opened = RunDirectory.open(directory, read_key(key_file))
    result = opened.load_result()
    draw(opened)
    return opened, result
