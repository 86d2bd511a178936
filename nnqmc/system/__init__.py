"""What is solved: molecules from names, xyz, PySCF or ASE, the named geometries and their reference energies."""

from nnqmc.system.builders import molecule
from nnqmc.system.describe import describe
from nnqmc.system.named import Entry, Reference, entries, reference

__all__ = ["Entry", "Reference", "describe", "entries", "molecule", "reference"]
