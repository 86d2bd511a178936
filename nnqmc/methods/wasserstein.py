"""Wasserstein quantum Monte Carlo: the density flows down the slope of the local energy."""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated

import jax
import jax.numpy as jnp
import optax

from nnqmc.methods.matching import make_slopes, slope_gradient, usual_weights
from nnqmc.methods.vmc import Step, make_update, make_walk
from nnqmc.objectives import energy
from nnqmc.ranges import Between, check
from nnqmc.typing import Descent, Key, LocalEnergy, LocalOperator, LogPsi, Objective, Params, Sampler, System, Walkers

Cutoff = Annotated[float, Between(0.1, 1e9)]
"""Mean deviations of |grad log|psi|| above its median beyond which a walker is left out."""


def wasserstein(log_psi: LogPsi, system: System, hamiltonian: LocalOperator, sampler: Sampler,
                optimizer: optax.GradientTransformationExtraArgs, *, objective: Objective | None = None,
                bound: Annotated[float, Between(1e-6, 1e9)] = 1.0, cutoff: Cutoff = 5.0, joint: bool = False,
                average_window: Annotated[float, Between(1.0, 1e8)] = 100.0, chunk_size: int | None = None) -> Step:
    """Return the step of Wasserstein quantum Monte Carlo, which moves the density down the slope of the local energy.

    Among all densities, |psi|^2 has the lower energy the longer it flows along -grad E_L. The parameters follow this
    flow by the gradient

        g = 2 <bound tanh(grad E_L/bound), d_theta grad log|psi|>,

    in which grad is that by the positions. For an infinite bound and a psi that can follow any flow the energy falls.
    A psi that can't comes to rest where g is 0, which isn't where its energy is lowest, unless it is exact.
    Source: Neklyudov et al., arXiv:2307.07050 (NeurIPS 2023), who use K-FAC.

    Args:
        log_psi: as in `nnqmc.make_step`, like `system`, `hamiltonian`, `sampler`, `optimizer` and `chunk_size`.
        objective: its statistics are reported, and its residual is used if `joint`.
        bound: components of the slope are bounded smoothly by so many hartree/bohr.
        cutoff: walkers whose |grad log|psi|| lies so many mean deviations above the median are left out.
        joint: whether the gradient of the objective is added, as in ordinary VMC.
        average_window: as in `nnqmc.make_step`.

    Returns:
        As `nnqmc.make_step` does; a further statistic is left_out, the share of the walkers without a part in g.

    Raises:
        InputError: a setting is out of range.
    """
    check(wasserstein, bound=bound, cutoff=cutoff, average_window=average_window)
    slopes_of, plain = make_slopes(log_psi, system, hamiltonian, chunk_size), objective or energy()

    def flow(log_psi: LogPsi, params: Params, system: System, walkers: Walkers, local: LocalEnergy, key: Key
             ) -> Descent:
        key_plain, key_slopes = jax.random.split(key)
        residual, gradient, stats = plain(log_psi, params, system, walkers, local, key_plain)
        with jax.named_scope("slopes"):
            slopes = slopes_of(key_slopes, params, walkers.electrons)
        weight, usual = usual_weights(walkers.log_weight, slopes, cutoff)
        field = jnp.where(usual[:, None, None], bound * jnp.tanh(slopes.energy_slope / bound), 0.0)
        with jax.named_scope("matching"):
            own = slope_gradient(log_psi, params, system, walkers.electrons, field, weight, chunk_size)
        gradient = own if gradient is None else jax.tree.map(jnp.add, own, gradient)
        return Descent(residual if joint else None, gradient, stats | {"left_out": jnp.mean(~usual)})

    return Step(make_walk(log_psi, system, hamiltonian, sampler, chunk_size),
                make_update(log_psi, system, optimizer, objective=flow, average_window=average_window,
                            chunk_size=chunk_size))


wasserstein.defaults = MappingProxyType({"optimizer": MappingProxyType({"name": "kfac", "norm_constraint": 1e-2})})
"""What a run has with this method unless it says otherwise."""
