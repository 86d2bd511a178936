"""The first stages of a run, one function each: mean field and pretraining, training."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from nnqmc.config import Config
from nnqmc.cost.forecast import Forecast, foresee, rounded, sweeps
from nnqmc.cost.machine import matrix_peak
from nnqmc.cost.throughput import Throughput, foreseen, performance
from nnqmc.errors import CheckpointError, Interrupted, NumericalError
from nnqmc.io import SeriesLog
from nnqmc.job.build import Parts, make_training_step, stage_key, state_template
from nnqmc.job.compilation import Program, compile_ahead, joined, update_ahead
from nnqmc.job.devices import spread
from nnqmc.job.directory import RunDirectory
from nnqmc.job.progress import Reporter, TrainingMeter
from nnqmc.job.stopping import Stop
from nnqmc.job.walkers import moved, walk_program
from nnqmc.methods import init_state, is_bad, make_look, pretrain, train
from nnqmc.parallel import EVERYWHERE
from nnqmc.parallel.processes import from_first, is_first
from nnqmc.scf import MeanField, hartree_fock
from nnqmc.system import Reference
from nnqmc.typing import TrainState


@dataclass
class Job:
    """What every stage needs: the configuration, its objects, where files go, whom to tell and when to stop.

    Attributes:
        config: complete.
        parts: made from it.
        directory: None keeps everything in memory.
        reporter: what a person sees.
        stop: signals and time.
        reference: the energy to compare with.
        seconds: wall time of the stages so far, earlier commands included.
        earlier: seconds in all before this command.
        programs: being compiled in the background: the two parts of a step, "walk" and "update", and the "look" of
            the evaluation, which moves walkers by the same "walk".
        forecast: what to expect, once it is known.
    """

    config: Config
    parts: Parts
    directory: RunDirectory | None
    reporter: Reporter
    stop: Stop
    reference: Reference | None
    seconds: dict[str, float] = field(default_factory=dict)
    earlier: float = 0.0
    programs: dict[str, Program] = field(default_factory=dict)
    forecast: Forecast | None = None

    @property
    def reference_energy(self) -> float | None:
        """In hartree."""
        return None if self.reference is None else self.reference.energy

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the time of the block to `seconds[name]`."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - started

    def all_seconds(self) -> dict[str, float]:
        """`seconds` with their total: the wall time of this command and those before; never negative."""
        seconds = self.seconds | {"total": self.earlier + self.stop.elapsed}
        return {name: max(value, 0.0) for name, value in seconds.items()}  # even if a clock went backwards

    def save(self, state: TrainState, log: SeriesLog) -> None:
        """Write series and checkpoint, where there is a directory."""
        if self.directory is not None:
            self.directory.save_state(state, log, self.all_seconds())

    def leave_if_asked(self, where: str) -> None:
        """Raise Interrupted if a signal came, to any process."""
        self.stop.agree()
        if not self.stop.signal:
            return
        if self.directory is None:
            raise Interrupted(f"stopped by {self.stop.signal} {where}; nothing was kept: pass out= to keep checkpoints")
        raise Interrupted(f"stopped by {self.stop.signal} {where}; `nnqmc resume {self.directory.path}` goes on")


def start(job: Job) -> TrainState:
    """Hartree-Fock, pretraining and burn-in: the state at step 0; the training step is compiled meanwhile."""
    mean_field = _mean_field(job)
    if job.config["train"]["steps"]:  # not before: what pretraining waits for should come first
        _compile_step(job, state_template(job.config, job.parts))
    settings, parts = job.config["pretrain"], job.parts
    n_walkers = job.config["train"]["walkers"]
    job.reporter.stage("pretraining on the Hartree-Fock orbitals", settings["steps"] or None)

    def show(done: int, loss: float) -> None:
        job.reporter.update(done, lambda: f"loss {loss:.3g}")
        job.leave_if_asked("during pretraining")

    with job.timed("pretrain"):
        pretrained = pretrain(parts.system, parts.wavefunction, mean_field, key=stage_key(job.config, "pretrain"),
                              n_walkers=n_walkers, progress=show, **settings)
        state = spread(init_state(stage_key(job.config, "train"), parts.system, pretrained.params,
                                  pretrained.electrons, parts.sampler, parts.optimizer))
    state = moved(job, state, job.config["train"]["burn_in"], stage_key(job.config, "burn_in"))
    job.leave_if_asked("before training")
    return state


def _mean_field(job: Job) -> MeanField:
    """From the run's files, or computed and kept there."""
    stored = job.directory.load_mean_field() if job.directory is not None else None
    if stored is not None:
        job.reporter.note(f"Hartree-Fock energy {float(stored.energy):.6f} Ha (from the run's files)")
        return stored
    job.reporter.stage(f"Hartree-Fock in the basis {job.config['scf']['basis']}")
    with job.timed("scf"):
        mean_field = MeanField(**from_first(lambda: vars(hartree_fock(job.parts.system, **job.config["scf"]))))
    job.reporter.note(f"Hartree-Fock energy {float(mean_field.energy):.6f} Ha")
    if job.directory is not None:
        job.directory.save_mean_field(mean_field)
    job.leave_if_asked("after Hartree-Fock")
    return mean_field


def _compile_step(job: Job, state: TrainState, done: int = 0) -> None:
    """Set about compiling the training step; what to expect of the run is said as soon as it is traced."""
    peak, reason = None, ""
    try:
        peak = matrix_peak()  # before anything else is at work
    except Exception as error:  # nothing about an estimate may stop a run
        reason = str(error)
    step = make_training_step(job.config, job.parts)
    walk = walk_program(job, state)

    def look(traced: Any) -> None:
        try:
            if peak is None:
                raise RuntimeError(reason)
            job.forecast = foresee(job.config, job.parts, traced=(walk.traced.result(), traced), peak=peak, done=done)
            limit, total = job.stop.max_time, job.forecast.seconds["total"]
            cut = "" if limit is None or limit > total else f"; the time limit of {rounded(limit)} comes first"
            job.reporter.note(f"estimate: {job.forecast}{cut}")
        except Exception as error:
            job.reporter.note(f"no estimate ({type(error).__name__}: {error})")

    job.programs["update"] = update_ahead(step, state, walk, look)


def compile_look(job: Job, state: TrainState) -> None:
    """Set about compiling what evaluation does besides moving walkers, and that too if training didn't."""
    parts, walk = job.parts, walk_program(job, state)
    look = make_look(parts.log_psi, parts.system, observables=parts.observables,
                     chunk_size=job.config["train"]["chunk_size"])
    job.programs["look"] = compile_ahead(
        look, lambda: (state.key, state.step, state.average, *walk.outputs.result()), EVERYWHERE)


def training(job: Job, state: TrainState, log: SeriesLog) -> TrainState:
    """Train until all steps are done, the time is up or a signal comes; checkpoints on the way and at the end.

    What evaluation needs besides is compiled meanwhile. A bad step leaves no checkpoint behind it: its walkers or
    parameters are no good, and the ones before stay what the run goes on from. Its row is in train.h5 all the same.

    Raises:
        Interrupted: a signal came; the checkpoint is written.
        NumericalError: numbers stayed non-finite; the message names the last good checkpoint.
    """
    settings = job.config["train"]
    n_steps = settings["steps"]
    if int(state.step) >= n_steps or job.stop.agree(job.stop.is_training_time_over)[0]:
        return state
    job.reporter.stage("compiling the training step")
    saved, good = (int(state.step), time.monotonic()), state
    clock = _Clock(job)
    if "update" not in job.programs:
        _compile_step(job, state, saved[0])
    step = joined(job.programs["walk"], job.programs.pop("update"))
    log.attributes["performance"] = foreseen(job.forecast, log.attributes.get("performance", {}))
    meter = TrainingMeter(n_steps, settings["walkers"], job.reference_energy, _throughput(job, log).text)
    try:
        with naming_the_last_good(job, log):
            for done, state, stats in train(step, good, n_steps):
                if clock.tick() == 1:
                    job.reporter.stage("training", n_steps)
                    compile_look(job, state)
                log.append(done, stats)
                meter.add(done, stats)
                job.reporter.update(done, meter.text)
                is_over, is_due, is_spoilt = job.stop.agree(job.stop.is_training_time_over,
                                                            _is_due(settings, done, saved), is_bad(stats))
                good = good if is_spoilt else state
                if job.stop.signal or is_over:
                    break
                if good is state and is_due:
                    clock.settle()
                    job.save(state, log)
                    saved = done, time.monotonic()
    finally:
        clock.settle()
    if math.isfinite(stats["energy"]):
        good = state  # a last step that was rejected: its walkers are those of the evaluation, which can be repeated
    if int(good.step) > saved[0]:
        job.save(good, log)
    elif job.directory is not None and (log.last_step or 0) > saved[0]:
        job.directory.save_log(log)
    job.leave_if_asked(f"at step {int(state.step)} of {n_steps}")
    return state


def _throughput(job: Job, log: SeriesLog) -> Throughput:
    """What a training step does, as far as the log knows."""
    kept = log.attributes.get("performance", {})
    return Throughput(job.config["train"]["walkers"] * sweeps(job.parts), kept.get("flops_per_step"),
                      kept.get("matrix_peak"))


def performance_of(job: Job, steps: int, log: SeriesLog) -> dict[str, float]:
    """How fast the training of so many steps was, beside what was expected."""
    seconds = job.seconds.get("train", 0.0) / max(steps, 1)
    return performance(_throughput(job, log), seconds, log.attributes.get("performance", {}))


class _Clock:
    """Splits the time of training into compilation (the first step less a usual one) and the rest."""

    def __init__(self, job: Job) -> None:
        self._job, self._started, self._first, self._count = job, time.monotonic(), 0.0, 0
        self._before = {name: job.seconds.get(name, 0.0) for name in ("compile", "train")}

    def tick(self) -> int:
        """Count a step."""
        self._count += 1
        if self._count == 1:
            self._first = self._job.stop.reserve = time.monotonic() - self._started
        return self._count

    def settle(self) -> None:
        """Enter the times so far."""
        total = time.monotonic() - self._started
        usual = (total - self._first) / (self._count - 1) if self._count > 1 else 0.0
        compiling = max(self._first - usual, 0.0) if self._count else total
        for name, value in (("compile", compiling), ("train", total - compiling)):
            self._job.seconds[name] = self._before[name] + value


def _is_due(settings: dict[str, Any], done: int, saved: tuple[int, float]) -> bool:
    """Whether it is time for a checkpoint."""
    return (done - saved[0] >= settings["checkpoint_steps"]
            or time.monotonic() - saved[1] >= settings["checkpoint_seconds"])


@contextlib.contextmanager
def naming_the_last_good(job: Job, log: SeriesLog | None = None) -> Iterator[None]:
    """Let a NumericalError say which checkpoint is the last good one; the rows of `log` that led to it are kept."""
    try:
        yield
    except NumericalError as error:
        if job.directory is None or not is_first():
            raise
        if log is not None:
            _keep_rows(job.directory, log)
        raise NumericalError(f"{error}. {_last_good(job)}") from error


def _keep_rows(directory: RunDirectory, log: SeriesLog) -> None:
    try:
        directory.save_log(log)
    except CheckpointError as error:  # no reason to hide why the run stops
        logging.getLogger("nnqmc").warning("the steps before the stop are lost: %s", error)


def _last_good(job: Job) -> str:
    """Sentences on the checkpoint to go on from, for a run that has to stop."""
    path = job.directory.path
    try:
        newest = job.directory.newest_good(state_template(job.config, job.parts))
    except CheckpointError as error:
        return str(error)
    if newest is None:
        return "There is no checkpoint"
    return (f"The last good checkpoint (the newest that can be read whole) is {newest}: `nnqmc evaluate {path}` "
            f"measures it. `nnqmc resume {path}` would repeat the same steps; with --walkers N it takes others. "
            "Or start a new run with a smaller learning rate, more damping or another seed")
