"""Slopes of local energies along the electrons' positions, and gradients that change the slopes of log|psi|."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from nnqmc.parallel import over_walkers, walker_keys
from nnqmc.ranges import Between
from nnqmc.typing import Electrons, Key, LocalOperator, LogPsi, Params, Population, SignedLog, System

Cutoff = Annotated[float, Between(0.1, 1e9)]
"""How many mean deviations above its median |grad log|psi|| may be for a walker to count."""


class Slopes(NamedTuple):
    """Holds log psi and the local energy of every walker, and their gradients with respect to the electron positions.

    psi: sign and log|psi| of every walker.
    psi_slope: (n_walkers, n_electrons, 3), the gradient of log|psi| in 1/bohr.
    energy: (n_walkers,), the local energies in hartree.
    energy_slope: (n_walkers, n_electrons, 3), their gradient in hartree/bohr.
    """

    psi: SignedLog
    psi_slope: Array
    energy: Array
    energy_slope: Array


def make_slopes(log_psi: LogPsi, system: System, hamiltonian: LocalOperator, chunk_size: int | None = None
                ) -> Callable[[Key, Params, Population], Slopes]:
    """Return a function (key, params, electrons) -> the slopes of a population, from third derivatives of psi.

    The local energy of each walker is differentiated backwards, and no more walkers together than memory allows (see
    `nnqmc.parallel.over_walkers`).
    """

    def slopes(key: Key, params: Params, electrons: Population) -> Slopes:
        psi = partial(log_psi, params)

        def one(walker: tuple[Electrons, Key]) -> Slopes:
            positions, own_key = walker

            def log_abs(positions: Electrons) -> tuple[Array, Array]:
                sign, logabs = psi(positions, system)
                return logabs, sign

            (logabs, sign), psi_slope = jax.value_and_grad(log_abs, has_aux=True)(positions)
            energy, energy_slope = jax.value_and_grad(lambda r: hamiltonian(psi, r, system, own_key).total)(positions)
            return Slopes(SignedLog(sign, logabs), psi_slope, energy, energy_slope)

        return over_walkers(one, chunk_size)((electrons, walker_keys(key, electrons.shape[0])))

    return slopes


def slope_gradient(log_psi: LogPsi, params: Params, system: System, electrons: Population,
                   field: Float[Array, "n_walkers n_electrons 3"], weight: Float[Array, "n_walkers"],
                   chunk_size: int | None = None) -> Params:
    """Return 2 sum_w weight_w <field_w, d_theta grad_r log|psi(r_w)|> in the form of the parameters.

    The factor 2 is that of log|psi|^2. What the derivatives need is computed anew for each chunk of walkers on the way
    back, so that memory doesn't grow with the number of walkers.
    """

    def total(params: Params) -> Array:
        @jax.checkpoint
        def one(walker: tuple[Electrons, Electrons]) -> Array:
            return jax.jvp(lambda r: log_psi(params, r, system).logabs, (walker[0],), (walker[1],))[1]

        return 2.0 * jnp.sum(weight * over_walkers(one, chunk_size)((electrons, field)))

    return jax.grad(total)(params)


def usual_walkers(psi_slope: Float[Array, "n_walkers n_electrons 3"], *others: Array, cutoff: float
                  ) -> Bool[Array, "n_walkers"]:
    """Return which walkers have finite numbers, and |grad log|psi|| up to its median plus `cutoff` mean deviations.

    The derivatives of grad log|psi| by the parameters grow with the inverse square of the distance to a node, so that
    their variance over |psi|^2 is infinite; over these walkers it is finite. `others` are further numbers of each
    walker that have to be finite.
    """
    length = jnp.sqrt(jnp.sum(psi_slope**2, axis=(1, 2)))
    finite = jnp.isfinite(length)
    for numbers in others:
        finite &= jnp.all(jnp.isfinite(numbers), axis=tuple(range(1, numbers.ndim)))
    median = jnp.median(jnp.where(finite, length, jnp.inf))
    deviation = jnp.sum(jnp.where(finite, jnp.abs(length - median), 0.0)) / jnp.maximum(jnp.sum(finite), 1)
    return finite & (length <= median + cutoff * deviation)


def weights_of(usual: Bool[Array, "n_walkers"], log_weight: Float[Array, "n_walkers"]) -> Float[Array, "n_walkers"]:
    """Return the weights of the usual walkers, whose sum is 1; those of all others are 0."""
    weight = jax.nn.softmax(jnp.where(usual, log_weight, -jnp.inf))
    return jnp.where(usual, weight, 0.0)
