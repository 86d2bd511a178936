"""Sums of terms, and the Hamiltonian of a molecule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import jax

from nnqmc.errors import InputError
from nnqmc.hamiltonian.coulomb import electron_electron, electron_nucleus, nucleus_nucleus
from nnqmc.hamiltonian.kinetic import kinetic
from nnqmc.laplacian import forward_laplacian
from nnqmc.system.nuclei import require_molecule
from nnqmc.typing import BoundLogPsi, Electrons, Key, LaplacianMethod, LocalEnergy, LocalOperator, System


def hamiltonian(terms: Mapping[str, LocalOperator]) -> LocalOperator:
    """Add up named local operators to one that returns a `LocalEnergy`.

    It can be pickled if the terms can.

    Args:
        terms: name -> local operator in hartree. Any function (psi, electrons, system, key) -> scalar will do.
    """
    return partial(_sum_of_terms, dict(terms))


def _sum_of_terms(terms: Mapping[str, LocalOperator], psi: BoundLogPsi, electrons: Electrons, system: System, key: Key
                  ) -> LocalEnergy:
    """Return E_L = (H psi)/psi of one walker and its parts."""
    keys = jax.random.split(key, len(terms))
    parts = {name: term(psi, electrons, system, k) for (name, term), k in zip(terms.items(), keys, strict=True)}
    return LocalEnergy(sum(parts.values()), parts)


def no_pseudopotential(system: System, laplacian: LaplacianMethod) -> None:
    """Return no term for a system that keeps all electrons, and refuse any other.

    Raises:
        InputError: a core of the system would have to be replaced by a pseudopotential.
    """
    if any(system.core):
        raise InputError(f"{system.name or 'the system'} has cores of {list(system.core)} electrons, and molecular has "
                         "no pseudopotential that could replace them: leave core out, or add up terms of your own with "
                         "hamiltonian({...}).")


TERMS: Mapping[str, Callable[[System, LaplacianMethod], LocalOperator | None]] = MappingProxyType({
    "kinetic": lambda system, laplacian: kinetic(laplacian),
    "electron_electron": lambda system, laplacian: electron_electron,
    "electron_nucleus": lambda system, laplacian: electron_nucleus,
    "nucleus_nucleus": lambda system, laplacian: nucleus_nucleus,
    "pseudopotential": no_pseudopotential,
})
"""Name -> function of the system and the Laplacian that makes the term, or None where the system has no such term."""


def molecular(
    system: System | None = None, *, laplacian: LaplacianMethod = forward_laplacian, **extra: LocalOperator
) -> LocalOperator:
    """Return the non-relativistic Hamiltonian of a molecule with clamped nuclei, plus any `extra` named terms.

    The terms are those of `TERMS` that the system calls for. It can be pickled if the extra terms can.

    Args:
        system: the molecule, so that one without a Hamiltonian is refused at once. The operator takes its terms from
            the system that it is called with in any case.
        laplacian: how the kinetic energy is differentiated.
        **extra: further local operators in hartree, for example `trap=harmonic_trap(0.5)`.

    Raises:
        InputError: an extra term has the name of a built-in one, the system has a lattice, or it has a core and no term
            stands for that.
    """
    if taken := sorted(TERMS.keys() & extra.keys()):
        raise InputError(f"molecular has a term {taken[0]!r} already: give yours another name, or build the sum with "
                         "hamiltonian({...})")

    if system is not None:
        _terms(system, laplacian, extra)
    return partial(_molecular_energy, laplacian, extra)


def _terms(system: System, laplacian: LaplacianMethod, extra: Mapping[str, LocalOperator]) -> dict[str, LocalOperator]:
    """Return the terms of a system by name."""
    require_molecule(system)
    found = {name: make(system, laplacian) for name, make in TERMS.items()}
    return {name: term for name, term in found.items() if term is not None} | dict(extra)


def _molecular_energy(laplacian: LaplacianMethod, extra: Mapping[str, LocalOperator], psi: BoundLogPsi,
                      electrons: Electrons, system: System, key: Key) -> LocalEnergy:
    """Return E_L = (H psi)/psi of one walker and its parts."""
    return _sum_of_terms(_terms(system, laplacian, extra), psi, electrons, system, key)
