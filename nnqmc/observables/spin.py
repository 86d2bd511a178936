"""The square of the total spin."""

from __future__ import annotations

import math
from typing import Annotated

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nnqmc.errors import InputError
from nnqmc.observables.observable import Observable
from nnqmc.ranges import Between
from nnqmc.statistics import ObservableEstimate
from nnqmc.typing import BoundLogPsi, Electrons, Key, System

_EVERY = 10
"""Steps from one measurement to the next where no system says how much one costs."""

_MOST, _PURE = 3.0, 0.01
"""Error bars beyond which a value is off, and the least difference, or error bar, of which anything is said."""

_NAMES = ("singlet", "doublet", "triplet", "quartet", "quintet", "sextet", "septet", "octet", "nonet")


def spin_squared(every: Annotated[int | None, Between(1, 10**6)] = None, *, system: System | None = None) -> Observable:
    """Return <S^2> of the electrons, which is S(S + 1) for a state of spin S.

    The numbers of electrons of each spin fix S_z and not S: a state of S_z = 0 may be a singlet, a triplet or a mixture
    of them. With S_z >= 0 (else spins up and down are exchanged),

        S^2 = S_z (S_z + 1) + n_down - sum_{i up, j down} psi(P_ij x)/psi(x),

    where P_ij exchanges the positions of two electrons. One electron j of the smaller number is drawn for each walker,
    and its sum counts n_down times: for a state with S = S_z each of these sums is 1 for every x, so that its mean has
    no noise (the condition of V. Fock, Z. Phys. 98, 145 (1935), doi:10.1007/BF01335811). The ratio has a finite
    variance for any psi.

    Args:
        every: it is measured at every so many steps. None chooses twice the larger number of electrons of one spin,
            which is about as many wavefunctions as one measurement takes, so that all of them take at most about 5 % of
            the time of an evaluation.
        system: the molecule, if it is known.

    Raises:
        InputError: `every` is out of range, or all electrons of the system have the same spin, so that S is known.
    """
    if system is not None and not min(system.n_up, system.n_down):
        least = 0.5 * system.n_electrons
        raise InputError(f"the observable spin_squared needs electrons of both spins, and {system.name or 'this'} "
                         f"has one: <S^2> is {least * (least + 1.0):g} exactly, so leave spin_squared out")
    if every is None:
        every = _EVERY if system is None else 2 * max(system.n_up, system.n_down)
    return Observable("spin_squared", "", _local, every=every, harmless=_PURE, remarks=_mixture)


def wanted(system: System) -> float:
    """Return S(S + 1) of the state that is asked for, the one with S = |S_z|; it is also the least possible <S^2>."""
    spin = 0.5 * abs(system.spin)
    return spin * (spin + 1.0)


def _local(psi: BoundLogPsi, electrons: Electrons, system: System, key: Key) -> Float[Array, ""]:
    """Return the local value of S^2 of one walker for one electron of the smaller number, drawn at random."""
    n_few, n_many = sorted((system.n_up, system.n_down))
    is_fewer_up = system.n_up < system.n_down
    drawn = jax.random.randint(key, (), 0, n_few) + (0 if is_fewer_up else system.n_up)
    others = jnp.arange(n_many) + (system.n_up if is_fewer_up else 0)
    same = jnp.arange(system.n_electrons)
    exchanged = jax.vmap(lambda other: same.at[other].set(drawn).at[drawn].set(other))(others)
    orders = jnp.concatenate([same[None], exchanged])
    psis = jax.vmap(lambda order: psi(electrons[order], system))(orders)  # in one program, which compiles faster
    ratios = psis.sign[1:] * psis.sign[0] * jnp.exp(psis.logabs[1:] - psis.logabs[0])
    return wanted(system) + n_few * (1.0 - jnp.sum(ratios))


def _mixture(system: System, found: ObservableEstimate) -> tuple[str, ...]:
    """Return what a value says that isn't the one of the wanted state."""
    least = wanted(system)
    difference = found.value - least
    if not abs(difference) > max(_MOST * found.error, _PURE):
        return ()
    if difference < 0.0:
        return (f"<S^2> lies below {least:g}, the least that is possible with this many spins up and down: the "
                "wavefunction isn't antisymmetric",)
    spin = abs(system.spin)
    name = _NAMES[spin] if spin < len(_NAMES) else f"state of spin {0.5 * spin:g}"
    found_spin = math.sqrt(found.value + 0.25) - 0.5
    return (f"the {name} that was asked for has {least:g}, so this is another state or a mixture (S = {found_spin:.2f} "
            "on average); for separated atoms, where states of several spins have one energy, that is no reason to "
            "distrust the energy",)
