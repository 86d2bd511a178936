"""Sample |psi|^2 by moves along its gradient (Metropolis-adjusted Langevin algorithm)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from nnqmc.ranges import Between
from nnqmc.samplers.metropolis import LogDensity, Metropolis, Moves, jumped, lengths
from nnqmc.typing import Population, SamplerState, System, Walkers


class LangevinChains(NamedTuple):
    """The arrays of Langevin chains that belong to each walker.

    Attributes:
        electrons: positions in bohr.
        log_weight: logarithm of the weight, which the moves leave alone.
        log_density: log|psi|^2 at `electrons`; -inf before the first step.
        waiting: moves of all electrons that were refused since the last one that was accepted.
        velocity: grad log|psi| at `electrons`, in 1/bohr.
    """

    electrons: Population
    log_weight: Float[Array, "n_walkers"]
    log_density: Float[Array, "n_walkers"]
    waiting: Int[Array, "n_walkers"]
    velocity: Population


@dataclass(frozen=True)
class Langevin(Metropolis):
    """Move all electrons of a walker by r' = r + l(r)^2 v(r) + l(r) N(0, 1), and else as `Metropolis` does.

    The velocity v is grad log|psi|, and l the length that `Metropolis` has, short in the core. At a nucleus v jumps, at
    a node it diverges, and so it is limited for each electron, with tau = l^2, as Umrigar, Nightingale and Runge do:

        v (sqrt(1 + 2 a |v|^2 tau) - 1)/(a |v|^2 tau),   a = (1 + v.z/|v||z|)/2 + (Z z)^2/(10 (4 + (Z z)^2)),

    where z leads from the nearest nucleus to the electron, and the drift is no longer than l. The acceptance
    min(1, |psi(r')/psi(r)|^2 G(r' -> r)/G(r -> r')), with the density G of a move, corrects for all of it exactly. A
    move takes the gradient of the wavefunction, two to three times the work of its value. Sources: Rossky, Doll,
    Friedman, doi:10.1063/1.436415; Umrigar, Nightingale, Runge, J. Chem. Phys. 99, 2865 (1993), doi:10.1063/1.465195.

    Attributes: those of `Metropolis`, with an `acceptance` that suits these moves.
    """

    width: Annotated[float, Between(1e-6, 1e3)] = 0.2
    acceptance: Annotated[float, Between(0.001, 0.999)] = 0.6

    def init(self, walkers: Walkers, system: System) -> SamplerState:
        """Return chains at `walkers`; density and velocity are evaluated by the first `step`."""
        state = super().init(walkers, system)
        return state._replace(per_walker=LangevinChains(*state.per_walker, jnp.zeros_like(walkers.electrons)))

    def _completed(self, chains: LangevinChains, log_density: LogDensity) -> LangevinChains:
        """Return the chains with their velocities."""
        return chains._replace(velocity=density_and_velocity(log_density, chains.electrons)[1])

    def _sweep(self, noise: Float[Array, "n_walkers _numbers"], jumps: Bool[Array, ""] | None, log_density: LogDensity,
               chains: LangevinChains, moves: Moves) -> tuple[SamplerState, tuple[Array, Array]]:
        """Return the state after one move of every walker, the fraction accepted and that of bad proposals."""
        electrons, velocity = chains.electrons, chains.velocity
        log_uniform = -0.5 * jnp.sum(noise[:, -2:] ** 2, axis=-1)
        noise = self._shaped(noise, electrons)
        proposal = electrons + drift(electrons, velocity, moves) + lengths(electrons, moves)[..., None] * noise
        if jumps is not None:
            elsewhere, possible = jumped(noise, electrons, moves)
            proposal = jnp.where(jumps, elsewhere, proposal)
        density, there = density_and_velocity(log_density, proposal)
        log_asymmetry = (log_move(proposal, electrons, there, moves) - log_move(electrons, proposal, velocity, moves))
        if jumps is not None:
            log_asymmetry = jnp.where(jumps, possible, log_asymmetry)
        proposed = chains._replace(electrons=proposal, log_density=density, velocity=there)
        return self._settled(log_uniform, jumps, proposed, log_asymmetry, chains, moves)


def density_and_velocity(log_density: LogDensity, electrons: Population
                         ) -> tuple[Float[Array, "n_walkers"], Population]:
    """Return log|psi|^2 of every walker, and grad log|psi| in 1/bohr, which is 0 where it isn't finite."""
    density, pull = jax.vjp(log_density, electrons)
    velocity = 0.5 * pull(jnp.ones_like(density))[0]
    return density, jnp.where(jnp.isfinite(velocity), velocity, 0.0)


def drift(electrons: Population, velocity: Population, moves: Moves) -> Population:
    """Return the displacement of every electron by its limited velocity, in bohr."""
    length = lengths(electrons, moves)[..., None]
    speed = jnp.linalg.norm(velocity, axis=-1, keepdims=True) + 1e-12
    limit = jnp.ones_like(speed)
    if moves.cores.shape[0]:
        offsets = electrons[..., None, :] - moves.atoms
        distances = jnp.linalg.norm(offsets, axis=-1)
        nearest = jnp.argmin(distances, axis=-1)[..., None]
        offset = jnp.take_along_axis(offsets, nearest[..., None], axis=-2)[..., 0, :]
        distance = jnp.take_along_axis(distances, nearest, axis=-1) + 1e-12
        cosine = jnp.sum(velocity * offset, axis=-1, keepdims=True) / (speed * distance)
        scaled = (distance / moves.cores[nearest[..., 0]][..., None]) ** 2
        limit = 0.5 * (1.0 + cosine) + scaled / (10.0 * (4.0 + scaled))
    x = 2.0 * jnp.maximum(limit, 1e-3) * (speed * length) ** 2
    limited = velocity * length**2 * 2.0 / (jnp.sqrt(1.0 + x) + 1.0)
    return limited * jnp.minimum(1.0, length / (jnp.linalg.norm(limited, axis=-1, keepdims=True) + 1e-12))


def log_move(start: Population, end: Population, velocity: Population, moves: Moves) -> Float[Array, "n_walkers"]:
    """Return log G(start -> end), up to a constant, where `velocity` is that at the start."""
    length = lengths(start, moves)
    squared = jnp.sum((end - start - drift(start, velocity, moves)) ** 2, axis=-1)
    return -jnp.sum(3.0 * jnp.log(length) + 0.5 * squared / length**2, axis=-1)
