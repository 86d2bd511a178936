"""The Metropolis algorithm with Gaussian moves of all electrons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from nnqmc.errors import InputError
from nnqmc.typing import Key, Population, Walkers

LogDensity = Callable[[Population], Float[Array, "n_walkers"]]


class MetropolisState(NamedTuple):
    """Walkers, log|psi|^2 at each, the width of the moves (bohr), and sweeps since each walker last moved."""

    walkers: Walkers
    log_density: Float[Array, "n_walkers"]
    width: Float[Array, ""]
    waiting: Int[Array, "n_walkers"]


@dataclass(frozen=True)
class Metropolis:
    """All-electron Gaussian moves r' = r + width N(0, 1), accepted with probability min(1, |psi(r')/psi(r)|^2).

    Proposals at which the density isn't finite are always rejected. While `adapt` is true the width follows the
    acceptance towards `acceptance` (Robbins-Monro on its logarithm); with `adapt=False` the chain is exactly
    stationary, as evaluation needs. Source: Metropolis et al., doi:10.1063/1.1699114.

    Attributes:
        sweeps: moves of the whole walker in one `step`.
        width: standard deviation of the first moves along each coordinate, in bohr.
        acceptance: the fraction of accepted moves that adaptation aims at.
        adapt: whether the width is adapted.
        rate: how fast log(width) follows the acceptance.
        patience: sweeps without an accepted move after which a walker counts as stuck.
    """

    sweeps: int = 10
    width: float = 0.3
    acceptance: float = 0.5
    adapt: bool = True
    rate: float = 0.1
    patience: int = 100

    def __post_init__(self) -> None:
        """Refuse settings that make no chain."""
        for name in ("sweeps", "patience"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise InputError(f"sampler {name}={getattr(self, name)!r}: needs an integer of at least 1")
        if not self.width > 0.0:
            raise InputError(f"sampler width={self.width!r}: needs a positive length in bohr")
        if not 0.0 < self.acceptance < 1.0:
            raise InputError(f"sampler acceptance={self.acceptance!r}: needs a fraction between 0 and 1")

    def frozen(self) -> Metropolis:
        """The same chain with nothing adapted, for measurements."""
        return replace(self, adapt=False)

    def init(self, walkers: Walkers) -> MetropolisState:
        """Chains at `walkers`; their density is evaluated by the first `step`."""
        n_walkers, dtype = walkers.electrons.shape[0], walkers.electrons.dtype
        return MetropolisState(walkers, jnp.full((n_walkers,), -jnp.inf, dtype), jnp.asarray(self.width, dtype),
                               jnp.zeros((n_walkers,), jnp.int32))

    def step(self, key: Key, log_density: LogDensity, state: MetropolisState
             ) -> tuple[MetropolisState, dict[str, Array]]:
        """`sweeps` moves of every walker.

        Args:
            key: decides all proposals and acceptances.
            log_density: population (n_walkers, n_electrons, 3) -> log|psi|^2 of each walker, up to a constant.
            state: where the chains are.

        Returns:
            The new state and statistics: acceptance, width (bohr), the fraction of stuck walkers, and
            the fraction of proposals with a density that isn't finite.
        """
        state = state._replace(log_density=log_density(state.walkers.electrons))

        def sweep(carry: MetropolisState, key: Key) -> tuple[MetropolisState, tuple[Array, Array]]:
            return self._sweep(key, log_density, carry)

        state, (accepted, bad) = jax.lax.scan(sweep, state, jax.random.split(key, self.sweeps))
        return state, {"acceptance": jnp.mean(accepted), "width": state.width,
                       "stuck": jnp.mean(state.waiting >= self.patience), "bad_proposals": jnp.mean(bad)}

    def _sweep(self, key: Key, log_density: LogDensity, state: MetropolisState
               ) -> tuple[MetropolisState, tuple[Array, Array]]:
        """One move of every walker."""
        key_move, key_accept = jax.random.split(key)
        electrons = state.walkers.electrons
        proposal = electrons + state.width * jax.random.normal(key_move, electrons.shape, electrons.dtype)
        proposed = log_density(proposal)
        uniform = jax.random.uniform(key_accept, proposed.shape, proposed.dtype, minval=jnp.finfo(proposed.dtype).tiny)
        finite = jnp.isfinite(proposed)
        stranded = ~jnp.isfinite(state.log_density)
        accept = finite & ((jnp.log(uniform) < proposed - state.log_density) | stranded)
        moved = jnp.where(accept[:, None, None], proposal, electrons)
        acceptance = jnp.mean(accept)
        width = state.width
        if self.adapt:
            width = width * jnp.exp(self.rate * (acceptance - self.acceptance))
        return MetropolisState(state.walkers._replace(electrons=moved), jnp.where(accept, proposed, state.log_density),
                               width, jnp.where(accept, 0, state.waiting + 1)), (acceptance, jnp.mean(~finite))
