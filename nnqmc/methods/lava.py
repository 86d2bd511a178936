"""LAVA, the lookahead variational algorithm: psi is matched to what H makes of it and of a look ahead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from nnqmc.methods.matching import Cutoff, Slopes, make_slopes, slope_gradient, usual_walkers, weights_of
from nnqmc.methods.vmc import Stats, Step, Window, all_finite, make_log_density, make_update, make_walk, step_keys
from nnqmc.objectives import energy
from nnqmc.optimizers import natural_direction
from nnqmc.ranges import Between, check_fields
from nnqmc.typing import (
    Descent,
    Key,
    LocalEnergy,
    LocalOperator,
    LogPsi,
    Objective,
    Params,
    Sampler,
    System,
    TrainState,
    VMCBatch,
    Walkers,
)


class Target(NamedTuple):
    """The local energy E' of psi in (S - H)(psi + C psi_t) = -psi E', by walkers sampled from |psi_t|^2.

    energy: (n_walkers,), hartree.
    slope: (n_walkers, n_electrons, 3), its gradient by the positions in hartree/bohr.
    log_ratio: (n_walkers,), log|psi_t/psi|.
    """

    energy: Array
    slope: Array
    log_ratio: Array


@dataclass(frozen=True)
class Lava:
    """LAVA: psi is matched to the propagated sum of psi and a look-ahead, by the slopes of their logarithms.

    With E the energy, O the scores and F their covariance, each step

    1. samples |psi|^2, and looks ahead by the natural gradient to theta_t = theta - eta_t F^-1 <(E_L - E) O>;
    2. samples |psi_t|^2, from where the walkers are, and finds C = sqrt(<psi|psi>/<psi_t|psi_t>) from both samples;
    3. has the target -(H - S)(psi + C psi_t) = -psi E' with E' = E_L - S + C (psi_t/psi)(E_L,t - S);
    4. follows the gradient -<sgn(E') sgn(grad E'), d_theta grad log|psi|> of the mean over |psi|^2 of the components of
       |grad log|psi| - grad log|psi E'||, by the optimizer of the run. F^-1 before Adam, as published, is the optimizer
       `preconditioned_adam`.

    The mean in 4 is over the walkers of 2 with the weights |psi/psi_t|^2; the paper leaves open which of its samples it
    means. F of the look-ahead is the covariance of the sample of 1, inverted among its walkers (`natural_direction`).
    The target has more of the ground state than psi has if the energies are below the shift S.
    Source: Jiang et al., arXiv:2508.02570.

    Called with the other parts of a run, it makes a training step as `nnqmc.make_step` does. Further statistics are
    `left_out`, the share of the walkers that 4 leaves out, and `above_shift`, that of those with a positive E'.

    Attributes:
        rate: eta_t = rate min(1, t/warm_up)/(1 + max(t, warm_up)/delay) at step t.
        warm_up: steps over which eta_t grows; published are 1e5 of 3e5.
        delay: steps after which it would have halved.
        damping: Tikhonov regularisation of F in the look-ahead.
        shift: S in hartree. None is 0, as published, or 1 hartree and ten standard deviations of the local energies
            above their mean where that is higher: the energy rises if S is below it.
        cutoff: walkers whose |grad log|psi|| lies so many mean deviations above the median are left out.
        average_window: steps over which parameters are averaged for evaluation, or a fifth of all steps if fewer.
        chunk_size: walkers evaluated together; None chooses by itself (see `over_walkers`).
        defaults: the settings of other parts that a run has with this method, unless it names another optimizer.
    """

    rate: Annotated[float, Between(0.0, 100.0)] = 5e-3
    warm_up: Annotated[float, Between(1.0)] = 1000.0
    delay: Annotated[float, Between(1e-6)] = 1e4
    damping: Annotated[float, Between(1e-12)] = 5e-3
    shift: Annotated[float | None, Between(-1e9, 1e9)] = None
    cutoff: Cutoff = 5.0
    average_window: Window = 100.0
    chunk_size: int | None = None
    defaults: ClassVar[Mapping[str, Any]] = MappingProxyType({
        "optimizer": MappingProxyType({"name": "preconditioned_adam"})})

    def __post_init__(self) -> None:
        """Refuse settings that are out of range, by an InputError."""
        check_fields(self)

    def __call__(self, log_psi: LogPsi, system: System, hamiltonian: LocalOperator, sampler: Sampler,
                 optimizer: optax.GradientTransformationExtraArgs, *, objective: Objective | None = None) -> Step:
        """Return the training step of these parts."""
        slopes = make_slopes(log_psi, system, hamiltonian, self.chunk_size)
        plain = objective or energy()

        def update(state: TrainState, chains: Any, local: LocalEnergy, sampler_stats: Stats
                   ) -> tuple[TrainState, Stats]:
            keys = jax.random.split(jax.random.fold_in(step_keys(state.key, state.step)[2], 1), 4)
            walkers, params = chains.walkers, state.params
            found = plain(log_psi, params, system, walkers, local, keys[0])
            with jax.named_scope("look_ahead"):
                ahead = self._look_ahead(log_psi, system, state, walkers, found, keys[1])
            with jax.named_scope("sampling"):
                second, _ = sampler.step(keys[2], make_log_density(log_psi, ahead, system, self.chunk_size), chains)
            with jax.named_scope("slopes"):
                here, there = _both(lambda p: slopes(keys[3], p, second.walkers.electrons), params, ahead)
            before, after = (make_log_density(log_psi, p, system, self.chunk_size)(walkers.electrons)
                             for p in (params, ahead))
            log_norm = log_norm_ratio(0.5 * (after - before), walkers.log_weight,
                                      there.psi.logabs - here.psi.logabs, second.walkers.log_weight)
            target = propagated(here, there, log_norm, self._shift(found.stats["energy"], found.stats["variance"]))
            with jax.named_scope("matching"):
                gradient, own = self._matching(log_psi, system, params, second.walkers, here, target)
            matched = Descent(None, gradient, found.stats | own)
            follow = make_update(log_psi, system, optimizer, objective=lambda *unused: matched,
                                 average_window=self.average_window, chunk_size=self.chunk_size)
            state, stats = follow(state, chains, local, sampler_stats)
            return state._replace(sampler=second), stats

        return Step(make_walk(log_psi, system, hamiltonian, sampler, self.chunk_size), update)

    def _look_ahead(self, log_psi: LogPsi, system: System, state: TrainState, walkers: Walkers, found: Descent, key: Key
                    ) -> Params:
        """Return theta_t, or theta where that isn't finite."""
        residual = jnp.zeros_like(walkers.log_weight) if found.residual is None else found.residual
        batch = VMCBatch(walkers.electrons, residual, walkers.log_weight, system, key, found.gradient)
        direction = natural_direction(log_psi, state.params, batch, damping=self.damping, chunk_size=self.chunk_size)
        rate = self.rate * jnp.minimum(1.0, state.step / self.warm_up)
        rate = rate / (1.0 + jnp.maximum(state.step, self.warm_up) / self.delay)
        ahead = jax.tree.map(lambda p, d: (p - rate * d).astype(p.dtype), state.params, direction)
        return jax.tree.map(partial(jnp.where, all_finite(ahead)), ahead, state.params)

    def _shift(self, mean: Array, variance: Array) -> Array:
        """Return S for the mean of the local energies in hartree and their variance in hartree^2."""
        if self.shift is not None:
            return jnp.full_like(mean, self.shift)
        return jnp.maximum(0.0, mean + 1.0 + 10.0 * jnp.sqrt(variance))

    def _matching(self, log_psi: LogPsi, system: System, params: Params, walkers: Walkers, here: Slopes, target: Target
                  ) -> tuple[Params, Stats]:
        """Return the gradient of step 4, and statistics of the walkers behind it."""
        usual = usual_walkers(here.psi_slope, target.energy, target.slope, target.log_ratio, cutoff=self.cutoff)
        field = -jnp.sign(target.energy)[:, None, None] * jnp.sign(target.slope)
        weight = weights_of(usual, walkers.log_weight - 2.0 * target.log_ratio)
        gradient = slope_gradient(log_psi, params, system, walkers.electrons,
                                  jnp.where(usual[:, None, None], field, 0.0), weight, self.chunk_size)
        return gradient, {"left_out": jnp.mean(~usual), "above_shift": jnp.mean(usual & (target.energy > 0.0))}


def propagated(here: Slopes, there: Slopes, log_norm: Float[Array, ""], shift: Float[Array, ""]) -> Target:
    """Return E' = E_L - S + C (psi_t/psi)(E_L,t - S) and its gradient by the positions.

    Args:
        here: the slopes of psi.
        there: those of psi_t, for the same walkers.
        log_norm: log C.
        shift: S in hartree.
    """
    log_ratio = there.psi.logabs - here.psi.logabs
    ratio = here.psi.sign * there.psi.sign * jnp.exp(log_norm + log_ratio)
    second = there.energy - shift
    slope = there.energy_slope + second[:, None, None] * (there.psi_slope - here.psi_slope)
    return Target(here.energy - shift + ratio * second, here.energy_slope + ratio[:, None, None] * slope, log_ratio)


def _both(function: Any, first: Params, second: Params) -> tuple[Any, Any]:
    """Return a function's values for two sets of parameters, by one compiled program."""
    values = jax.lax.map(function, jax.tree.map(lambda x, y: jnp.stack([x, y]), first, second))
    return jax.tree.map(lambda x: x[0], values), jax.tree.map(lambda x: x[1], values)


def log_norm_ratio(here: Float[Array, "n_walkers"], weight_here: Float[Array, "n_walkers"],
                   there: Float[Array, "n_walkers"], weight_there: Float[Array, "n_walkers"]) -> Array:
    """Return log C, where C^2 = <psi|psi>/<psi_t|psi_t> = <|psi/psi_t|>_(psi_t^2)/<|psi_t/psi|>_(psi^2).

    Both means are the integral of |psi psi_t| over a norm, so that neither has heavy tails at nodes.

    Args:
        here: log|psi_t/psi| of walkers sampled from |psi|^2.
        weight_here: the logarithms of their weights.
        there: log|psi_t/psi| of walkers sampled from |psi_t|^2.
        weight_there: the logarithms of their weights.
    """
    return 0.5 * (_log_mean_exp(-there, weight_there) - _log_mean_exp(here, weight_here))


def _log_mean_exp(values: Float[Array, "n_walkers"], log_weight: Float[Array, "n_walkers"]) -> Array:
    """Return the logarithm of the weighted mean of the exponentials of all finite values."""
    log_weight = jnp.where(jnp.isfinite(values), log_weight, -jnp.inf)
    values = jnp.where(jnp.isfinite(values), values, 0.0)
    return jax.nn.logsumexp(values + log_weight) - jax.nn.logsumexp(log_weight)
