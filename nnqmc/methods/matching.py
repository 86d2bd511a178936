"""Slopes of local energies along the electrons' positions, and gradients that change the slopes of log|psi|."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from nnqmc.parallel import over_walkers, walker_keys
from nnqmc.typing import Electrons, Key, LocalOperator, LogPsi, Params, Population, System


class Slopes(NamedTuple):
    """Local quantities of a population and their derivatives by the positions.

    energy: (n_walkers,), hartree.
    energy_slope: (n_walkers, n_electrons, 3), its gradient by the positions in hartree/bohr.
    psi_slope: (n_walkers, n_electrons, 3), the gradient of log|psi| in 1/bohr.
    """

    energy: Array
    energy_slope: Array
    psi_slope: Array


def make_slopes(log_psi: LogPsi, system: System, hamiltonian: LocalOperator, chunk_size: int | None = None
                ) -> Callable[[Key, Params, Population], Slopes]:
    """Return a function (key, params, electrons) -> local energies and their slopes, from third derivatives of psi.

    Each walker is differentiated backwards through its local energy, and as many walkers together as memory allows
    (see `nnqmc.parallel.over_walkers`).
    """

    def slopes(key: Key, params: Params, electrons: Population) -> Slopes:
        psi = partial(log_psi, params)

        def one(walker: tuple[Electrons, Key]) -> Slopes:
            positions, walker_key = walker
            energy, slope = jax.value_and_grad(lambda r: hamiltonian(psi, r, system, walker_key).total)(positions)
            return Slopes(energy, slope, jax.grad(lambda r: psi(r, system).logabs)(positions))

        return over_walkers(one, chunk_size)((electrons, walker_keys(key, electrons.shape[0])))

    return slopes


def slope_gradient(log_psi: LogPsi, params: Params, system: System, electrons: Population,
                   field: Float[Array, "n_walkers n_electrons 3"], weight: Float[Array, "n_walkers"],
                   chunk_size: int | None = None) -> Params:
    """Return 2 sum_w weight_w <field_w, d_theta grad_r log|psi(r_w)|> in the form of the parameters.

    The factor 2 is that of log|psi|^2. Every walker's part is computed anew on the way back, so that memory doesn't
    grow with the number of walkers.
    """

    def total(params: Params) -> Array:
        @jax.checkpoint
        def one(walker: tuple[Electrons, Electrons]) -> Array:
            return jax.jvp(lambda r: log_psi(params, r, system).logabs, (walker[0],), (walker[1],))[1]

        return 2.0 * jnp.sum(weight * over_walkers(one, chunk_size)((electrons, field)))

    return jax.grad(total)(params)


def usual_weights(log_weight: Float[Array, "n_walkers"], slopes: Slopes, cutoff: float
                  ) -> tuple[Float[Array, "n_walkers"], Bool[Array, "n_walkers"]]:
    """Return weights that sum to 1, 0 for walkers that aren't usual, and which walkers are usual.

    Usual walkers have finite numbers, and |grad log|psi|| is at most the median plus `cutoff` mean deviations from
    it. The parameters' derivatives of grad log|psi| grow with the inverse square of the distance to a node, so that
    their variance over |psi|^2 is infinite; it is finite over the usual walkers.
    """
    length = jnp.sqrt(jnp.sum(slopes.psi_slope**2, axis=(1, 2)))
    finite = jnp.isfinite(slopes.energy) & jnp.isfinite(length)
    finite &= jnp.all(jnp.isfinite(slopes.energy_slope), axis=(1, 2))
    median = jnp.median(jnp.where(finite, length, jnp.inf))
    deviation = jnp.sum(jnp.where(finite, jnp.abs(length - median), 0.0)) / jnp.maximum(jnp.sum(finite), 1)
    usual = finite & (length <= median + cutoff * deviation)
    weight = jnp.where(usual, jax.nn.softmax(jnp.where(usual, log_weight, -jnp.inf)), 0.0)
    return weight, usual
