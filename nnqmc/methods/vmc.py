"""Variational Monte Carlo: one step, as it should be read, and the state it advances."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike
from jaxtyping import Array

from nnqmc.errors import InputError
from nnqmc.objectives import clipped_energy
from nnqmc.parallel import over_walkers, walker_keys
from nnqmc.samplers import check_state
from nnqmc.typing import (
    Key,
    LocalEnergy,
    LocalOperator,
    LogPsi,
    Params,
    Population,
    Sampler,
    System,
    TrainState,
    VMCBatch,
    Walkers,
)

Stats = dict[str, Array]

Walk = Callable[[Key, ArrayLike, Params, Any], tuple[Any, LocalEnergy, Stats]]
"""(key, index of the step, params, chains) -> (chains, local energies of all walkers, statistics of the sampler)."""

Update = Callable[[TrainState, Any, LocalEnergy, Stats], tuple[TrainState, Stats]]
"""(state, chains that have moved, their local energies, statistics of the sampler) -> (state, statistics)."""


@dataclass(frozen=True)
class Step:
    """One step of VMC, in two parts: what evaluation repeats as well, and what only training does.

    Each part may be compiled by itself, so that both stages can use one compiled `walk`; called as a whole inside of
    `jax.jit` they make one program.
    """

    walk: Walk
    update: Update

    def __call__(self, state: TrainState) -> tuple[TrainState, Stats]:
        """The state one step later, and the step's statistics."""
        return self.update(state, *self.walk(state.key, state.step, state.params, state.sampler))

    def compiled(self) -> Step:
        """The same with its parts compiled when they are called first."""
        return Step(*(part if isinstance(part, jax.stages.Compiled) else jax.jit(part)
                      for part in (self.walk, self.update)))


def init_state(key: Key, system: System, params: Params, electrons: Population, sampler: Sampler,
               optimizer: optax.GradientTransformationExtraArgs) -> TrainState:
    """Return the state before the first step, for walkers at `electrons` (n_walkers, n_electrons, 3) in bohr.

    It is made by one compiled program.

    Raises:
        InputError: what the sampler's `init` returns is no `SamplerState`; see `nnqmc.samplers.check_state`.
    """

    @jax.jit
    def make(key: Key, params: Params, electrons: Population) -> TrainState:
        walkers = Walkers(electrons, jnp.zeros(electrons.shape[0], electrons.dtype))
        return TrainState(step=jnp.zeros((), jnp.int32), key=key, params=params, average=params,
                          sampler=check_state(sampler.init(walkers, system)), opt_state=optimizer.init(params))

    return make(key, params, electrons)


def make_log_density(log_psi: LogPsi, params: Params, system: System, chunk_size: int | None = None
                     ) -> Callable[[Population], Array]:
    """log|psi|^2 of a population, the density that samplers sample."""
    return over_walkers(lambda electrons: 2.0 * log_psi(params, electrons, system).logabs, chunk_size)


def make_local_energy(log_psi: LogPsi, system: System, hamiltonian: LocalOperator, chunk_size: int | None = None
                      ) -> Callable[[Key, Params, Population], LocalEnergy]:
    """Local energies (hartree) of a population as a function of (key, params, electrons)."""

    def local_energies(key: Key, params: Params, electrons: Population) -> LocalEnergy:
        psi = partial(log_psi, params)
        keys = walker_keys(key, electrons.shape[0])
        one_walker = over_walkers(lambda walker: hamiltonian(psi, walker[0], system, walker[1]), chunk_size)
        return one_walker((electrons, keys))

    return local_energies


def make_walk(log_psi: LogPsi, system: System, hamiltonian: LocalOperator, sampler: Sampler,
              chunk_size: int | None = None) -> Walk:
    """Move the walkers, then measure their local energies: what training and evaluation both repeat.

    Args: as in `make_step`.
    """
    local_energies = make_local_energy(log_psi, system, hamiltonian, chunk_size)

    def walk(key: Key, index: ArrayLike, params: Params, chains: Any) -> tuple[Any, LocalEnergy, Stats]:
        key_sampler, key_energy, _ = step_keys(key, index)
        with jax.named_scope("sampling"):
            chains, stats = sampler.step(key_sampler, make_log_density(log_psi, params, system, chunk_size), chains)
        with jax.named_scope("local_energy"):
            return chains, local_energies(key_energy, params, chains.walkers.electrons), stats

    return walk


def make_update(log_psi: LogPsi, system: System, optimizer: optax.GradientTransformationExtraArgs, *,
                clip: float = 5.0, average_window: float = 100.0, chunk_size: int | None = None) -> Update:
    """Follow the energy's gradient for walkers that have moved, and average the parameters.

    Args: as in `make_step`.
    """

    def update(state: TrainState, chains: Any, local: LocalEnergy, sampler_stats: Stats) -> tuple[TrainState, Stats]:
        electrons, log_weight = chains.walkers
        sample = clipped_energy(local.total, log_weight, clip)
        batch = VMCBatch(electrons, sample.residual, log_weight, system, step_keys(state.key, state.step)[2])
        grads = _energy_gradient(log_psi, state.params, batch, chunk_size)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params, batch=batch)

        params = optax.apply_updates(state.params, updates)
        good = _all_finite((params, opt_state, state.average)) & jnp.isfinite(sample.energy)
        params, opt_state = jax.lax.cond(good, lambda new, old: new, lambda new, old: old,
                                         (params, opt_state), (state.params, state.opt_state))
        average = _running_average(state.average, params, state.step, average_window)
        stats = {"energy": sample.energy, "variance": sample.variance, "clipped": sample.clipped,
                 "excluded": sample.excluded, "rejected": ~good,
                 "update_norm": jnp.linalg.norm(ravel_pytree(updates)[0]),
                 **sampler_stats}
        if taken := sorted(stats.keys() & local.terms.keys()):
            raise InputError(f"a term of the Hamiltonian is called {taken[0]!r} like a statistic of the step: give it "
                             "another name")
        valid = jnp.isfinite(local.total)
        stats |= {name: _mean(term, log_weight, valid) for name, term in local.terms.items()}
        return TrainState(state.step + 1, state.key, params, average, chains, opt_state), stats

    return update


def make_step(log_psi: LogPsi, system: System, hamiltonian: LocalOperator, sampler: Sampler,
              optimizer: optax.GradientTransformationExtraArgs, *, clip: float = 5.0, average_window: float = 100.0,
              chunk_size: int | None = None) -> Step:
    """One step of VMC as a pure function of the state: sample, measure, follow the gradient, average.

    Args:
        log_psi: the wavefunction.
        system: the molecule.
        hamiltonian: local operator that returns a LocalEnergy.
        sampler: a Markov chain on |psi|^2.
        optimizer: an optax transformation; it gets the keyword `batch`.
        clip: local energies are clipped at this many mean absolute deviations from their median.
        average_window: steps over which parameters are averaged for evaluation, or a fifth of all steps if fewer.
        chunk_size: walkers evaluated together; None chooses by itself (see `over_walkers`).

    Returns:
        step(state) -> (state, statistics). A step whose update isn't finite leaves parameters and optimizer as they
        were and reports rejected = 1.
    """
    return Step(make_walk(log_psi, system, hamiltonian, sampler, chunk_size),
                make_update(log_psi, system, optimizer, clip=clip, average_window=average_window,
                            chunk_size=chunk_size))


def step_keys(key: Key, index: ArrayLike) -> tuple[Key, Key, Key]:
    """Of the sampler, the local energies, and whatever makes use of them: functions of the seed and the step."""
    sampler, energy, user = jax.random.split(jax.random.fold_in(key, index), 3)
    return sampler, energy, user


def _energy_gradient(log_psi: LogPsi, params: Params, batch: VMCBatch, chunk_size: int | None) -> Params:
    """2 <(E_clip - <E_clip>) grad log|psi|>; free if the optimizer never looks at it."""
    weight = jax.nn.softmax(batch.log_weight)

    def objective(params: Params) -> Array:
        log_abs = over_walkers(lambda r: log_psi(params, r, batch.system).logabs, chunk_size)(batch.electrons)
        return 2.0 * jnp.sum(weight * batch.residual * log_abs)

    return jax.grad(objective)(params)


def _running_average(average: Params, params: Params, step: Array, window: float) -> Params:
    """Exponential average whose window grows with the step, so that it never lags behind a falling energy."""
    length = jnp.clip(step / 5.0, 1.0, window)
    return jax.tree.map(lambda a, p: a + (p - a) / length, average, params)


def _all_finite(tree: Params) -> Array:
    """Of all numbers in one go: a compiler takes its time for each array of its own."""
    floats = [jnp.ravel(leaf) for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return jnp.all(jnp.isfinite(jnp.concatenate(floats)))


def _mean(values: Array, log_weight: Array, valid: Array) -> Array:
    """Weighted mean over the valid walkers (the others are counted as excluded)."""
    weight = jnp.where(valid, jax.nn.softmax(log_weight), 0.0)
    total = jnp.maximum(jnp.sum(weight), jnp.finfo(values.dtype).tiny)
    return jnp.sum(weight * jnp.where(valid, values, 0.0)) / total
