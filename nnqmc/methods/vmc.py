"""Variational Monte Carlo: one training step, and the state that it advances."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike
from jaxtyping import Array

from nnqmc.errors import InputError
from nnqmc.objectives import energy
from nnqmc.parallel import over_walkers, walker_keys
from nnqmc.ranges import Between, check, check_fields
from nnqmc.samplers import check_state
from nnqmc.typing import (
    Key,
    LocalEnergy,
    LocalOperator,
    LogPsi,
    Objective,
    Params,
    Population,
    Sampler,
    System,
    TrainState,
    VMCBatch,
    Walkers,
)

Stats = dict[str, Array]

Window = Annotated[float, Between(1.0, 1e8)]
"""Steps over which parameters are averaged."""

Walk = Callable[[Key, ArrayLike, Params, Any], tuple[Any, LocalEnergy, Stats]]
"""(key, index of the step, params, chains) -> (chains, local energies of all walkers, statistics of the sampler)."""

Update = Callable[[TrainState, Any, LocalEnergy, Stats], tuple[TrainState, Stats]]
"""(state, chains that have moved, their local energies, statistics of the sampler) -> (state, statistics)."""


@dataclass(frozen=True)
class Step:
    """One step of VMC in two parts: `walk`, which evaluation repeats as well, and `update`, which only training does.

    Each part may be compiled by itself, so that both stages can use one compiled `walk`; called as a whole inside of
    `jax.jit` they make one program.
    """

    walk: Walk
    update: Update

    def __call__(self, state: TrainState) -> tuple[TrainState, Stats]:
        """Return the state one step later, and the step's statistics."""
        return self.update(state, *self.walk(state.key, state.step, state.params, state.sampler))

    def compiled(self) -> Step:
        """Return the same step with its parts compiled when they are called first."""
        return Step(*(part if isinstance(getattr(part, "func", part), jax.stages.Compiled) else jax.jit(part)
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
    """Return the function log|psi|^2 of a population, the logarithm of the density that samplers sample."""
    return over_walkers(lambda electrons: 2.0 * log_psi(params, electrons, system).logabs, chunk_size)


def make_local_energy(log_psi: LogPsi, system: System, hamiltonian: LocalOperator, chunk_size: int | None = None
                      ) -> Callable[[Key, Params, Population], LocalEnergy]:
    """Return a function (key, params, electrons) -> local energies of a population in hartree."""

    def local_energies(key: Key, params: Params, electrons: Population) -> LocalEnergy:
        psi = partial(log_psi, params)
        keys = walker_keys(key, electrons.shape[0])
        one_walker = over_walkers(lambda walker: hamiltonian(psi, walker[0], system, walker[1]), chunk_size)
        return one_walker((electrons, keys))

    return local_energies


def make_walk(log_psi: LogPsi, system: System, hamiltonian: LocalOperator, sampler: Sampler,
              chunk_size: int | None = None) -> Walk:
    """Return the part of a step that moves the walkers and measures their local energies; evaluation repeats it too.

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
                objective: Objective | None = None, average_window: float = 100.0, chunk_size: int | None = None
                ) -> Update:
    """Return the part of a step that follows the objective's gradient and averages the parameters.

    Args: as in `make_step`.
    """
    objective = objective or energy()

    def update(state: TrainState, chains: Any, local: LocalEnergy, sampler_stats: Stats) -> tuple[TrainState, Stats]:
        walkers, params = chains.walkers, state.params
        key_objective, key_optimizer = jax.random.split(step_keys(state.key, state.step)[2])
        residual, gradient, stats = objective(log_psi, params, system, walkers, local, key_objective)
        known = jnp.zeros_like(walkers.log_weight) if residual is None else residual
        batch = VMCBatch(walkers.electrons, known, walkers.log_weight, system, key_optimizer, gradient)
        grads = gradient if residual is None else _gradient(log_psi, params, batch, chunk_size)
        updates, opt_state = optimizer.update(grads, state.opt_state, params, batch=batch)

        params = optax.apply_updates(params, updates)
        good = all_finite((params, opt_state, state.average)) & jnp.isfinite(stats["energy"])
        params, opt_state = jax.lax.cond(good, lambda new, old: new, lambda new, old: old,
                                         (params, opt_state), (state.params, state.opt_state))
        average = _running_average(state.average, params, state.step, average_window)
        own = {"rejected": ~good, "update_norm": jnp.linalg.norm(ravel_pytree(updates)[0])}
        if (rewinds := optax.tree.get(opt_state, "rewinds")) is not None:
            own["rewound"] = rewinds - optax.tree.get(state.opt_state, "rewinds")
        state = TrainState(state.step + 1, state.key, params, average, chains, opt_state)
        return state, _joined(own, sampler_stats, stats)

    return update


def make_step(log_psi: LogPsi, system: System, hamiltonian: LocalOperator, sampler: Sampler,
              optimizer: optax.GradientTransformationExtraArgs, *, objective: Objective | None = None,
              average_window: Window = 100.0, chunk_size: int | None = None) -> Step:
    """Return one step of VMC as a pure function of the state: sample, measure, follow the gradient, average.

    Args:
        log_psi: the wavefunction.
        system: the molecule.
        hamiltonian: local operator that returns a LocalEnergy.
        sampler: a Markov chain on |psi|^2.
        optimizer: an optax transformation; it gets the keyword `batch`.
        objective: what is minimised; None is the energy, `nnqmc.objectives.energy()`.
        average_window: steps over which parameters are averaged for evaluation, or a fifth of all steps if fewer.
        chunk_size: walkers evaluated together; None chooses by itself (see `over_walkers`).

    Returns:
        step(state) -> (state, statistics). A step whose update isn't finite leaves parameters and optimizer as they
        were and reports rejected = 1.
    """
    check(make_step, average_window=average_window)
    return Step(make_walk(log_psi, system, hamiltonian, sampler, chunk_size),
                make_update(log_psi, system, optimizer, objective=objective, average_window=average_window,
                            chunk_size=chunk_size))


@dataclass(frozen=True)
class VMC:
    """Variational Monte Carlo: a step samples |psi|^2 and follows the gradient of the objective there.

    Called with the other parts of a run, it makes the step that `make_step` describes.

    Attributes:
        average_window: steps over which parameters are averaged for evaluation, or a fifth of all steps if fewer.
        chunk_size: walkers evaluated together; None chooses by itself (see `over_walkers`).
    """

    average_window: Window = 100.0
    chunk_size: int | None = None

    def __post_init__(self) -> None:
        """Refuse settings that are out of range, by an InputError."""
        check_fields(self)

    def __call__(self, log_psi: LogPsi, system: System, hamiltonian: LocalOperator, sampler: Sampler,
                 optimizer: optax.GradientTransformationExtraArgs, *, objective: Objective | None = None) -> Step:
        """Return the training step of these parts."""
        return make_step(log_psi, system, hamiltonian, sampler, optimizer, objective=objective,
                         average_window=self.average_window, chunk_size=self.chunk_size)


def step_keys(key: Key, index: ArrayLike) -> tuple[Key, Key, Key]:
    """Return the keys of the sampler, of the local energies, and of whatever makes use of them, for one step."""
    sampler, energy, user = jax.random.split(jax.random.fold_in(key, index), 3)
    return sampler, energy, user


def _gradient(log_psi: LogPsi, params: Params, batch: VMCBatch, chunk_size: int | None) -> Params:
    """Return 2 <residual grad log|psi|> plus any further gradient; it is free if the optimizer never looks at it."""
    weight = jax.nn.softmax(batch.log_weight)

    def linear(params: Params) -> Array:
        log_abs = over_walkers(lambda r: log_psi(params, r, batch.system).logabs, chunk_size)(batch.electrons)
        return 2.0 * jnp.sum(weight * batch.residual * log_abs)

    gradient = jax.grad(linear)(params)
    return gradient if batch.gradient is None else jax.tree.map(jnp.add, gradient, batch.gradient)


def _joined(*groups: Stats) -> Stats:
    """Return the statistics of several parts of a step as one dict."""
    names = [name for group in groups for name in group]
    if taken := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"two numbers of a training step are called {taken[0]!r}: give another name to the term of "
                         "the Hamiltonian, or to the statistic of the sampler or the objective")
    return {name: value for group in groups for name, value in group.items()}


def _running_average(average: Params, params: Params, step: Array, window: float) -> Params:
    """Return an exponential average whose window grows with the step, so that it doesn't lag behind at the start."""
    length = jnp.clip(step / 5.0, 1.0, window)
    return jax.tree.map(lambda a, p: a + (p - a) / length, average, params)


def all_finite(tree: Params) -> Array:
    """Tell whether all numbers are finite; they are looked at as one array, which compiles faster than many."""
    floats = [jnp.ravel(leaf) for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return jnp.all(jnp.isfinite(jnp.concatenate(floats)))
