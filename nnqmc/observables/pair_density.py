"""The density of pairs of electrons at a distance from each other, for equal and for opposite spins."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nnqmc.errors import InputError
from nnqmc.observables.density import HARMLESS, in_shells, per_volume, radii_of_shells
from nnqmc.observables.observable import Observable
from nnqmc.ranges import Between, check
from nnqmc.statistics import Quantity
from nnqmc.typing import BoundLogPsi, Electrons, Key, System


def pair_density(shells: Annotated[int, Between(2, 1000)] = 30, reach: Annotated[float, Between(0.2, 1e6)] = 10.0,
                 every: Annotated[int, Between(1, 10**6)] = 5, *, system: System | None = None) -> Observable:
    """Return the density of pairs of electrons at each distance from each other in 1/bohr^3, by their spins.

    The value (shells,) is the mean number of pairs whose distance lies in a spherical shell, over its volume;
    integrated over space it gives the number of pairs. "opposite" and "same" (shells,) are the parts of it from pairs
    of opposite and of the same spin, for such pairs as there are. The shells lie between the radii "edges"
    (shells + 1,) in bohr: 0, 0.1 bohr, and on from there in geometric progression; "outside" is the number of pairs
    beyond the last one. At distance 0 the density of pairs of the same spin vanishes, and that of opposite spins has
    the slope of its own value.

    Args:
        shells: their number.
        reach: radius of the outermost sphere in bohr.
        every: it is measured at every so many steps.
        system: the molecule, if it is known.

    Raises:
        InputError: a setting is out of range, or the system has a single electron.
    """
    check(pair_density, shells=shells, reach=reach)
    if system is not None and system.n_electrons < 2:
        raise InputError(f"the observable pair_density needs two electrons, and {system.name or 'this'} has one: leave "
                         "pair_density out")
    edges = radii_of_shells(shells, reach)
    return Observable("pair_density", "1/bohr^3", partial(_local, edges), partial(_reported, edges), every=every,
                      harmless=HARMLESS)


def _local(edges: np.ndarray, psi: BoundLogPsi, electrons: Electrons, system: System, key: Key
           ) -> dict[str, Float[Array, "shells_and_outside"]]:
    """Return the numbers of pairs of one walker in each shell, and beyond the last as the last number."""
    i, j = np.triu_indices(system.n_electrons, 1)
    is_same = (i < system.n_up) == (j < system.n_up)
    distances = jnp.linalg.norm(electrons[i] - electrons[j], axis=-1)
    return {name: in_shells(edges, distances[pairs]) for name, pairs in (("opposite", ~is_same), ("same", is_same))
            if pairs.any()}


def _reported(edges: np.ndarray, mean: Mapping[str, Any], covariance: np.ndarray) -> dict[str, Any]:
    """Return densities, all and by spin, the number of pairs beyond the last shell, and the edges of the shells."""
    total = sum(mean.values())
    found = {name: per_volume(edges, counts) for name, counts in mean.items()}
    return found | {"value": per_volume(edges, total), "edges": Quantity(edges, np.zeros_like(edges)),
                    "outside": total[-1]}
