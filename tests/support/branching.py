"""Diffusion Monte Carlo in its simplest form: a sampler whose walkers are born and die, as a test of the protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from nnqmc.samplers import resized, selected
from nnqmc.typing import SamplerState


class Branches(NamedTuple):
    """What belongs to each walker: `age` counts the steps since it was born."""

    electrons: jax.Array
    log_weight: jax.Array
    age: jax.Array


class Target(NamedTuple):
    """What all walkers share: the trial energy in hartree, and how fast it follows the energy that is measured."""

    trial_energy: jax.Array
    rate: jax.Array


@dataclass(frozen=True)
class Branching:
    """Walkers that diffuse, gain and lose weight, and are selected by weight when the weights have become uneven.

    The potential is V = -log_density, so that for the density of a Gaussian this is the ground state of a harmonic
    trap: with log_density = -r^2/2 the walkers follow exp(-r^2/2), and the energy is 3/2 hartree for each electron.

    J. B. Anderson, J. Chem. Phys. 63, 1499 (1975), doi:10.1063/1.431514.
    """

    time_step: float = 0.1
    trial_energy: float = 1.0
    rate: float = 0.02

    def init(self, walkers, system):
        age = jnp.zeros(walkers.electrons.shape[0], jnp.int32)
        return SamplerState(Branches(*walkers, age), Target(jnp.float32(self.trial_energy), jnp.float32(self.rate)))

    def step(self, key, log_density, state):
        key_move, key_select = jax.random.split(key)
        walkers, shared = state
        noise = jax.random.normal(key_move, walkers.electrons.shape)
        electrons = walkers.electrons + jnp.sqrt(self.time_step) * noise
        potential = -0.5 * (log_density(walkers.electrons) + log_density(electrons))
        log_weight = walkers.log_weight - self.time_step * (potential - shared.trial_energy)
        weight = jax.nn.softmax(log_weight)
        energy = weight @ -log_density(electrons)
        trial_energy = shared.trial_energy + shared.rate * (energy - shared.trial_energy)
        walkers = Branches(electrons, log_weight, walkers.age + 1)
        state = SamplerState(walkers, shared._replace(trial_energy=trial_energy))
        is_uneven = jnp.sum(weight**2) > 2.0 / state.n_walkers
        state = jax.lax.cond(is_uneven, branched, lambda key, state: state, key_select, state)
        return state, {"growth_energy": energy, "branched": is_uneven, "youngest": jnp.min(state.per_walker.age)}

    def freeze(self, state):
        return state._replace(shared=state.shared._replace(rate=0.0 * state.shared.rate))

    def resize(self, state, n_walkers):
        return resized(state, n_walkers)


def branched(key, state):
    """Walkers of equal weight: each is the parent of as many as its weight says, up to one more or less."""
    n_walkers, log_weight = state.n_walkers, state.per_walker.log_weight
    teeth = (jnp.arange(n_walkers) + jax.random.uniform(key)) / n_walkers
    parent = jnp.searchsorted(jnp.cumsum(jax.nn.softmax(log_weight)), teeth)
    parent = jnp.minimum(parent, n_walkers - 1)
    walkers = selected(state, parent).per_walker
    is_copy = jnp.concatenate([jnp.zeros(1, bool), parent[1:] == parent[:-1]])
    mean = jax.nn.logsumexp(log_weight) - jnp.log(n_walkers)
    walkers = walkers._replace(log_weight=jnp.full_like(log_weight, mean), age=jnp.where(is_copy, 0, walkers.age))
    return state._replace(per_walker=walkers)
