"""Supervised pretraining: the network's orbitals learn the Hartree-Fock orbitals around the atoms."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jaxtyping import Array, Float

from nnqmc.errors import InputError, NumericalError
from nnqmc.methods.fit import fit_to_hartree_fock, is_fitted
from nnqmc.parallel import over_walkers
from nnqmc.ranges import Between, check
from nnqmc.samplers import first_walkers
from nnqmc.scf import MeanField, orbitals
from nnqmc.typing import Electrons, Key, Params, Population, System
from nnqmc.wavefunctions import init_params

_BLOCK = 25
"""The most steps in one compiled call, after which the loss is read."""

_SCATTERED = 0.25
"""The share of walkers with electrons on other atoms than in Hartree-Fock."""

_THIN = 1e-2
"""The density in electrons per cubic bohr below which orbitals need not be relatively right."""

_MOST_NUMBERS = 10**7
"""The most coordinates that are drawn at a time, on the host."""


class Pretrained(NamedTuple):
    """The results of pretraining.

    params: those of the wavefunction.
    electrons: the first walkers (n_walkers, n_electrons, 3) in bohr.
    loss: that of every step.

    The walkers are still to be moved, by `burn_in`, until they follow the network's density.
    """

    params: Params
    electrons: Population
    loss: np.ndarray


def pretrain(system: System, wavefunction: nn.Module, mean_field: MeanField, *, key: Key,
             n_walkers: Annotated[int, Between(1)] = 512, steps: Annotated[int, Between(0, 10**7)] = 500,
             learning_rate: Annotated[float, Between(1e-12, 10.0)] = 1e-2,
             progress: Callable[[int, float], None] | None = None) -> Pretrained:
    """Fit a wavefunction's orbitals to Hartree-Fock, on walkers drawn atom by atom anew for every step.

    Such walkers (see `first_walkers`) are where the orbitals are to be learnt, independent of each other, and cheap. In
    a quarter of them one or two electrons are on other atoms than in Hartree-Fock: there the orbitals have to be small,
    since walkers that jump between atoms will look. The loss is the squared difference of orbitals (zero between
    different spins in full determinants), relative to the Hartree-Fock density at the electron. Slater functions in
    orbitals are fitted in one go and take no steps (`fit_to_hartree_fock`).
    Source: Pfau et al., Phys. Rev. Research 2, 033429 (2020), doi:10.1103/PhysRevResearch.2.033429.

    Args:
        system: the molecule.
        wavefunction: a flax module with a method `orbitals(electrons, system)`.
        mean_field: from `hartree_fock`.
        key: decides initial parameters and walkers.
        n_walkers: size of the population.
        steps: Adam steps; 0 leaves the initial parameters, but for Slater functions.
        learning_rate: of Adam, decaying to zero along a cosine.
        progress: called with (steps done, loss) now and then.

    Raises:
        InputError: the wavefunction has no orbitals to fit, or a number is out of range.
        NumericalError: the loss is not finite.
    """
    check(pretrain, n_walkers=n_walkers, steps=steps)
    _check_orbitals(wavefunction, steps)
    key_params, key_walkers = jax.random.split(key)
    params = init_params(wavefunction, key_params, system)
    if is_fitted(wavefunction):
        params, steps = fit_to_hartree_fock(wavefunction, params, system, mean_field, key_walkers), 0
    optimizer = optax.flatten(optax.adam(optax.cosine_decay_schedule(learning_rate, max(steps, 1))))  # compiles faster
    loss_of = _make_loss(wavefunction, mean_field, system)

    def walkers(first: int, length: int) -> Float[Array, "_steps n_walkers n_electrons 3"]:
        """Return the walkers of `length` steps from `first` on."""
        drawn = _drawn(jax.random.fold_in(key_walkers, first), system, length * n_walkers, mean_field, _SCATTERED)
        return drawn.reshape((length, n_walkers, *drawn.shape[1:]))

    def one(carry: tuple[Params, Any], electrons: Population) -> tuple[tuple[Params, Any], Array]:
        params, opt_state = carry
        loss, grads = jax.value_and_grad(loss_of)(params, electrons)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), loss

    block = jax.jit(lambda carry, electrons: jax.lax.scan(one, carry, electrons))
    carry, losses = (params, optimizer.init(params)), [np.zeros(0)]
    length = max(1, min(_BLOCK, _MOST_NUMBERS // (3 * system.n_electrons * n_walkers)))
    for first in range(0, steps, length):
        carry, loss = block(carry, walkers(first, min(length, steps - first)))
        losses.append(np.asarray(loss, np.float64))
        if not np.isfinite(losses[-1]).all():
            raise NumericalError(f"pretraining: the loss is not finite after step {first}; use a smaller "
                                 "pretrain.learning_rate, or steps=0 to start from random parameters")
        if progress is not None:
            progress(min(first + length, steps), float(losses[-1][-1]))
    first = _drawn(jax.random.fold_in(key_walkers, steps), system, n_walkers, mean_field)
    return Pretrained(carry[0], first, np.concatenate(losses))


def _drawn(key: Key, system: System, n_walkers: int, mean_field: MeanField, scattered: float = 0.0) -> Population:
    """Return first walkers; if there are as many up as down electrons, the spins of half of them are exchanged."""
    walkers = first_walkers(key, system, n_walkers, mean_field.populations, scattered)
    if system.n_up != system.n_down:
        return walkers
    return walkers.at[1::2].set(jnp.roll(walkers[1::2], system.n_up, axis=1))


def _check_orbitals(wavefunction: nn.Module, steps: int) -> None:
    """Refuse a wavefunction without orbitals, unless there is nothing to fit."""
    if steps and not hasattr(wavefunction, "orbitals"):
        raise InputError(f"{type(wavefunction).__name__} has no method orbitals(electrons, system) to pretrain: "
                         "give it one, or use steps=0")


def _make_loss(wavefunction: nn.Module, mean_field: MeanField, system: System) -> Callable[[Params, Population], Array]:
    """Return the loss: the mean over walkers of the squared distance between network and Hartree-Fock orbitals.

    The rows phi_k(r_i) of their matrices are compared, relative to the Hartree-Fock density at r_i: a determinant is as
    wrong as its rows are, each relative to its own size. Without that the cores would be fitted, and valence electrons,
    whose orbitals are a tenth as large, would hardly count. It is summed over orbitals and averaged over determinants.

    If there are as many up as down electrons, every other determinant gets the orbitals of the other spin: a stretched
    bond has broken the symmetry in Hartree-Fock, and the sum of both is even under exchange of the spins, as a singlet
    is (P.-O. Löwdin, doi:10.1103/PhysRev.97.1509). Where both spins have the same orbitals, nothing changes.
    """

    def one_walker(electrons: Electrons, params: Params) -> Array:
        matrices = wavefunction.apply(params, electrons, system, method="orbitals")
        up, down = orbitals(mean_field, electrons)
        full = matrices[0].shape[-1] == system.n_electrons
        density = jnp.sum(up**2, axis=1) + jnp.sum(down**2, axis=1) + _THIN
        rows = (density,) if full else _by_spin(density[:system.n_up], density[system.n_up:])
        targets = _targets(up, down, system, full)
        if system.n_up == system.n_down:
            swapped, half = _targets(down, up, system, full), np.arange(matrices[0].shape[0])[:, None, None] % 2 == 0
            targets = tuple(jnp.where(half, t, other) for t, other in zip(targets, swapped, strict=True))
        return sum(jnp.sum((m - t) ** 2 / row[:, None]) / m.shape[0]
                   for m, t, row in zip(matrices, targets, rows, strict=True))

    def loss(params: Params, electrons: Population) -> Array:
        all_at_once = electrons.shape[0]
        return jnp.mean(over_walkers(partial(one_walker, params=params), all_at_once)(electrons))

    return loss


def _targets(up: Array, down: Array, system: System, full: bool) -> tuple[Array, ...]:
    """Return Hartree-Fock matrices in the shape of the network's: one block-diagonal matrix, or one for each spin."""
    n_up, n_down = system.n_up, system.n_down
    up, down = up[:n_up], down[n_up:]
    if not full:
        return _by_spin(up, down)
    return (jnp.block([[up, jnp.zeros((n_up, n_down), up.dtype)], [jnp.zeros((n_down, n_up), up.dtype), down]]),)


def _by_spin(up: Array, down: Array) -> tuple[Array, ...]:
    """Return the arrays of those spins that there are."""
    return tuple(array for array in (up, down) if array.shape[0])
