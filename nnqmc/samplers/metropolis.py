"""Sample |psi|^2 by Gaussian moves of all electrons and by jumps between atoms (Metropolis algorithm)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from nnqmc.ranges import Between, check_fields
from nnqmc.samplers.jumps import jump_or_exchange
from nnqmc.samplers.reseed import reseed
from nnqmc.samplers.states import resized
from nnqmc.typing import Key, Population, SamplerState, System, Walkers

AnyChains = Any
"""`Chains`, or those of a sampler that keeps more for each walker."""

LogDensity = Callable[[Population], Float[Array, "n_walkers"]]


class Chains(NamedTuple):
    """The arrays of Metropolis chains that belong to each walker.

    Attributes:
        electrons: positions in bohr.
        log_weight: logarithm of the weight, which the moves leave alone.
        log_density: log|psi|^2 at `electrons`; -inf before the first step.
        waiting: moves of all electrons that were refused since the last one that was accepted.
    """

    electrons: Population
    log_weight: Float[Array, "n_walkers"]
    log_density: Float[Array, "n_walkers"]
    waiting: Int[Array, "n_walkers"]


class Moves(NamedTuple):
    """The numbers that decide the lengths of all walkers' moves.

    Attributes:
        width: scale of the moves, adapted.
        rate: how fast the logarithm of the width follows the acceptance; 0 keeps the width.
        atoms: nuclei around which moves are shorter and between which electrons jump, in bohr.
        cores: 1/Z of each nucleus, at most 1; none for moves of one length.
        n_up: the number of spin-up electrons, which come first.
    """

    width: Float[Array, ""]
    rate: Float[Array, ""]
    atoms: Float[Array, "n_atoms 3"]
    cores: Float[Array, "n_cores"]
    n_up: Int[Array, ""]


@dataclass(frozen=True)
class Metropolis:
    """Move all electrons of a walker by r' = r + l(r) N(0, 1), and one or two between atoms; |psi|^2 is stationary.

    With d the distance of an electron to its nearest nucleus, of charge Z, the length of its move is

        l = width (1/Z + d) / (1 + d/6),

    short in the core and long in the valence shell, where moves of one length for all would take hundreds of sweeps to
    decorrelate. The acceptance min(1, |psi(r')/psi(r)|^2 q(r' -> r)/q(r -> r')) corrects for it exactly.

    Such moves hardly ever take an electron from one atom to another far away, and the share of the walkers in each
    distribution of electrons over atoms and spins stays what it was by chance. In systems of several atoms a share of
    the sweeps, drawn at random, therefore goes from atom to atom (see `jump_or_exchange`). Either kind keeps |psi|^2,
    so that their mixture does.

    Proposals at which the density isn't finite are always rejected, and walkers that can't find back are replaced by
    copies of others before the first move (see `reseed`). While `adapt` is true the width follows the
    acceptance towards `acceptance` (Robbins-Monro on its logarithm); with `adapt=False`, or once its state was given
    to `freeze`, the chain is exactly stationary, as evaluation needs. Sources: Metropolis et al.,
    doi:10.1063/1.1699114; Hastings, doi:10.1093/biomet/57.1.97; moves scaled by the distance to the nucleus:
    Umrigar, Phys. Rev. Lett. 71, 408 (1993), doi:10.1103/PhysRevLett.71.408.

    Attributes:
        sweeps: moves of the whole walker in one `step`.
        jumps: the share of the sweeps that take an electron to another atom or exchange spins, in systems of several
            atoms. Width and acceptance are those of the others.
        width: scale of the first moves; their standard deviation in bohr if `local` is false.
        local: whether moves are shorter near nuclei.
        acceptance: the fraction of accepted moves that adaptation aims at.
        adapt: whether the width is adapted.
        rate: how fast log(width) follows the acceptance.
        patience: sweeps without an accepted move after which a walker counts as stuck.
    """

    sweeps: Annotated[int, Between(1, 10**6)] = 10
    jumps: Annotated[float, Between(0.0, 0.9)] = 0.15
    width: Annotated[float, Between(1e-6, 1e3)] = 0.2
    local: bool = True
    acceptance: Annotated[float, Between(0.001, 0.999)] = 0.4
    adapt: bool = True
    rate: Annotated[float, Between(0.0, 10.0)] = 0.1
    patience: Annotated[int, Between(1, 10**9)] = 100

    def __post_init__(self) -> None:
        """Refuse settings that are out of range, by an InputError."""
        check_fields(self)

    def init(self, walkers: Walkers, system: System) -> SamplerState:
        """Return chains at `walkers`; their density is evaluated by the first `step`."""
        n_walkers, dtype = walkers.electrons.shape[0], walkers.electrons.dtype
        n_cores = system.n_atoms if self.local else 0
        cores = 1.0 / jnp.maximum(jnp.asarray(system.charges[:n_cores], dtype), 1.0)
        moves = Moves(jnp.asarray(self.width, dtype), jnp.asarray(self.rate if self.adapt else 0.0, dtype),
                      jnp.asarray(system.atoms, dtype), cores, jnp.asarray(system.n_up, jnp.int32))
        unknown = jnp.full((n_walkers,), -jnp.inf, dtype)
        return SamplerState(Chains(*walkers, unknown, jnp.zeros((n_walkers,), jnp.int32)), moves)

    def freeze(self, state: SamplerState) -> SamplerState:
        """Return the same chains with a width that stays, for measurements."""
        return state._replace(shared=state.shared._replace(rate=0.0 * state.shared.rate))

    def resize(self, state: SamplerState, n_walkers: int) -> SamplerState:
        """Return chains of another number of walkers, moved by the same lengths."""
        return resized(state, n_walkers)

    def step(self, key: Key, log_density: LogDensity, state: SamplerState) -> tuple[SamplerState, dict[str, Array]]:
        """Return the chains after `sweeps` moves of every walker, and statistics of these moves.

        Args:
            key: decides all proposals and acceptances.
            log_density: population (n_walkers, n_electrons, 3) -> log|psi|^2 of each walker, up to a constant.
            state: where the chains are.

        Returns:
            The new state and statistics: acceptance, width (bohr), the fraction of stuck walkers, that of walkers
            replaced since they were lost, and that of proposals whose density is neither finite nor zero; in systems
            of several atoms also the accepted fraction of jumps.
        """
        key_reseed, key_sweeps = jax.random.split(key)
        chains = state.per_walker
        electrons, density, lost = reseed(key_reseed, chains.electrons, log_density(chains.electrons))
        chains = chains._replace(electrons=electrons, log_density=density, waiting=jnp.where(lost, 0, chains.waiting))
        chains = self._completed(chains, log_density)

        n_walkers, numbers = electrons.shape[0], electrons[0].size + 2
        noise = jax.random.normal(key_sweeps, (n_walkers * self.sweeps * numbers,), electrons.dtype)  # compiles faster
        noise = noise.reshape((n_walkers, self.sweeps, numbers))
        jumps = self._jumps(jax.random.fold_in(key_reseed, 1), state.shared)

        def sweep(carry: SamplerState, index: Array) -> tuple[SamplerState, tuple[Array, Array]]:
            drawn = jax.lax.dynamic_index_in_dim(noise, index, axis=1, keepdims=False)
            return self._sweep(drawn, None if jumps is None else jumps[index], log_density, *carry)

        state, (accepted, bad) = jax.lax.scan(sweep, SamplerState(chains, state.shared), jnp.arange(self.sweeps))
        stats = {"acceptance": jnp.mean(accepted), "width": state.shared.width,
                 "stuck": jnp.mean(state.per_walker.waiting >= self.patience), "reseeded": jnp.mean(lost),
                 "bad_proposals": jnp.mean(bad)}
        if jumps is not None:
            stats |= {"acceptance": _mean(accepted, ~jumps, self.acceptance), "jumped": _mean(accepted, jumps, 0.0)}
        return state, stats

    def _jumps(self, key: Key, moves: Moves) -> Bool[Array, "sweeps"] | None:
        """Return which sweeps go from atom to atom, or None if there is nowhere to go."""
        has_jumps = self.jumps > 0.0 and moves.atoms.shape[0] > 1
        return jax.random.bernoulli(key, self.jumps, (self.sweeps,)) if has_jumps else None

    def _sweep(self, noise: Float[Array, "n_walkers _numbers"], jumps: Bool[Array, ""] | None, log_density: LogDensity,
               chains: Chains, moves: Moves) -> tuple[SamplerState, tuple[Array, Array]]:
        """Return the state after one move of every walker, the fraction accepted and that of bad proposals.

        A walker has one normal random number for each coordinate, and two for the acceptance. If `jumps` is true, the
        sweep goes from atom to atom; None leaves that out of the program.
        """
        electrons = chains.electrons
        log_uniform = -0.5 * jnp.sum(noise[:, -2:] ** 2, axis=-1)  # distributed as log u for u uniform in (0, 1)
        noise = self._shaped(noise, electrons)
        if jumps is None:
            proposal, log_asymmetry = displaced(noise, electrons, moves)
        else:
            proposal, log_asymmetry = jax.lax.cond(jumps, jumped, displaced, noise, electrons, moves)

        proposed = chains._replace(electrons=proposal, log_density=log_density(proposal))
        return self._settled(log_uniform, jumps, proposed, log_asymmetry, chains, moves)

    def _settled(self, log_uniform: Float[Array, "n_walkers"], jumps: Bool[Array, ""] | None, proposed: AnyChains,
                 log_asymmetry: Float[Array, "n_walkers"], chains: AnyChains, moves: Moves
                 ) -> tuple[SamplerState, tuple[Array, Array]]:
        """Return what `_sweep` does, once proposals are made: accept or refuse them, and adapt the width."""
        finite = jnp.isfinite(proposed.log_density)
        stranded = ~jnp.isfinite(chains.log_density)
        better = log_uniform < proposed.log_density - chains.log_density + log_asymmetry
        accept = finite & (better | stranded)
        acceptance, bad = jnp.mean(accept), jnp.mean(~finite & (proposed.log_density != -jnp.inf))
        width = moves.width * jnp.exp(moves.rate * (acceptance - self.acceptance))
        waiting = jnp.where(accept, 0, chains.waiting + 1)
        if jumps is not None:
            width, waiting = jnp.where(jumps, moves.width, width), jnp.where(jumps, chains.waiting, waiting)
        chains = jax.tree.map(lambda new, old: jnp.where(accept.reshape(-1, *(1,) * (old.ndim - 1)), new, old),
                              proposed, chains)
        return SamplerState(chains._replace(waiting=waiting), moves._replace(width=width)), (acceptance, bad)

    def _completed(self, chains: AnyChains, log_density: LogDensity) -> AnyChains:
        """Return the chains with whatever is known at their positions besides the density."""
        return chains

    def _shaped(self, noise: Float[Array, "n_walkers _numbers"], electrons: Population) -> Population:
        """Return the random displacements of all electrons, in units of their lengths."""
        return noise[:, :-2].reshape(electrons.shape)


def _mean(shares: Float[Array, "sweeps"], among: Bool[Array, "sweeps"], otherwise: float) -> Array:
    """Return the mean over some of the sweeps, or another number if there are none of them."""
    return jnp.where(jnp.any(among), jnp.sum(shares * among) / jnp.maximum(jnp.sum(among), 1), otherwise)


def jumped(noise: Population, electrons: Population, moves: Moves) -> tuple[Population, Float[Array, "n_walkers"]]:
    """Return proposals on other atoms, and 0 for each or minus infinity if it must be refused."""
    proposal, possible = jump_or_exchange(noise[:, 0], electrons, moves.atoms, moves.n_up)
    return proposal, jnp.where(possible, 0.0, -jnp.inf).astype(electrons.dtype)


def displaced(noise: Population, electrons: Population, moves: Moves) -> tuple[Population, Float[Array, "n_walkers"]]:
    """Return proposals with all electrons displaced, and log q(r' -> r)/q(r -> r') of each."""
    length = lengths(electrons, moves)
    proposal = electrons + length[..., None] * noise
    back = lengths(proposal, moves)
    squared = jnp.sum(noise**2, axis=-1)
    return proposal, jnp.sum(3.0 * jnp.log(length / back) + 0.5 * squared * (1.0 - (length / back) ** 2), axis=-1)


def lengths(electrons: Population, moves: Moves) -> Float[Array, "n_walkers n_electrons"]:
    """Return the length of each electron's move in bohr."""
    if moves.cores.shape[0] == 0:
        return jnp.broadcast_to(moves.width, electrons.shape[:-1])
    distances = jnp.linalg.norm(electrons[..., None, :] - moves.atoms, axis=-1)
    nearest = jnp.argmin(distances, axis=-1)
    d = jnp.min(distances, axis=-1)
    return moves.width * (moves.cores[nearest] + d) / (1.0 + d / 6.0)
