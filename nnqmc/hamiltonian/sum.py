"""Terms added up to a Hamiltonian."""

from __future__ import annotations

from collections.abc import Mapping

import jax

from nnqmc.errors import InputError
from nnqmc.hamiltonian.coulomb import electron_electron, electron_nucleus, nucleus_nucleus
from nnqmc.hamiltonian.kinetic import kinetic
from nnqmc.laplacian import forward_laplacian
from nnqmc.typing import BoundLogPsi, Electrons, Key, LaplacianMethod, LocalEnergy, LocalOperator, System


def hamiltonian(terms: Mapping[str, LocalOperator]) -> LocalOperator:
    """The sum of named local operators, itself a local operator that returns a LocalEnergy.

    Args:
        terms: name -> local operator in hartree. Any function (psi, electrons, system, key) -> scalar will do.
    """
    terms = dict(terms)

    def local_energy(psi: BoundLogPsi, electrons: Electrons, system: System, key: Key) -> LocalEnergy:
        """E_L = (H psi)/psi of one walker and its parts."""
        keys = jax.random.split(key, len(terms))
        parts = {name: term(psi, electrons, system, k) for (name, term), k in zip(terms.items(), keys, strict=True)}
        return LocalEnergy(sum(parts.values()), parts)

    return local_energy


def molecular(laplacian: LaplacianMethod = forward_laplacian, **extra: LocalOperator) -> LocalOperator:
    """The non-relativistic Hamiltonian of a molecule with clamped nuclei, plus any `extra` named terms.

    Args:
        laplacian: how the kinetic energy is differentiated.
        **extra: further local operators in hartree, for example `trap=harmonic_trap(0.5)`.

    Raises:
        InputError: an extra term has the name of a built-in one.
    """
    built_in = {"kinetic": kinetic(laplacian), "electron_electron": electron_electron,
                        "electron_nucleus": electron_nucleus, "nucleus_nucleus": nucleus_nucleus}
    if taken := sorted(built_in.keys() & extra.keys()):
        raise InputError(f"molecular has a term {taken[0]!r} already: give yours another name, or build the sum with "
                         "hamiltonian({...})")
    return hamiltonian(built_in | extra)
