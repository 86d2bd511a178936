"""Wasserstein quantum Monte Carlo: the density flows down the slope of the local energy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
import optax

from nnqmc.methods.matching import Cutoff, make_slopes, slope_gradient, usual_walkers, weights_of
from nnqmc.methods.vmc import Step, Window, make_step
from nnqmc.objectives import energy
from nnqmc.ranges import Between, check_fields
from nnqmc.typing import Descent, Key, LocalEnergy, LocalOperator, LogPsi, Objective, Params, Sampler, System, Walkers


@dataclass(frozen=True)
class Wasserstein:
    """Wasserstein quantum Monte Carlo: |psi|^2 flows down the slope of the local energy.

    Of all densities, |psi|^2 has a lower energy the longer it flows along -grad E_L. The parameters follow this flow
    by the gradient

        g = 2 <bound tanh(grad E_L/bound), d_theta grad log|psi|>,

    in which grad is the derivative by the positions. With an infinite bound the energy falls if psi can follow any
    flow. One that can't comes to rest where g is 0, and that isn't where its energy is lowest unless it is exact there.
    Source: Neklyudov et al., arXiv:2307.07050, who use K-FAC.

    Called with the other parts of a run, it makes a training step as `nnqmc.make_step` does. A further statistic is
    `left_out`, the share of the walkers that g leaves out.

    Attributes:
        bound: components of the slope grad E_L are bounded smoothly by so many hartree/bohr.
        cutoff: walkers whose |grad log|psi|| lies so many mean deviations above the median are left out.
        joint: whether the residual of the objective is followed as well, as in ordinary VMC. Otherwise nothing but
            its statistics and its further gradient are used.
        average_window: steps over which parameters are averaged for evaluation, or a fifth of all steps if fewer.
        chunk_size: walkers evaluated together; None chooses by itself (see `over_walkers`).
        defaults: the settings of other parts that a run has with this method, unless it names another optimizer.
    """

    bound: Annotated[float, Between(1e-6, 1e9)] = 1.0
    cutoff: Cutoff = 5.0
    joint: bool = False
    average_window: Window = 100.0
    chunk_size: int | None = None
    defaults: ClassVar[Mapping[str, Any]] = MappingProxyType({
        "optimizer": MappingProxyType({"name": "kfac", "norm_constraint": 1e-2})})

    def __post_init__(self) -> None:
        """Refuse settings that are out of range, by an InputError."""
        check_fields(self)

    def __call__(self, log_psi: LogPsi, system: System, hamiltonian: LocalOperator, sampler: Sampler,
                 optimizer: optax.GradientTransformationExtraArgs, *, objective: Objective | None = None) -> Step:
        """Return the training step of these parts."""
        return make_step(log_psi, system, hamiltonian, sampler, optimizer,
                         objective=self._flow(hamiltonian, objective or energy()),
                         average_window=self.average_window, chunk_size=self.chunk_size)

    def _flow(self, hamiltonian: LocalOperator, plain: Objective) -> Objective:
        """Return the objective whose gradient follows the flow."""

        def flow(log_psi: LogPsi, params: Params, system: System, walkers: Walkers, local: LocalEnergy, key: Key
                 ) -> Descent:
            key_plain, key_slopes = jax.random.split(key)
            residual, further, stats = plain(log_psi, params, system, walkers, local, key_plain)
            with jax.named_scope("slopes"):
                slopes = make_slopes(log_psi, system, hamiltonian, self.chunk_size)(
                    key_slopes, params, walkers.electrons)
            usual = usual_walkers(slopes.psi_slope, slopes.energy_slope, local.total, cutoff=self.cutoff)
            field = jnp.where(usual[:, None, None], self.bound * jnp.tanh(slopes.energy_slope / self.bound), 0.0)
            with jax.named_scope("matching"):
                gradient = slope_gradient(log_psi, params, system, walkers.electrons, field,
                                          weights_of(usual, walkers.log_weight), self.chunk_size)
            gradient = gradient if further is None else jax.tree.map(jnp.add, gradient, further)
            return Descent(residual if self.joint else None, gradient, stats | {"left_out": jnp.mean(~usual)})

        return flow
