"""Local operators that add up to an energy; docs/extending.md shows a term of your own."""

from nnqmc.hamiltonian.coulomb import electron_electron, electron_nucleus, nucleus_nucleus
from nnqmc.hamiltonian.external import harmonic_trap
from nnqmc.hamiltonian.kinetic import kinetic
from nnqmc.hamiltonian.molecular import hamiltonian, molecular

__all__ = ["electron_electron", "electron_nucleus", "hamiltonian", "harmonic_trap", "kinetic", "molecular",
           "nucleus_nucleus"]
