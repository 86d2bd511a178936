"""Observables: quantities that an evaluation measures besides the energy."""

from nnqmc.observables.dipole import dipole
from nnqmc.observables.forces import forces
from nnqmc.observables.observable import Observable, Observables, by_name
from nnqmc.observables.space_warp import forces_space_warp, warped

__all__ = ["Observable", "Observables", "by_name", "dipole", "forces", "forces_space_warp", "warped"]
