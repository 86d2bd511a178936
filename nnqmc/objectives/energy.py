"""The energy of a population, and the clipped, centred residual that its gradient is made of."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nnqmc.errors import InputError
from nnqmc.ranges import Between, check
from nnqmc.typing import Descent, Key, LocalEnergy, LogPsi, Objective, Params, System, Walkers


class EnergySample(NamedTuple):
    """Statistics of the local energies of a population.

    energy, variance: of the unclipped local energies, in hartree and hartree^2.
    residual: (n_walkers,), clipped and with (weighted) mean 0; it is 0 for walkers whose energy isn't finite.
    clipped: the share of walkers whose local energy was clipped.
    excluded: the share of walkers whose local energy isn't finite.
    """

    energy: Array
    variance: Array
    residual: Array
    clipped: Array
    excluded: Array


def energy(clip: Annotated[float, Between(1e-3)] = 10.0, floor: Annotated[float, Between(0.0)] = 10.0) -> Objective:
    """Return the objective that minimises the energy, with outliers clipped (`clipped_energy`).

    Args:
        clip: local energies are clipped at this many standard deviations from their median; a single one among less
            than clip^2 walkers never is.
        floor: deviations of up to so many hartree are never clipped.

    Raises:
        InputError: `clip` is not positive, or `floor` is negative.
    """
    check(energy, clip=clip, floor=floor)

    def objective(log_psi: LogPsi, params: Params, system: System, walkers: Walkers, local: LocalEnergy, key: Key
                  ) -> Descent:
        """Return the clipped residual of the local energies, and the means of the energy and its terms."""
        sample = clipped_energy(local.total, walkers.log_weight, clip, floor)
        stats = {"energy": sample.energy, "variance": sample.variance, "clipped": sample.clipped,
                 "excluded": sample.excluded}
        if taken := sorted(stats.keys() & local.terms.keys()):
            raise InputError(f"a term of the Hamiltonian is called {taken[0]!r} like a statistic of the step: give it "
                             "another name")
        valid = jnp.isfinite(local.total)
        terms = {name: _mean(term, walkers.log_weight, valid) for name, term in local.terms.items()}
        return Descent(sample.residual, None, stats | terms)

    return objective


def clipped_energy(energies: Float[Array, "n_walkers"], log_weight: Float[Array, "n_walkers"], clip: float = 10.0,
                   floor: float = 10.0) -> EnergySample:
    """Return statistics of local energies and the residual E_clip - <E_clip> of the energy's gradient.

    The gradient is 2 <(E_clip - <E_clip>) grad log|psi|>. With d the deviation of a local energy from the median, d is
    clipped to the window -W ... W. How wide must it be? Near a node local energies have heavy tails, in which one
    walker may outweigh all others. But a walker far from the median may also be one of a population that psi really
    has, with the electrons shared out otherwise among the atoms: its energy is all that tells the network so. The
    window is the larger of two.

    - W is `clip` standard deviations of the clipped deviations themselves,

          W^2 = clip^2 <min(d^2, W^2)>.

      A population with a share p of the walkers is never clipped if p clip^2 >= 1, wherever it lies: for a W inside of
      its deviations the right side would exceed p clip^2 W^2. On the other hand, with a share p < 1/clip^2 of outliers
      and the standard deviation s of the rest, W is at most clip s/sqrt(1 - p clip^2), however far the outliers are,
      and a walker shifts the mean of B walkers by no more than clip/sqrt(B) of its standard error. This is the
      truncated mean of heavy-tailed data, whose window grows with the data that support it (J. Fan, Q. Li, Y. Wang,
      doi:10.1111/rssb.12166; L. Wang, C. Zheng, W. Zhou, W.-X. Zhou, doi:10.5705/ss.202019.0045).
    - W is at least `floor`. A few walkers can't be told from outliers by their number, and where nearly all others are
      in an eigenstate, the first window collapses around these. But it is known what a few walkers can do: a step of
      length eta along the natural gradient changes log|psi| at a walker by no more than about eta d. With the default
      eta of 0.1 that is at most 1 for deviations up to 10 hartree, as far as a change can be trusted. Ions, and what a
      wavefunction that has never been trained there makes of them, lie within, so that even a single walker counts.

    Args:
        energies: local energies in hartree.
        log_weight: logarithm of each walker's weight.
        clip: half of the first window in standard deviations.
        floor: the least half of a window in hartree.
    """
    finite = jnp.isfinite(energies)
    weight = jnp.where(finite, jax.nn.softmax(log_weight), 0.0)
    weight = weight / jnp.maximum(jnp.sum(weight), jnp.finfo(energies.dtype).tiny)
    median = _median(energies, finite)
    deviation = jnp.where(finite, energies - median, 0.0)
    shift = jnp.sum(weight * deviation)
    variance = jnp.sum(weight * jnp.where(finite, deviation - shift, 0.0) ** 2)
    window = jnp.maximum(_window(jnp.abs(deviation), weight, clip), floor)
    clipped = jnp.clip(deviation, -window, window)
    residual = jnp.where(finite, clipped - jnp.sum(weight * clipped), 0.0)
    return EnergySample(median + shift, variance, residual, jnp.mean(jnp.abs(deviation) > window), jnp.mean(~finite))


def _window(distance: Float[Array, "n_walkers"], weight: Float[Array, "n_walkers"], clip: float) -> Array:
    """Return the solution W of W^2 = clip^2 <min(d^2, W^2)>, where the weights sum to 1.

    If the walkers beyond the k-th in the order of |d| are clipped and no others, W_k^2 is the sum of w d^2 up to the
    k-th over 1/clip^2 less the weight of the others. Any other choice of walkers puts d^2 for W^2 or W^2 for d^2 and
    makes the right side larger than min(d^2, W^2) does, so that the solution is the smallest W_k.
    """
    order = jnp.argsort(distance)
    distance, weight = distance[order], weight[order]
    beyond = jnp.cumsum(weight[::-1])[::-1] - weight
    squares = jnp.cumsum(weight * distance**2)
    room = 1.0 / clip**2 - beyond
    return jnp.sqrt(jnp.min(jnp.where(room > 0.0, squares / jnp.where(room > 0.0, room, 1.0), jnp.inf)))


def _median(values: Array, valid: Array) -> Array:
    """Return the median of the valid entries, or NaN if there are none."""
    count = jnp.sum(valid)
    ordered = jnp.sort(jnp.where(valid, values, jnp.inf))
    low, high = ordered[jnp.maximum(count - 1, 0) // 2], ordered[jnp.minimum(count // 2, values.shape[0] - 1)]
    return jnp.where(count > 0, 0.5 * (low + high), jnp.nan)


def _mean(values: Array, log_weight: Array, valid: Array) -> Array:
    """Return the weighted mean over the valid walkers (the others are counted as excluded)."""
    weight = jnp.where(valid, jax.nn.softmax(log_weight), 0.0)
    total = jnp.maximum(jnp.sum(weight), jnp.finfo(values.dtype).tiny)
    return jnp.sum(weight * jnp.where(valid, values, 0.0)) / total
