"""Change the population between two stages: move it until it follows the density, make it larger or smaller."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import jax

from nnqmc.job.build import make_training_step, stage_key
from nnqmc.job.compilation import Program, walk_ahead
from nnqmc.job.devices import spread
from nnqmc.methods import burn_in
from nnqmc.methods.vmc import Stats
from nnqmc.typing import Key, TrainState

if TYPE_CHECKING:
    from nnqmc.job.stages import Job

LONG_BURN_IN = 100
"""After so many sampler steps copies of a walker have parted."""

_NO_MOVE = 2**31 - 1
"""No move of a burn-in has this number."""


def walk_program(job: Job, state: TrainState) -> Program:
    """Return the program that moves and measures walkers, compiled already or from now on."""
    if "walk" not in job.programs:
        job.programs["walk"] = walk_ahead(make_training_step(job.config, job.parts), state)
    return job.programs["walk"]


def moved(job: Job, state: TrainState, steps: int, key: Key) -> TrainState:
    """Return the state with its walkers moved by so many sampler steps, by the program of training.

    The time is entered under "pretrain".
    """
    if steps == 0:
        return state

    def show(done: int, stats: Stats) -> None:
        text = f"acceptance {float(stats['acceptance']):.2f}" if "acceptance" in stats else ""
        job.reporter.update(done, lambda: text)
        job.leave_if_asked("while walkers were moved")

    program = walk_program(job, state)
    with job.timed("compile"):
        if not program.compiled.done():
            job.reporter.stage("compiling the sampler and the local energy")
        step = replace(make_training_step(job.config, job.parts), walk=program.compiled.result())
    job.reporter.stage("moving the walkers to the density of the wavefunction", steps)
    with job.timed("pretrain"):
        return jax.block_until_ready(burn_in(step, state, steps, key=key, progress=show))


def fitted(job: Job, state: TrainState) -> TrainState:
    """Return a checkpoint's state on the devices in use, with as many walkers as the configuration asks for.

    Walkers are left out, or copied and then moved until the copies have parted.
    """
    n_walkers, found = job.config["train"]["walkers"], state.sampler.n_walkers
    if n_walkers == found:
        return spread(state)
    job.reporter.note(f"{n_walkers} walkers instead of the {found} of the checkpoint: "
                      f"{'copies of them' if n_walkers > found else 'the first of them'}, moved by {LONG_BURN_IN} "
                      "sampler steps")
    state = spread(state._replace(sampler=job.parts.sampler.resize(state.sampler, n_walkers)))
    key = jax.random.fold_in(stage_key(job.config, "burn_in"), _NO_MOVE)  # each move of a burn-in has one as well
    key = jax.random.fold_in(key, int(state.step))
    return moved(job, state, LONG_BURN_IN, key)
