"""One step of an evaluation: the walk of training, and one row of numbers about the walkers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool

from nnqmc.errors import InputError
from nnqmc.methods.vmc import Stats, Walk, make_walk, step_keys
from nnqmc.observables import Observable, Observables, by_name
from nnqmc.parallel import over_walkers, walker_keys
from nnqmc.typing import Key, LocalEnergy, LocalOperator, LogPsi, Params, Population, Sampler, System

_GROUPS = 256
"""Chains kept apart in a series; neighbouring walkers are averaged where there are more."""

_NUMBERS = 4096
"""The most numbers of one observable in a row; an array of many numbers is averaged over larger groups."""

_OF_THE_WALK = ("acceptance", "stuck", "reseeded", "bad_proposals")
"""The statistics of the sampler that a row keeps."""

MeasureStep = Callable[[Key, ArrayLike, Params, Any, LocalEnergy, Stats], dict[str, Array]]
"""(key, index of the step, params, and what `Walk` gives back) -> one row of numbers."""

Rows = dict[str, np.ndarray]
"""Numbers by name, the steps along the first axis."""


def to_host(rows: list[dict[str, Array]]) -> Rows:
    """Return the rows of several steps on the host, stacked along a new first axis."""
    fetched = jax.device_get(rows)
    return {name: np.stack([row[name] for row in fetched]) for name in rows[0]}


@dataclass(frozen=True)
class Measurement:
    """The programs that `evaluate` repeats: a step of the walk, and a row of numbers about the walkers after it.

    Attributes:
        walk: from `make_walk`; compiled, it may be that of training.
        measure_step: from `make_measure_step`, compiled.
        freeze: of the sampler, so that nothing is adapted while measuring.
        system: the molecule.
        observables: what is measured besides the energy, by name.
        to_host: brings the rows of several steps to the host, where all processes need the same numbers.
    """

    walk: Walk
    measure_step: MeasureStep
    freeze: Callable[[Any], Any]
    system: System
    observables: Mapping[str, Observable] = field(default_factory=dict)
    to_host: Callable[[list[dict[str, Array]]], Rows] = to_host

    def burn_in(self, key: Key, params: Params, chains: Any, steps: int) -> tuple[Any, float]:
        """Return the chains after so many steps, and the share of the walkers that were replaced on the way."""
        rows = []
        for index in range(steps):
            chains, _, stats = self.walk(key, np.int32(index), params, chains)
            rows.append({"reseeded": stats.get("reseeded", jnp.zeros(()))})
        return chains, float(self.to_host(rows)["reseeded"].sum()) if rows else 0.0

    def block(self, key: Key, params: Params, chains: Any, first: int, steps: int) -> tuple[Any, Rows]:
        """Return the chains after so many steps, numbered from `first` on, and the rows of these steps in float64."""
        rows = []
        for index in range(first, first + steps):
            chains, *measured = self.walk(key, np.int32(index), params, chains)
            rows.append(self.measure_step(key, np.int32(index), params, chains, *measured))
        return chains, {name: np.asarray(values, np.float64) for name, values in self.to_host(rows).items()}


def make_measurement(log_psi: LogPsi, system: System, hamiltonian: LocalOperator, sampler: Sampler, *,
                     observables: Observables = None, chunk_size: int | None = None) -> Measurement:
    """Return the two programs that `evaluate` repeats; they are compiled when they are called first.

    Args:
        log_psi: the wavefunction.
        system: the molecule.
        hamiltonian: local operator that returns a LocalEnergy.
        sampler: a Markov chain on |psi|^2; its `freeze` is used, so that nothing is adapted while measuring.
        observables: a list of Observables, or a dict by name of them or of functions (psi, electrons, system, key) ->
            a number, an array or a dict of these.
        chunk_size: walkers evaluated together; None chooses by itself (see `over_walkers`).
    """
    observables = by_name(observables)
    walk = jax.jit(make_walk(log_psi, system, hamiltonian, sampler, chunk_size))
    measure_step = jax.jit(make_measure_step(log_psi, system, observables=observables, chunk_size=chunk_size))
    return Measurement(walk, measure_step, sampler.freeze, system, observables)


def make_measure_step(log_psi: LogPsi, system: System, *, observables: Observables = None, chunk_size: int | None = None
                      ) -> MeasureStep:
    """Return the function that makes one row of numbers of the walkers after a step.

    The row holds the mean of every group of walkers, "energy", "term.NAME" and "observable.NAME" (or
    "observable.NAME.KEY" for a dict); "variance" of the energy; the shares of the walkers left out since their numbers
    weren't finite, "excluded" for the energy and its terms and "excluded.NAME" for an observable; and shares of the
    walk. Numbers of an observable that isn't measured at this step are nan.

    Args: as in `make_measurement`.
    """
    measured = {name: _make_measure_observable(log_psi, system, observable, chunk_size)
                for name, observable in by_name(observables).items()}

    def measure_step(key: Key, index: ArrayLike, params: Params, chains: Any, local: LocalEnergy, stats: Stats
                     ) -> dict[str, Array]:
        row = _energy_row(local) | {name: stats.get(name, jnp.zeros(())) for name in _OF_THE_WALK}
        for name, measure in measured.items():
            numbers = measure(step_keys(key, index)[2], index, params, chains.walkers.electrons, local)
            if taken := sorted(row.keys() & numbers.keys()):
                raise InputError(f"observable {name!r} gives the series {taken[0]!r} twice: give it another name")
            row |= numbers
        return row

    return measure_step


def _energy_row(local: LocalEnergy) -> dict[str, Array]:
    """Return the group means of the energy and its terms, the variance, and the share of the walkers left out."""
    values = {"energy": local.total} | {f"term.{name}": term for name, term in local.terms.items()}
    finite = jnp.all(jnp.stack([jnp.isfinite(v) for v in values.values()]), axis=0)
    n_walkers, count = finite.shape[0], jnp.sum(finite)
    grouped = {name: _group_means(v, finite, min(n_walkers, _GROUPS)) for name, v in values.items()}
    variance = jnp.sum(grouped["energy"][1] ** 2) / jnp.maximum(count - 1, 1)
    return {name: means for name, (means, _) in grouped.items()} | {
        "variance": variance, "excluded": (n_walkers - count) / n_walkers}


def _make_measure_observable(log_psi: LogPsi, system: System, observable: Observable, chunk_size: int | None
                             ) -> Callable[..., dict[str, Array]]:
    """Return the function that makes an observable's part of a row, or nan at steps where it isn't measured."""

    def now(key: Key, params: Params, electrons: Population, local: LocalEnergy) -> dict[str, Array]:
        psi = partial(log_psi, params)

        def one(walker: tuple) -> Any:
            place, key, energy = walker
            return observable.local(psi, place, system, key, *((energy,) if observable.needs_local_energy else ()))

        values = over_walkers(one, chunk_size)((electrons, walker_keys(key, electrons.shape[0]), local))
        return _columns(observable.name, values, electrons.dtype)

    def measure(key: Key, index: ArrayLike, *sample: Any) -> dict[str, Array]:
        # Sums over processes stay out of the condition: in it, they might come in another order in each process.
        forms = jax.eval_shape(now, key, *sample)
        nothing = {name: jnp.full(form.shape, jnp.nan, form.dtype) for name, form in forms.items()}
        is_time = jnp.asarray(index) % observable.every == 0
        columns = now(key, *sample) if observable.every == 1 else jax.lax.cond(
            is_time, now, lambda *_: nothing, key, *sample)
        finite = jnp.all(jnp.stack([jnp.isfinite(v).reshape(v.shape[0], -1).all(1) for v in columns.values()]), axis=0)
        n_groups = _n_groups(finite.shape[0], sum(v[0].size for v in columns.values()))
        excluded = jnp.where(is_time, jnp.mean(~finite, dtype=sample[1].dtype), jnp.nan)
        return {name: _group_means(v, finite, n_groups)[0] for name, v in columns.items()} | {
            f"excluded.{observable.name}": excluded}

    return measure


def _columns(name: str, values: Any, dtype: Any) -> dict[str, Array]:
    """Return the numbers of an observable by the names of their series, as floating-point numbers."""
    named = {f"observable.{name}.{key}": value for key, value in sorted(values.items())} if isinstance(values, dict) \
        else {f"observable.{name}": values}
    for value in named.values():
        if not isinstance(value, jax.Array) or jnp.iscomplexobj(value) or value.size == 0:
            raise InputError(f"observable {name!r} returns {jax.tree.map(jnp.shape, values)!r:.80} of a kind that has "
                             "no mean: return a real number, a real array or a dict of these for one walker")
    return {key: v if jnp.issubdtype(v.dtype, jnp.floating) else v.astype(dtype) for key, v in named.items()}


def _n_groups(n_walkers: int, numbers: int) -> int:
    """Return in how many groups of walkers an array of so many numbers is kept: two at least, for two chains."""
    return min(n_walkers, max(min(_GROUPS, _NUMBERS // max(numbers, 1)), 2))


def _group_means(values: Array, finite: Bool[Array, "n_walkers"], n_groups: int) -> tuple[Array, Array]:
    """Return the means over groups of walkers (n_groups, ...), and all values less their mean (n_walkers, ...).

    A walker that is left out counts with the mean of the others, which changes no mean.
    """
    n_walkers, count = finite.shape[0], jnp.sum(finite)
    axes = (1,) * (values.ndim - 1)
    group = jnp.arange(n_walkers) * n_groups // n_walkers
    size = jax.ops.segment_sum(jnp.ones(n_walkers), group, n_groups).reshape(n_groups, *axes)
    finite = finite.reshape(n_walkers, *axes)
    origin = values[jnp.argmax(finite)]
    centred = jnp.where(finite, values - origin, 0.0)
    centre = jnp.where(count > 0, jnp.sum(centred, axis=0) / jnp.maximum(count, 1), jnp.nan)
    filled = jnp.where(finite, values - origin - centre, 0.0)
    return origin + centre + jax.ops.segment_sum(filled, group, n_groups) / size, filled
