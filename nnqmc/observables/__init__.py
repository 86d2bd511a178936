"""Observables: quantities that an evaluation measures besides the energy."""

from nnqmc.observables.dipole import dipole
from nnqmc.observables.observable import Observable, Observables, by_name

__all__ = ["Observable", "Observables", "by_name", "dipole"]
