"""Training: steps until all are done, the time is up or a signal comes, with checkpoints on the way."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

from nnqmc.cost.forecast import forecast, performance, speed_text
from nnqmc.cost.machine import matrix_peak
from nnqmc.errors import CheckpointError, NumericalError
from nnqmc.io import SeriesLog, pass_over
from nnqmc.job.build import n_sweeps
from nnqmc.job.finish import unevaluated
from nnqmc.job.job import Job
from nnqmc.job.progress import TrainingMeter
from nnqmc.messages import rough_duration
from nnqmc.methods import is_bad, seconds_of_parts, train
from nnqmc.parallel.processes import is_first
from nnqmc.statistics import is_enough
from nnqmc.typing import TrainState


def training(job: Job, state: TrainState, log: SeriesLog) -> TrainState:
    """Train until all steps are done, the time is up or a signal comes, and return the last state.

    What evaluation needs besides is compiled meanwhile. A bad step leaves no checkpoint, since its walkers or its
    parameters are no good: the run goes on from the checkpoint before. Its row is in train.h5 all the same.

    Raises:
        Interrupted: a signal came; the checkpoint is written, and the exception has the last energies as its result.
        NumericalError: numbers stayed non-finite; the message names the last good checkpoint.
    """
    settings = job.config["train"]
    n_steps, accuracy = settings["steps"], settings["accuracy"]
    is_done = int(state.step) >= n_steps or is_enough(int(state.step), lambda: log.arrays["energy"], accuracy)
    if is_done or job.stop.agree(job.stop.is_training_time_over)[0]:
        return state
    job.reporter.stage("compiling the training step")
    saved, good = (int(state.step), time.monotonic()), state
    with job.timed("compile"):
        compile_step(job, state, saved[0])
        step = job.programs.training_step(state)
    job.stop.reserve = time.monotonic() - saved[1]
    meter = TrainingMeter(n_steps, settings["walkers"], job.reference_energy,
                          lambda seconds: speed_text(performance(job.forecast, job.sweeps, seconds)))
    job.programs.measure(state)
    job.reporter.stage("training", n_steps)
    with job.timed("train"), naming_the_last_good(job, log):
        for done, state, stats in train(step, good, n_steps):
            log.append(done, stats)
            meter.add(done, stats)
            job.reporter.update(done, meter.text)
            is_last = is_enough(done, lambda: log.arrays["energy"], accuracy)
            is_due = (done - saved[0] >= settings["checkpoint_steps"]
                      or time.monotonic() - saved[1] >= settings["checkpoint_seconds"])
            is_over, is_due, is_spoilt = job.stop.agree(job.stop.is_training_time_over, is_due, is_bad(stats))
            good = good if is_spoilt else state
            if job.stop.signal or is_over or is_last:
                break
            if good is state and is_due:
                job.save(state, log)
                saved = done, time.monotonic()
    if math.isfinite(stats["energy"]):
        good = state  # a last step that was rejected: its walkers are those of the evaluation, which can be repeated
    if int(good.step) > saved[0]:
        job.save(good, log)
    elif job.directory is not None and (log.last_step or 0) > saved[0]:
        job.directory.save_log(log)
    if not (job.stop.signal or is_over):  # only now, when nothing can be lost any more
        job.parts = seconds_of_parts(step, state)
    job.leave_if_asked(f"at step {int(state.step)} of {n_steps}", lambda: unevaluated(job, int(state.step), log))
    return state


def compile_step(job: Job, state: TrainState, steps_done: int = 0) -> None:
    """Begin to compile the training step, once; as soon as it is traced, say what to expect of the run."""
    if "update" in job.programs.started:
        return
    peak, walk = matrix_peak(), job.programs.walk(state)  # the peak before anything else is at work

    def say_forecast(traced: Future[Any]) -> None:
        try:
            job.forecast = forecast(job.config, job.components.system, job.components.wavefunction,
                                    (walk.traced.result(), traced.result()), peak=peak, steps_done=steps_done,
                                    n_sweeps=n_sweeps(job.components.sampler))
            limit, total = job.stop.max_time, job.forecast.seconds["total"]
            cut = "" if limit is None or limit > total else f"; the time limit of {rough_duration(limit)} comes first"
            job.reporter.note(f"estimate: {job.forecast}{cut}")
        except Exception as error:  # nothing about a forecast may stop a run
            job.reporter.note(f"no estimate ({type(error).__name__}: {error})")

    job.programs.update(state).traced.add_done_callback(say_forecast)


@contextlib.contextmanager
def naming_the_last_good(job: Job, log: SeriesLog | None = None) -> Iterator[None]:
    """Let a NumericalError name the last good checkpoint; the rows of `log` that led to it are kept."""
    try:
        yield
    except NumericalError as error:
        if job.directory is None or not is_first():
            raise
        if log is not None:
            try:
                job.directory.save_log(log)
            except CheckpointError as lost:  # no reason to hide why the run stops
                pass_over(lost, "The steps before the stop are lost.")
        raise NumericalError(f"{error}. {_last_good(job)}") from error


def _last_good(job: Job) -> str:
    """Return sentences on the checkpoint to go on from, for a run that has to stop."""
    path = job.directory.path
    try:
        newest = job.directory.newest_good(job.template)
    except CheckpointError as error:
        return str(error)
    if newest is None:
        return "There is no checkpoint"
    return (f"The last good checkpoint (the newest that can be read whole) is {newest}: `nnqmc evaluate {path}` "
            f"measures it. `nnqmc resume {path}` would repeat the same steps; with --walkers N it takes others. "
            "Or start a new run with a smaller learning rate, more damping or another seed")
