"""The training loop around one step of VMC."""

from __future__ import annotations

import timeit
from collections.abc import Callable, Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from nnqmc.errors import NumericalError
from nnqmc.methods.vmc import Stats, Step
from nnqmc.typing import Key, TrainState

_PATIENCE = 20
"""Bad steps in a row after which training gives up."""

_MOST_BAD = 0.1
"""Fraction of walkers without a finite local energy, or lost and replaced, that makes a step bad."""

OneStep = Callable[[TrainState], tuple[TrainState, Stats]]
"""state -> (state, statistics): a `Step`, or anything that can be called like one."""


def burn_in(step: Step, state: TrainState, n_steps: int, *, key: Key,
            progress: Callable[[int, Stats], None] | None = None) -> TrainState:
    """Return the state after moves of the walkers that make them independent of where they started.

    Args:
        step: from `make_step`; its first part is compiled here, unless it is compiled already, and serves training too.
        state: from `init_state`.
        n_steps: moves of the sampler.
        key: decides them.
        progress: called with (moves done, statistics of the sampler) after each.
    """
    walk = step.compiled().walk
    for done in range(n_steps):
        chains, _, stats = walk(key, jnp.full_like(state.step, done), state.params, state.sampler)
        state = state._replace(sampler=chains)
        if progress is not None:
            progress(done + 1, jax.block_until_ready(stats))
    return state


def train(step: OneStep, state: TrainState, n_steps: int) -> Iterator[tuple[int, TrainState, dict[str, float]]]:
    """Advance `state` until `n_steps` steps are done in all, yielding after every step.

    Args:
        step: from `make_step`, or any function of that form; compiled here, unless it is compiled already.
        state: from `init_state`, or a checkpoint.
        n_steps: the number of steps in all, those already in `state` included.

    Yields:
        (steps done, state, statistics as floats: energy and its parts in hartree, variance, acceptance, ...). Stop
        iterating whenever you like; the last state resumes the run exactly.

    Raises:
        NumericalError: 20 steps in a row were bad (`is_bad`); the last of them was yielded, too.
    """
    compiled = _compiled(step)
    bad = 0
    for done in range(int(state.step) + 1, n_steps + 1):
        state, stats = compiled(state)
        numbers = {name: float(value) for name, value in jax.device_get(stats).items()}
        bad = bad + 1 if is_bad(numbers) else 0
        yield done, state, numbers
        if bad >= _PATIENCE:
            raise NumericalError(f"{bad} training steps in a row up to step {done} gave numbers that aren't finite, "
                                 f"the last one for {_share(numbers):.0%} of the walkers: use a smaller learning "
                                 "rate, more damping, or another seed")


def seconds_of_parts(step: Step, state: TrainState) -> tuple[float, float]:
    """Return the seconds of both parts of a training step, `walk` and `update`, each the least of three.

    Args:
        step: compiled.
        state: where the step is done; it stays as it is.
    """
    def walk() -> tuple:
        return jax.block_until_ready(step.walk(state.key, state.step, state.params, state.sampler))

    moved = walk()
    first, second = (min(timeit.repeat(part, number=1, repeat=3)) for part in (
        walk, lambda: jax.block_until_ready(step.update(state, *moved))))
    return first, second


def is_bad(numbers: Mapping[str, float]) -> bool:
    """Tell whether a step with these statistics was rejected, lost more than a tenth of the walkers, or moved none."""
    return bool(numbers["rejected"]) or _share(numbers) > _MOST_BAD


def _share(numbers: Mapping[str, float]) -> float:
    """Return the share of the walkers that were excluded, replaced or could not move, whichever is largest."""
    is_frozen = numbers.get("bad_proposals", 0.0) == 1.0
    return max(numbers["excluded"], numbers.get("reseeded", 0.0), float(is_frozen))


def _compiled(step: OneStep) -> OneStep:
    """Return a step that is compiled when it is called first, unless it is compiled already."""
    if isinstance(step, Step):
        return step.compiled()
    return step if isinstance(step, jax.stages.Compiled) else jax.jit(step)


def finish(steps: Iterator[tuple[int, TrainState, dict[str, float]]],
           callback: Callable[[int, TrainState, dict[str, float]], None] | None = None
           ) -> tuple[TrainState | None, dict[str, np.ndarray]]:
    """Run `train` to its end and return the last state and the statistics, name -> array (n_steps,)."""
    rows: list[dict[str, float]] = []
    state = None
    for done, state, stats in steps:
        rows.append(stats)
        if callback is not None:
            callback(done, state, stats)
    series = {name: np.array([row[name] for row in rows]) for name in (rows[0] if rows else ())}
    return state, series
