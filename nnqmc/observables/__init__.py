"""Observables: quantities that an evaluation measures besides the energy."""

from nnqmc.observables.always import always_observed
from nnqmc.observables.cusps import cusps
from nnqmc.observables.density import density
from nnqmc.observables.density_matrix import density_matrix
from nnqmc.observables.dipole import dipole
from nnqmc.observables.forces import forces
from nnqmc.observables.observable import Observable, Observables, by_name
from nnqmc.observables.pair_density import pair_density
from nnqmc.observables.quadrupole import quadrupole
from nnqmc.observables.radii import radii
from nnqmc.observables.space_warp import forces_space_warp, warped
from nnqmc.observables.spin import spin_squared
from nnqmc.observables.virial import virial

__all__ = [
    "Observable",
    "Observables",
    "always_observed",
    "by_name",
    "cusps",
    "density",
    "density_matrix",
    "dipole",
    "forces",
    "forces_space_warp",
    "pair_density",
    "quadrupole",
    "radii",
    "spin_squared",
    "virial",
    "warped",
]
