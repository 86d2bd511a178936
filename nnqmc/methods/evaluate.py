"""Energies and observables at frozen parameters, with error bars that hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array

from nnqmc.errors import NumericalError
from nnqmc.methods.vmc import Stats, Walk, make_walk, step_keys
from nnqmc.parallel import over_walkers, walker_keys
from nnqmc.ranges import Between, check
from nnqmc.statistics import Estimate, estimate
from nnqmc.typing import Key, LocalEnergy, LocalOperator, LogPsi, Params, Population, Sampler, System

_BLOCK = 10
"""Steps in one compiled call."""

_GROUPS = 256
"""Chains kept apart in the series; neighbouring walkers are averaged where there are more."""

_ENOUGH = 200
"""No error bar is believed before so many steps: slow valence electrons need tens of steps to move."""

_EXTRA = 3.0
"""An error bar that has reached its target but isn't trusted yet gets up to this many times the steps."""

_MOST_EXCLUDED, _MOST_ELSEWHERE = 1e-3, 0.01
"""Shares of samples left out, and of anything else amiss in the walk, from which the numbers aren't trusted."""

_FAULTS = ("excluded", "reseeded", "bad_proposals")

Look = Callable[[Key, ArrayLike, Params, Any, LocalEnergy, Stats], dict[str, Array]]
"""(key, index of the step, params, and what `Walk` gives back) -> one row of numbers."""

Measurement = Callable[[Key, Params, Any, ArrayLike], tuple[Any, Mapping[str, ArrayLike]]]
"""(key, params, chains, first step) -> (chains, one row of numbers for each of the next ten steps)."""


class Evaluation(NamedTuple):
    """What was measured at frozen parameters.

    energy, terms, observables: Estimates (energies in hartree; observables are averaged over walkers, and those that
        return several numbers get one Estimate for each, called name.key or name.index).
    series: for each step the mean of every group of walkers, name -> (n_steps, n_groups); and "variance", "excluded",
        "reseeded" and "bad_proposals" (n_steps,).
    acceptance, stuck, excluded: fractions of moves, of walkers, and of samples left out because they weren't finite.
    chains: the sampler's last state.
    reseeded: walkers that were lost and replaced, burn-in included, as a fraction of all; bad_proposals: the fraction
        of moves that led where the wavefunction is neither finite nor zero, and were refused.
    finished: False if the monitor ended it, before the error bar was small enough or max_steps were done.
    """

    energy: Estimate
    terms: dict[str, Estimate]
    observables: dict[str, Estimate]
    series: dict[str, np.ndarray]
    acceptance: float
    stuck: float
    excluded: float
    chains: Any
    reseeded: float = 0.0
    bad_proposals: float = 0.0
    finished: bool = True


class Progress(NamedTuple):
    """An evaluation on its way, which can be given to `evaluate` to go on, to the same numbers.

    chains: the sampler's state after the last block.
    blocks: the rows of numbers so far, name -> (n_steps, ...); the steps of each are a multiple of ten.
    lost: walkers that were replaced during the burn-in, as a fraction of all.
    reached: the steps after which the error bar was seen on its target first, or None.
    """

    chains: Any
    blocks: tuple[dict[str, np.ndarray], ...] = ()
    lost: float = 0.0
    reached: int | None = None

    @property
    def steps(self) -> int:
        """How many steps count so far."""
        return sum(len(block["energy"]) for block in self.blocks)

    def rows(self) -> dict[str, np.ndarray]:
        """All blocks as one."""
        return {name: np.concatenate([block[name] for block in self.blocks]) for name in self.blocks[0]}


def make_measurement(log_psi: LogPsi, system: System, hamiltonian: LocalOperator, sampler: Sampler, *,
                     observables: Mapping[str, LocalOperator] | None = None, chunk_size: int | None = None
                     ) -> Measurement:
    """What `evaluate` repeats, as one compiled function of ten sampler steps.

    Args:
        log_psi: the wavefunction.
        system: the molecule.
        hamiltonian: local operator that returns a LocalEnergy.
        sampler: a Markov chain on |psi|^2; its `freeze` is used, so that nothing is adapted while measuring.
        observables: further local operators by name, each returning numbers or a dict of them.
        chunk_size: walkers evaluated together; None chooses by itself (see `over_walkers`).
    """
    walk = make_walk(log_psi, system, hamiltonian, sampler, chunk_size)
    look = make_look(log_psi, system, observables=observables, chunk_size=chunk_size)

    @jax.jit
    def block(key: Key, params: Params, chains: Any, first: ArrayLike) -> tuple[Any, dict[str, Array]]:
        def one(chains: Any, index: ArrayLike) -> tuple[Any, dict[str, Array]]:
            chains, *measured = walk(key, index, params, chains)
            return chains, look(key, index, params, chains, *measured)

        return jax.lax.scan(one, sampler.freeze(chains), first + jnp.arange(_BLOCK))

    return block


def measurement_by_steps(walk: Walk, look: Look, freeze: Callable[[Any], Any]) -> Measurement:
    """The same from parts that are compiled one by one: `walk` may be that of training.

    Args:
        walk: from `make_walk`.
        look: from `make_look`.
        freeze: of the sampler.
    """

    def block(key: Key, params: Params, chains: Any, first: ArrayLike) -> tuple[Any, dict[str, np.ndarray]]:
        chains, rows = freeze(chains), []
        for index in range(int(first), int(first) + _BLOCK):
            number = np.int32(index)
            chains, *measured = walk(key, number, params, chains)
            rows.append(look(key, number, params, chains, *measured))
        return chains, {name: np.stack([row[name] for row in jax.device_get(rows)]) for name in rows[0]}

    return block


def make_look(log_psi: LogPsi, system: System, *, observables: Mapping[str, LocalOperator] | None = None,
              chunk_size: int | None = None) -> Look:
    """What a step of the evaluation keeps of its walkers: one row of numbers.

    Args: as in `make_measurement`.
    """
    observables = dict(observables or {})

    def measure_observables(key: Key, params: Params, electrons: Population) -> dict[str, Array]:
        def one(walker: tuple) -> dict[str, Any]:
            return {name: operator(lambda r, s: log_psi(params, r, s), walker[0], system, walker[1])
                    for name, operator in observables.items()}

        values = over_walkers(one, chunk_size)((electrons, walker_keys(key, electrons.shape[0])))
        return _named_columns(values)

    def look(key: Key, index: ArrayLike, params: Params, chains: Any, local: LocalEnergy, stats: Stats
             ) -> dict[str, Array]:
        values = {"energy": local.total} | {f"term.{name}": term for name, term in local.terms.items()}
        if observables:
            measured = measure_observables(step_keys(key, index)[2], params, chains.walkers.electrons)
            values |= {f"observable.{name}": value for name, value in measured.items()}
        faults = {name: stats.get(name, jnp.zeros(())) for name in ("acceptance", "stuck", "reseeded", "bad_proposals")}
        return _grouped(values) | faults

    return look


def evaluate(measurement: Measurement, params: Params, chains: Any, *, key: Key,
             target_error: Annotated[float | None, Between(1e-9)] = None,
             max_steps: Annotated[int, Between(1, 10**8)] = 2000, burn_in: Annotated[int, Between(0, 10**6)] = 50,
             monitor: Callable[[Progress, Estimate, dict[str, float]], bool | None] | None = None) -> Evaluation:
    """Sample at frozen parameters until the energy's error bar is small enough.

    Args:
        measurement: from `make_measurement`.
        params: the parameters to evaluate, normally `state.average` of training.
        chains: where the sampler starts, normally `state.sampler` of training; or the Progress of an evaluation with
            the same other arguments, which goes on as if nothing had come between.
        key: decides the walk.
        target_error: stop once the energy's standard error (hartree) is at most this and trusted, after 200 steps at
            the earliest; None never stops.
        max_steps: the most sampler steps.
        burn_in: sampler steps that are forgotten before anything counts, rounded up to a multiple of ten.
        monitor: called every ten steps with what there is so far, an Estimate of the energy at most 15 % of the steps
            old, and the fractions excluded, reseeded and bad_proposals; returning True stops.

    Raises:
        InputError: max_steps, burn_in or target_error is out of range.
        NumericalError: no walker has a finite local energy.
    """
    check(evaluate, target_error=target_error, max_steps=max_steps, burn_in=burn_in)
    key_burn_in, key_steps = jax.random.split(key)
    progress = chains if isinstance(chains, Progress) else _burnt_in(measurement, params, chains, key_burn_in, burn_in)
    steps, energy, is_over = progress.steps, None, progress.steps >= max_steps
    totals = {name: sum(float(block[name].sum()) for block in progress.blocks) for name in _FAULTS}
    if _is_look(steps):
        progress, energy, is_over = _judged(progress, target_error, max_steps)
    while not is_over:
        progress, steps = _advanced(measurement, params, progress, key_steps, steps), steps + _BLOCK
        totals = {name: total + float(progress.blocks[-1][name].sum()) for name, total in totals.items()}
        if _is_look(steps) or steps >= max_steps:
            progress, energy, is_over = _judged(progress, target_error, max_steps)
        energy = energy or estimate(progress.rows()["energy"])
        faults = {name: total / steps for name, total in totals.items()} | {
            "reseeded": progress.lost + totals["reseeded"]}
        if monitor is not None and monitor(progress, energy, faults) and not is_over:
            break
    return _summarise(progress, max_steps)._replace(finished=is_over)


def _burnt_in(measurement: Measurement, params: Params, chains: Any, key: Key, burn_in: int) -> Progress:
    """The start of an evaluation."""
    lost = 0.0
    for first in range(0, burn_in, _BLOCK):
        chains, row = measurement(key, params, chains, np.int32(first))
        lost += float(row["reseeded"].sum())
    return Progress(chains, lost=lost)


def _advanced(measurement: Measurement, params: Params, progress: Progress, key: Key, steps: int) -> Progress:
    """The next block."""
    chains, row = measurement(key, params, progress.chains, np.int32(steps))
    block = {name: np.asarray(value, np.float64) for name, value in row.items()}
    if not np.isfinite(block["energy"]).all():
        raise NumericalError(f"evaluation: no walker has a finite local energy (and finite observables) at step "
                             f"{steps + _BLOCK}; train longer or with another seed")
    return progress._replace(chains=chains, blocks=(*progress.blocks, block))


def _is_look(steps: int) -> bool:
    """Whether the error bar is looked at after so many steps: every 15 %. It knows nothing of what was before."""
    look = _BLOCK
    while look < steps:
        look = max(look + _BLOCK, -(-int(1.15 * look) // _BLOCK) * _BLOCK)
    return look == steps


def _judged(progress: Progress, target_error: float | None, max_steps: int) -> tuple[Progress, Estimate, bool]:
    """What there is so far, the estimate from it, and whether that is enough."""
    energy, steps = estimate(progress.rows()["energy"][:max_steps]), progress.steps
    if steps < _ENOUGH or target_error is None or not energy.error <= target_error:
        return progress, energy, steps >= max_steps
    reached = progress.reached or steps
    is_enough = energy.trusted or steps >= _EXTRA * reached or steps >= max_steps
    return progress._replace(reached=reached), energy, is_enough


def _faults(rows: list[dict[str, np.ndarray]], lost_before: float) -> dict[str, float]:
    """What went wrong: fractions of samples, of walkers, and of moves."""
    means = {name: float(np.mean([row[name].mean() for row in rows])) for name in _FAULTS}
    return means | {"reseeded": lost_before + float(sum(row["reseeded"].sum() for row in rows))}


def doubts(fractions: Mapping[str, float]) -> tuple[str, ...]:
    """Reasons, in sentences, not to trust what was measured.

    Args:
        fractions: stuck, excluded, reseeded and bad_proposals as in `Evaluation`; those not there count as 0.
    """
    share = {name: fractions.get(name, 0.0) for name in ("stuck", *_FAULTS)}
    found = {
        f"{share['excluded']:.2%} of the samples had no finite local energy and were left out":
            share["excluded"] > _MOST_EXCLUDED,
        f"{share['stuck']:.1%} of the walkers are stuck": share["stuck"] > _MOST_ELSEWHERE,
        f"{share['reseeded']:.1%} of the walkers were lost and had to be replaced": share["reseeded"] > _MOST_ELSEWHERE,
        f"{share['bad_proposals']:.1%} of the moves led where the wavefunction isn't finite, and nothing is known of "
        "the energy there": share["bad_proposals"] > _MOST_ELSEWHERE,
    }
    return tuple(sentence for sentence, holds in found.items() if holds)


def _summarise(progress: Progress, max_steps: int) -> Evaluation:
    """All blocks as series and Estimates; steps beyond `max_steps` are dropped."""
    series, chains = {name: rows[:max_steps] for name, rows in progress.rows().items()}, progress.chains
    fractions = {"acceptance": float(series.pop("acceptance").mean()), "stuck": float(series.pop("stuck")[-1]),
                 **_faults([series], progress.lost)}
    variance = float(series["variance"].mean())

    n_samples = len(series["energy"]) * chains.walkers.electrons.shape[0]

    def measured(name: str, variance: float | None = None) -> Estimate:
        found = estimate(series[name], variance)
        return replace(found, n_samples=n_samples, caveats=found.caveats + doubts(fractions))

    def all_measured(prefix: str) -> dict[str, Estimate]:
        return {name.removeprefix(prefix): measured(name) for name in series if name.startswith(prefix)}

    return Evaluation(measured("energy", variance), all_measured("term."), all_measured("observable."), series,
                      chains=chains, **fractions)


def _grouped(values: dict[str, Array]) -> dict[str, Array]:
    """Means over groups of walkers, the energy's variance, and the share of walkers left out as not finite.

    A walker that is left out counts with the mean of the others, which changes no mean.
    """
    finite = jnp.all(jnp.stack([jnp.isfinite(v) for v in values.values()]), axis=0)
    count = jnp.sum(finite)
    n_walkers = finite.shape[0]
    n_groups = min(n_walkers, _GROUPS)
    group = jnp.arange(n_walkers) * n_groups // n_walkers
    size = jax.ops.segment_sum(jnp.ones(n_walkers), group, n_groups)

    def mean(v: Array) -> tuple[Array, Array]:
        origin = v[jnp.argmax(finite)]
        centred = jnp.where(finite, v - origin, 0.0)
        centre = jnp.where(count > 0, jnp.sum(centred) / jnp.maximum(count, 1), jnp.nan)
        filled = jnp.where(finite, v - origin - centre, 0.0)
        return origin + centre + jax.ops.segment_sum(filled, group, n_groups) / size, filled

    grouped = {name: mean(v) for name, v in values.items()}
    variance = jnp.sum(grouped["energy"][1] ** 2) / jnp.maximum(count - 1, 1)
    return {name: means for name, (means, _) in grouped.items()} | {
        "variance": variance, "excluded": (n_walkers - count) / n_walkers}


def _named_columns(values: Any) -> dict[str, Array]:
    """Every number an observable returns as a column (n_walkers,) with a name of its own."""
    columns = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(values)[0]:
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        flat = leaf.reshape((leaf.shape[0], -1))
        for index in range(flat.shape[1]):
            columns[name if flat.shape[1] == 1 else f"{name}.{index}"] = flat[:, index]
    return columns
