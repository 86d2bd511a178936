"""Fingerprints of observables, by which a kept evaluation is known to belong to them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nnqmc.observables import Observable
from nnqmc.typing import Electrons, Key, LocalEnergy, SignedLog, System


def observables_identity(observables: Mapping[str, Observable], system: System) -> dict[str, str]:
    """Return for each observable a fingerprint that changes when what it measures changes, even under the same name.

    It is the SHA-256 of the program that JAX makes of `local` with its constants, for a stand-in wavefunction (so that
    it takes no time and doesn't depend on the network), and of how often it is measured. It doesn't depend on the
    number of devices. Another version of JAX may make another program of the same function.

    Args:
        observables: by name, as `nnqmc.observables.by_name` returns them.
        system: the molecule.
    """
    return {name: _fingerprint(observable, system) for name, observable in observables.items()}


def _fingerprint(observable: Observable, system: System) -> str:
    """Return the first 32 hexadecimal digits of the digest of one observable."""

    def program(electrons: Electrons, key: Key, energy: Float[Array, ""]) -> Any:
        local = (LocalEnergy(energy, _AnyTerm(energy)),) if observable.needs_local_energy else ()
        return observable.local(_stand_in, electrons, system, key, *local)

    with jax.set_mesh(None):  # the program must not say over how many devices it is spread
        number, key = jax.eval_shape(lambda: (jnp.zeros(()), jax.random.key(0)))
        electrons = jax.ShapeDtypeStruct((system.n_electrons, 3), number.dtype)
        text = jax.jit(program).trace(electrons, key, number).lower(lowering_platforms=("cpu",)).as_text()
    return hashlib.sha256(f"every {observable.every}\n{text}".encode()).hexdigest()[:32]


def _stand_in(electrons: Electrons, system: System) -> SignedLog:
    """Return a Gaussian in place of the wavefunction."""
    return SignedLog(jnp.ones((), electrons.dtype), -jnp.sum(electrons**2))


class _AnyTerm(dict):
    """A dict that has the same value for every name, in place of the terms of a local energy."""

    def __init__(self, value: Array) -> None:
        super().__init__()
        self._value = value

    def __missing__(self, name: str) -> Array:
        return self._value
