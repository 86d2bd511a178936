"""The loop of an evaluation: energies and observables at fixed parameters, with error bars."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np

from nnqmc.errors import NumericalError
from nnqmc.methods.evaluation import FAULTS, Evaluation, summarised
from nnqmc.methods.measurement import Measurement, Rows
from nnqmc.ranges import Between, check
from nnqmc.statistics import Estimate, estimate
from nnqmc.typing import Key, Params

_BLOCK = 10
"""Steps between two calls of the monitor."""

_ENOUGH = 200
"""No error bar is believed before so many steps: slow valence electrons need tens of steps to move."""

_EXTRA = 3.0
"""An error bar that has reached its target but isn't trusted yet gets up to this many times the steps, counted anew
where it was above the target again."""

_HARMLESS = 4e-4
"""An error bar in hartree, inflated by what heavy tails can do, that does no harm: a quarter of chemical accuracy."""


class EvaluationState(NamedTuple):
    """The state of an unfinished evaluation, from which `evaluate` continues to the same numbers.

    chains: the sampler's state after the last block.
    blocks: the rows of numbers so far, name -> (n_steps, ...); the steps of each are a multiple of ten.
    lost: walkers that were replaced during the burn-in, as a fraction of all.
    reached: the steps after which the error bar came to be on its target, or None where it isn't.
    """

    chains: Any
    blocks: tuple[Rows, ...] = ()
    lost: float = 0.0
    reached: int | None = None

    @property
    def steps(self) -> int:
        """Return the number of steps measured so far."""
        return sum(len(block["energy"]) for block in self.blocks)

    def rows(self) -> Rows:
        """Return the rows of all blocks together."""
        return {name: np.concatenate([block[name] for block in self.blocks]) for name in self.blocks[0]}


def evaluate(measurement: Measurement, params: Params, chains: Any, *, key: Key,
             target_error: Annotated[float | None, Between(1e-9)] = None,
             max_steps: Annotated[int, Between(1, 10**8)] = 2000, burn_in: Annotated[int, Between(0, 10**6)] = 50,
             monitor: Callable[[EvaluationState, Estimate, dict[str, float]], bool | None] | None = None) -> Evaluation:
    """Sample at fixed parameters until the energy's error bar is small enough, and return what was measured.

    Args:
        measurement: from `make_measurement`.
        params: the parameters to evaluate, normally `state.average` of training.
        chains: where the sampler starts, normally `state.sampler` of training; or the EvaluationState of an evaluation
            with the same other arguments, which goes on as if nothing had come between.
        key: decides the walk.
        target_error: stop once the energy's standard error (hartree) is at most this and trusted, after 200 steps at
            the earliest; None never stops. Heavy tails inflate the error (`estimate`), and are no reason to distrust it
            if it is then at most this and 0.4 mHa.
        max_steps: the most sampler steps.
        burn_in: sampler steps that are forgotten before anything counts.
        monitor: called every ten steps with what there is so far, an Estimate of the energy at most 15 % of the steps
            old, and the fractions excluded, reseeded and bad_proposals; returning True stops.

    Raises:
        InputError: max_steps, burn_in or target_error is out of range.
        NumericalError: no walker has a finite local energy.
    """
    check(evaluate, target_error=target_error, max_steps=max_steps, burn_in=burn_in)
    key_burn_in, key_steps = jax.random.split(key)
    if isinstance(chains, EvaluationState):
        state = chains._replace(chains=measurement.freeze(chains.chains))
    else:
        state = EvaluationState(*_burnt_in(measurement, params, chains, key_burn_in, burn_in))
    harmless = min(_HARMLESS, target_error or _HARMLESS)
    energy, is_over, totals = None, state.steps >= max_steps, _totals(state.blocks)
    if _is_time_to_judge(state.steps):
        state, energy, is_over = _judged(state, target_error, max_steps, harmless)
    while not is_over:
        state = _advanced(measurement, params, state, key_steps)
        totals += _totals(state.blocks[-1:])
        if _is_time_to_judge(state.steps) or state.steps >= max_steps:
            state, energy, is_over = _judged(state, target_error, max_steps, harmless)
        energy = energy or estimate(state.rows()["energy"], harmless=harmless)
        if monitor is not None and monitor(state, energy, _faults(state, totals)) and not is_over:
            break
    series = {name: values[:max_steps] for name, values in state.rows().items()}
    found = summarised(series, state.chains, state.lost, measurement.system, measurement.observables, harmless)
    return found._replace(finished=is_over)


def _burnt_in(measurement: Measurement, params: Params, chains: Any, key: Key, steps: int) -> tuple[Any, tuple, float]:
    """Return the parts of the state at the start of an evaluation."""
    chains, lost = measurement.burn_in(key, params, measurement.freeze(chains), steps)
    return chains, (), lost


def _advanced(measurement: Measurement, params: Params, state: EvaluationState, key: Key) -> EvaluationState:
    """Return the state after the next block."""
    chains, block = measurement.block(key, params, state.chains, state.steps, _BLOCK)
    if not np.isfinite(block["energy"]).all():
        raise NumericalError(f"evaluation: no walker has a finite local energy at a step up to step "
                             f"{state.steps + _BLOCK}; train longer or with another seed")
    return state._replace(chains=chains, blocks=(*state.blocks, block))


def _totals(blocks: tuple[Rows, ...]) -> np.ndarray:
    """Return the sums over all steps of the shares in FAULTS."""
    return np.array([sum(float(block[name].sum()) for block in blocks) for name in FAULTS], np.float64)


def _faults(state: EvaluationState, totals: np.ndarray) -> dict[str, float]:
    """Return the shares of samples excluded, of walkers reseeded and of bad proposals, from their sums so far."""
    sums = dict(zip(FAULTS, totals.tolist(), strict=True))
    return {name: total / state.steps for name, total in sums.items()} | {"reseeded": state.lost + sums["reseeded"]}


def _is_time_to_judge(steps: int) -> bool:
    """Tell whether the error bar is judged after so many steps: every 15 %, whatever was before."""
    next_time = _BLOCK
    while next_time < steps:
        next_time = max(next_time + _BLOCK, -(-int(1.15 * next_time) // _BLOCK) * _BLOCK)
    return next_time == steps


def _judged(state: EvaluationState, target_error: float | None, max_steps: int, harmless: float
            ) -> tuple[EvaluationState, Estimate, bool]:
    """Return the state, the estimate of the energy so far, and whether that is enough."""
    energy, steps = estimate(state.rows()["energy"][:max_steps], harmless=harmless), state.steps
    if steps < _ENOUGH or target_error is None or not energy.error <= target_error:
        return state._replace(reached=None), energy, steps >= max_steps  # a rare event has raised the error bar again
    reached = state.reached or steps
    is_enough = energy.trusted or steps >= _EXTRA * reached or steps >= max_steps
    return state._replace(reached=reached), energy, is_enough
