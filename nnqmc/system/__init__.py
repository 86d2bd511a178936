"""Systems: molecules from names, xyz, PySCF, ASE or plain values, and the named reference energies."""

from nnqmc.system.builders import molecule
from nnqmc.system.describe import describe
from nnqmc.system.named import Entry, Reference, entries, reference
from nnqmc.system.serialization import from_dict, known_energy, to_dict

__all__ = ["Entry", "Reference", "describe", "entries", "from_dict", "known_energy", "molecule", "reference", "to_dict"]
