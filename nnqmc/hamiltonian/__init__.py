"""Local operators that add up to an energy. A term of your own is a function of ten lines: see `hamiltonian`."""

from nnqmc.hamiltonian.coulomb import electron_electron, electron_nucleus, nucleus_nucleus
from nnqmc.hamiltonian.external import harmonic_trap
from nnqmc.hamiltonian.kinetic import kinetic
from nnqmc.hamiltonian.molecular import hamiltonian, molecular

__all__ = ["electron_electron", "electron_nucleus", "hamiltonian", "harmonic_trap", "kinetic", "molecular",
           "nucleus_nucleus"]
