"""Which observables every evaluation measures, as checks of the wavefunction that cost next to nothing."""

from __future__ import annotations

from collections.abc import Iterable

from nnqmc.observables.coulomb import is_coulomb
from nnqmc.observables.virial import is_at_rest
from nnqmc.typing import LocalOperator, System


def always_observed(system: System, hamiltonian: LocalOperator | None = None, others: Iterable[str] = ()
                    ) -> tuple[str, ...]:
    """Return the names of the observables that belong to every evaluation.

    They are <S^2> where there are electrons of both spins, and for the Coulomb Hamiltonian the slopes at the cusps, and
    the virial ratio where the forces on the nuclei vanish or are measured.

    Args:
        system: the molecule.
        hamiltonian: of the run; None is that of a molecule.
        others: names of the observables that are measured besides.
    """
    coulomb = is_coulomb(system, hamiltonian)
    wanted = {"spin_squared": bool(system.n_up and system.n_down), "cusps": coulomb,
              "virial": coulomb and (is_at_rest(system) or any(name.startswith("forces") for name in others))}
    return tuple(name for name, is_wanted in wanted.items() if is_wanted)
