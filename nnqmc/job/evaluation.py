"""The last stage of a run: the energy of the averaged parameters, which may take more than one command."""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

import jax
import numpy as np
from jax.typing import ArrayLike

from nnqmc.job.build import stage_key
from nnqmc.job.devices import spread
from nnqmc.job.kept_evaluation import Keeper
from nnqmc.job.progress import evaluation_text
from nnqmc.job.stages import Job, compile_look, naming_the_last_good
from nnqmc.job.walkers import LONG_BURN_IN, resized
from nnqmc.methods import Evaluation, Measurement, Progress, evaluate, measurement_by_steps
from nnqmc.parallel.processes import from_first
from nnqmc.statistics import Estimate
from nnqmc.typing import Key, Params, TrainState


def evaluation(job: Job, state: TrainState, *, n_walkers: int | None = None, seed: int | None = None) -> Evaluation:
    """Measure the averaged parameters, starting from the walkers of training.

    Args:
        job: its config says how long.
        state: the end of training.
        n_walkers: another size of the population.
        seed: of another walk than the run's own.

    Raises:
        Interrupted: a signal came.
        NumericalError: no walker has a finite local energy.
    """
    settings = dict(job.config["evaluate"])
    if n_walkers is not None and n_walkers != state.sampler.walkers.electrons.shape[0]:
        state = spread(state._replace(sampler=resized(job.parts, state.sampler, n_walkers)))
        job.programs.clear()
        settings["burn_in"] = max(settings["burn_in"], LONG_BURN_IN)
    job.reporter.stage("compiling the evaluation")
    looks, seed = itertools.count(), seed if seed is not None else job.config["seed"]
    keeper = Keeper(job.directory, job.config["train"], _evaluation_of(job, state, settings, seed))

    def monitor(progress: Progress, energy: Estimate, faults: dict[str, float]) -> bool:
        done = min(progress.steps, settings["max_steps"])
        if next(looks) == 0:
            job.reporter.stage("evaluating", settings["max_steps"])
        job.reporter.update(done, lambda: evaluation_text(energy, settings["target_error"], job.reference_energy,
                                                          faults))
        is_over, is_due = job.stop.agree(job.stop.is_time_over, keeper.is_due(progress.steps))
        wants_stop = bool(job.stop.signal) or is_over
        if wants_stop or is_due:
            keeper.keep(progress)
        return wants_stop

    with job.timed("evaluate"), naming_the_last_good(job):
        if "look" not in job.programs:
            compile_look(job, state)
        walk, look = (job.programs[name].compiled.result() for name in ("walk", "look"))
        measurement = measurement_from_first(measurement_by_steps(walk, look, job.parts.sampler.freeze))
        measured = evaluate(measurement, state.average, _kept(job, keeper, state) or state.sampler,
                            key=stage_key({"seed": seed}, "evaluate"), monitor=monitor, **settings)
    if not measured.finished:
        job.leave_if_asked("during evaluation")
    return measured


def _evaluation_of(job: Job, state: TrainState, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Everything that the numbers of an evaluation depend on."""
    if job.directory is None:
        return {}
    average = hashlib.sha256()
    for leaf in jax.tree.leaves(jax.device_get(state.average)):
        average.update(leaf.tobytes())
    return {"config": job.directory.digest, "seed": seed, "settings": settings, "training_steps": int(state.step),
            "walkers": state.sampler.walkers.electrons.shape[0], "average": average.hexdigest()}


def _kept(job: Job, keeper: Keeper, state: TrainState) -> Progress | None:
    """What an earlier command has measured already, if anything, on the devices in use."""
    rows = {name: np.zeros((1, *form.shape)) for name, form in job.programs["look"].outputs.result().items()}
    if (kept := keeper.found(Progress(state.sampler, (rows,)))) is None:
        return None
    job.reporter.note(f"the evaluation goes on at step {kept.steps} of {job.config['evaluate']['max_steps']}")
    job.seconds["evaluate"] = job.seconds.get("evaluate", 0.0) + keeper.seconds
    job.earlier += keeper.seconds
    return kept._replace(chains=spread(state._replace(sampler=kept.chains)).sampler)


def measurement_from_first(measurement: Measurement) -> Measurement:
    """Return a measurement that gives the numbers of the first process in all of them.

    Unlike processors may round the same sum differently; all have to find the same error bar and stop at the same step.
    """
    def measure(key: Key, params: Params, chains: Any, first: ArrayLike) -> tuple[Any, dict[str, Any]]:
        chains, row = measurement(key, params, chains, first)
        return chains, from_first(lambda: dict(row))

    return measure
