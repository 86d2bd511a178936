"""The last stage of a run: the energy and the observables of the averaged parameters; it may take several commands."""

from __future__ import annotations

import hashlib
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from nnqmc.job.build import stage_key
from nnqmc.job.job import Job
from nnqmc.job.kept_evaluation import Keeper
from nnqmc.job.progress import evaluation_text
from nnqmc.job.start import LONG_BURN_IN
from nnqmc.job.training import naming_the_last_good
from nnqmc.methods import Evaluation, EvaluationState, Measurement, evaluate, observables_identity, to_host
from nnqmc.parallel.processes import from_first
from nnqmc.parallel.states import spread
from nnqmc.statistics import Estimate
from nnqmc.typing import TrainState


def evaluation(job: Job, state: TrainState, seed: int | None = None) -> Evaluation:
    """Measure the averaged parameters, starting from the walkers of training; `seed` is that of another walk.

    A signal or the time limit may cut it short; it isn't finished then.

    Raises:
        NumericalError: no walker has a finite local energy.
    """
    settings = {name: value for name, value in job.config["evaluate"].items() if name != "observe"}
    n_walkers, seed = job.config["train"]["walkers"], job.config["seed"] if seed is None else seed
    if n_walkers != state.sampler.n_walkers:
        state = spread(state._replace(sampler=job.components.sampler.resize(state.sampler, n_walkers)))
        settings["burn_in"] = max(settings["burn_in"], LONG_BURN_IN)
    job.reporter.stage("compiling the evaluation")
    keeper = Keeper(job.directory, job.config["train"], _identity(job, state, settings, seed))

    def monitor(progress: EvaluationState, energy: Estimate, faults: dict[str, float]) -> bool:
        job.reporter.update(min(progress.steps, settings["max_steps"]), lambda: evaluation_text(
            energy, settings["target_error"], job.reference_energy, faults))
        is_over, is_due = job.stop.agree(job.stop.is_time_over, keeper.is_due(progress.steps))
        wants_stop = bool(job.stop.signal) or is_over
        if wants_stop or is_due:
            keeper.keep(progress)
        return wants_stop

    with job.timed("evaluate"), naming_the_last_good(job):
        programs = job.programs.walk(state), job.programs.measure(state)
        walk, measure = (program.compiled.result() for program in programs)
        job.reporter.stage("evaluating", settings["max_steps"])
        measurement = Measurement(walk, measure, job.components.sampler.freeze, job.components.system,
                                  job.components.observables, rows_of_first)
        return evaluate(measurement, state.average, _kept(job, keeper, state) or state.sampler,
                        key=stage_key({"seed": seed}, "evaluate"), monitor=monitor, **settings)


def rows_of_first(rows: list[dict[str, Array]]) -> dict[str, np.ndarray]:
    """Return the rows of several steps as the first process has them, so that all find the same error bar and stop."""
    return from_first(lambda: to_host(rows))


def _identity(job: Job, state: TrainState, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return everything that the numbers of an evaluation depend on."""
    if job.directory is None:
        return {}
    average = hashlib.sha256()
    for leaf in jax.tree.leaves(jax.device_get(state.average)):
        average.update(leaf.tobytes())
    return {"config": job.directory.digest, "seed": seed, "settings": settings, "training_steps": int(state.step),
            "walkers": state.sampler.n_walkers, "average": average.hexdigest(),
            "observables": observables_identity(job.components.observables, job.components.system)}


def _kept(job: Job, keeper: Keeper, state: TrainState) -> EvaluationState | None:
    """Return what an earlier command has measured already, if anything, on the devices in use."""
    rows = {name: np.zeros((1, *form.shape)) for name, form in job.programs.measure(state).outputs().items()}
    if (kept := keeper.found(EvaluationState(state.sampler, (rows,)))) is None:
        return None
    job.reporter.note(f"the evaluation goes on at step {kept.steps} of {job.config['evaluate']['max_steps']}")
    job.seconds["evaluate"] = job.seconds.get("evaluate", 0.0) + keeper.seconds
    job.earlier += keeper.seconds
    return kept._replace(chains=spread(state._replace(sampler=kept.chains)).sampler)
