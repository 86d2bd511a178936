"""The population between two stages: moved until it follows the density, made larger or smaller."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from nnqmc.job.build import Ingredients, make_training_step, stage_key
from nnqmc.job.compilation import Program, walk_ahead
from nnqmc.job.devices import spread
from nnqmc.methods import burn_in
from nnqmc.methods.vmc import Stats
from nnqmc.typing import Key, TrainState, Walkers

if TYPE_CHECKING:
    from nnqmc.job.stages import Job

LONG_BURN_IN = 100
"""Sampler steps after which copies of a walker have parted."""

_NO_MOVE = 2**31 - 1
"""A number that no move of a burn-in has."""


def walk_program(job: Job, state: TrainState) -> Program:
    """What moves and measures walkers, compiled already or from now on."""
    if "walk" not in job.programs:
        job.programs["walk"] = walk_ahead(make_training_step(job.parts), state)
    return job.programs["walk"]


def moved(job: Job, state: TrainState, steps: int, key: Key) -> TrainState:
    """The state with walkers moved by so many sampler steps: by the program of training, so that no other is needed.

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
        step = replace(make_training_step(job.parts), walk=program.compiled.result())
    job.reporter.stage("moving the walkers to the density of the wavefunction", steps)
    with job.timed("pretrain"):
        return jax.block_until_ready(burn_in(step, state, steps, key=key, progress=show))


def fitted(job: Job, state: TrainState) -> TrainState:
    """A state from a checkpoint on the devices in use, with as many walkers as the configuration asks for.

    Walkers are left out, or copied and then moved until the copies have parted.
    """
    n_walkers, found = job.config["train"]["walkers"], state.sampler.walkers.electrons.shape[0]
    if n_walkers == found:
        return spread(state)
    job.reporter.note(f"{n_walkers} walkers instead of the {found} of the checkpoint: "
                      f"{'copies of them' if n_walkers > found else 'the first of them'}, moved by {LONG_BURN_IN} "
                      "sampler steps")
    state = spread(state._replace(sampler=resized(job.parts, state.sampler, n_walkers)))
    key = jax.random.fold_in(stage_key(job.config, "burn_in"), _NO_MOVE)  # each move of a burn-in has one as well
    key = jax.random.fold_in(key, int(state.step))
    return moved(job, state, LONG_BURN_IN, key)


def resized(parts: Ingredients, chains: Any, n_walkers: int) -> Any:
    """Chains of another number of walkers, copies of those there are.

    Args:
        parts: has the sampler.
        chains: its state.
        n_walkers: that there shall be.
    """
    walkers = chains.walkers
    index = jnp.arange(n_walkers) % walkers.electrons.shape[0]
    resized = parts.sampler.init(Walkers(walkers.electrons[index], walkers.log_weight[index]), parts.system)
    return resized._replace(width=chains.width) if hasattr(chains, "width") else resized
