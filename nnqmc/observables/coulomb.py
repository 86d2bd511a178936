"""What observables need to know of the Coulomb Hamiltonian of all electrons and nuclei."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from nnqmc.errors import InputError
from nnqmc.typing import Electrons, LocalOperator, Scalar, SignedLog, System

_TERMS = frozenset({"kinetic", "electron_electron", "electron_nucleus", "nucleus_nucleus"})


def rough_energy(system: System) -> Scalar:
    """Return -1/2 sum_I Z_I^2.4, the energy in hartree to within some 10 %: the electrons of atoms, without bonds."""
    return -0.5 * jnp.sum(jnp.asarray(system.charges) ** 2.4)


def require_coulomb(name: str, system: System, hamiltonian: LocalOperator | None, advice: str) -> None:
    """Refuse cores, and a Hamiltonian with other terms than those of all electrons and nuclei.

    Args:
        name: of the observable, in the message.
        system: the molecule.
        hamiltonian: a local operator that returns a LocalEnergy; None is that of a molecule.
        advice: what to do instead.

    Raises:
        InputError: as above.
    """
    if any(system.core):
        raise InputError(f"{name} was asked for, and {system.name or 'the system'} has cores of {list(system.core)} "
                         f"electrons, for whose pseudopotentials this estimator wasn't derived: {advice}")
    if others := sorted(_terms(system, hamiltonian) ^ _TERMS):
        raise InputError(f"{name} was asked for, which is that of the Coulomb Hamiltonian alone, and this one "
                         f"differs in the term {others[0]!r}: {advice}")


def is_coulomb(system: System, hamiltonian: LocalOperator | None) -> bool:
    """Return whether the Hamiltonian is that of all electrons and nuclei; None is that of a molecule."""
    return not any(system.core) and _terms(system, hamiltonian) == _TERMS


def _terms(system: System, hamiltonian: LocalOperator | None) -> frozenset[str]:
    """Return the names of the terms of a Hamiltonian, without computing anything; none if it has no named terms."""
    if hamiltonian is None:
        return _TERMS

    def gaussian(electrons: Electrons, system: System) -> SignedLog:
        return SignedLog(jnp.ones((), electrons.dtype), -jnp.sum(electrons**2))

    electrons = jax.ShapeDtypeStruct((system.n_electrons, 3), np.dtype(np.float32))
    key = jax.eval_shape(lambda: jax.random.key(0))
    local = jax.eval_shape(lambda electrons, key: hamiltonian(gaussian, electrons, system, key), electrons, key)
    return frozenset(getattr(local, "terms", ()))
