"""Which observables every evaluation measures, as checks of the wavefunction that cost next to nothing."""

from __future__ import annotations

from nnqmc.observables.coulomb import is_coulomb
from nnqmc.typing import LocalOperator, System


def always_observed(system: System, hamiltonian: LocalOperator | None = None) -> tuple[str, ...]:
    """Return the names of the observables that belong to every evaluation.

    They are <S^2> where there are electrons of both spins, and for the Coulomb Hamiltonian the slopes at the cusps, and
    the virial ratio of a single atom, on which no force acts.

    Args:
        system: the molecule.
        hamiltonian: of the run; None is that of a molecule.
    """
    coulomb = is_coulomb(system, hamiltonian)
    wanted = {"spin_squared": bool(system.n_up and system.n_down), "cusps": coulomb,
              "virial": coulomb and system.n_atoms == 1}
    return tuple(name for name, is_wanted in wanted.items() if is_wanted)
