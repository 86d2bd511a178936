"""The first stages of a run: Hartree-Fock, pretraining and burn-in, or the walkers of a checkpoint."""

from __future__ import annotations

from dataclasses import replace

import jax

from nnqmc.errors import InputError
from nnqmc.job.build import make_training_step, stage_key
from nnqmc.job.job import Job
from nnqmc.job.training import compile_step
from nnqmc.methods import burn_in, init_state, is_fitted, pretrain
from nnqmc.methods.vmc import Stats
from nnqmc.parallel.processes import from_first
from nnqmc.parallel.states import spread
from nnqmc.scf import MeanField, hartree_fock
from nnqmc.typing import Key, TrainState

LONG_BURN_IN = 100
"""Sampler steps after which copies of a walker have become independent."""

_AFTER_RESIZING = 2**31 - 1
"""The index by which the key of a burn-in of copied walkers differs from the keys of all moves of a usual one."""


def start(job: Job) -> TrainState:
    """Return the state at step 0, after Hartree-Fock, pretraining and burn-in; the training step compiles meanwhile."""
    mean_field = hartree_fock_of(job)
    if job.config["train"]["steps"]:  # not before: what pretraining waits for comes first
        compile_step(job, job.template(job.config["train"]["walkers"]))
    settings, components = job.config["pretrain"], job.components
    takes_steps = settings["steps"] and not is_fitted(components.wavefunction)
    job.reporter.stage("pretraining on the Hartree-Fock orbitals", settings["steps"] if takes_steps else None)

    def show(done: int, loss: float) -> None:
        job.reporter.update(done, lambda: f"loss {loss:.3g}")
        job.leave_if_asked("during pretraining")

    with job.timed("pretrain"):
        pretrained = pretrain(components.system, components.wavefunction, mean_field,
                              key=stage_key(job.config, "pretrain"), n_walkers=job.config["train"]["walkers"],
                              progress=show, **settings)
        state = spread(init_state(stage_key(job.config, "train"), components.system, pretrained.params,
                                  pretrained.electrons, components.sampler, components.optimizer))
    state = _burnt_in(job, state, job.config["train"]["burn_in"], stage_key(job.config, "burn_in"))
    job.leave_if_asked("before training")
    return state


def hartree_fock_of(job: Job) -> MeanField:
    """Return the mean field from the run's files, or compute it and keep it there; the job takes note of its energy."""
    given, origin = job.components.mean_field, " (from the run's files)"
    mean_field = None if job.directory is None else job.directory.load_mean_field()
    if mean_field is None:
        if given is None and "mean_field" in job.config.get("custom", {}):
            raise InputError("this run was started from a mean field of its own, which isn't among its files: give it "
                             "again with nnqmc.resume(directory, mean_field=...)")
        if given is None:
            job.reporter.stage(f"Hartree-Fock in the basis {job.config['scf']['basis']}")
        with job.timed("scf"):
            mean_field = MeanField(**from_first(
                lambda: vars(given or hartree_fock(job.components.system, **job.config["scf"]))))
        origin = "" if given is None else " (of the mean field given)"
        if job.directory is not None:
            job.directory.save_mean_field(mean_field)
        job.leave_if_asked("after Hartree-Fock")
    job.hartree_fock = float(mean_field.energy)
    job.reporter.note(f"Hartree-Fock energy {job.hartree_fock:.6f} Ha{origin}")
    return mean_field


def resized(job: Job, state: TrainState) -> TrainState:
    """Return the state of a checkpoint on the devices in use, with as many walkers as the configuration asks for.

    Surplus walkers are left out; missing ones are copied from others and then moved until the copies are independent.
    """
    n_walkers, found = job.config["train"]["walkers"], state.sampler.n_walkers
    if n_walkers == found:
        return spread(state)
    job.reporter.note(f"{n_walkers} walkers instead of the {found} of the checkpoint: "
                      f"{'copies of them' if n_walkers > found else 'the first of them'}, moved by {LONG_BURN_IN} "
                      "sampler steps")
    state = spread(state._replace(sampler=job.components.sampler.resize(state.sampler, n_walkers)))
    key = jax.random.fold_in(stage_key(job.config, "burn_in"), _AFTER_RESIZING)
    return _burnt_in(job, state, LONG_BURN_IN, jax.random.fold_in(key, int(state.step)))


def _burnt_in(job: Job, state: TrainState, n_steps: int, key: Key) -> TrainState:
    """Return the state with walkers moved by `n_steps` steps of training's program, whose time is pretraining's."""
    if n_steps == 0:
        return state

    def show(done: int, stats: Stats) -> None:
        job.reporter.update(done, lambda: f"acceptance {float(stats.get('acceptance', 'nan')):.2f}")
        job.leave_if_asked("while walkers were moved")

    program = job.programs.walk(state)
    with job.timed("compile"):
        if not program.compiled.done():
            job.reporter.stage("compiling the sampler and the local energy")
        step = replace(make_training_step(job.components), walk=program.compiled.result())
    job.reporter.stage("moving the walkers to the density of the wavefunction", n_steps)
    with job.timed("pretrain"):
        return jax.block_until_ready(burn_in(step, state, n_steps, key=key, progress=show))
