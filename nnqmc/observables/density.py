"""The density of the electrons around each nucleus, averaged over directions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nnqmc.observables.observable import Observable
from nnqmc.ranges import Between, check
from nnqmc.statistics import ObservableEstimate, Quantity
from nnqmc.typing import BoundLogPsi, Electrons, Key, System

_FIRST = 0.1
"""Radius of the innermost sphere in bohr."""

HARMLESS = 2e-3
"""An error bar of the number of electrons in a shell that is too small to matter."""


def density(shells: Annotated[int, Between(2, 1000)] = 30, reach: Annotated[float, Between(0.2, 1e6)] = 10.0,
            every: Annotated[int, Between(1, 10**6)] = 5) -> Observable:
    """Return the electron density around each nucleus in 1/bohr^3, averaged over spherical shells.

    The value is an array (shells,) for an atom and (n_atoms, shells) for a molecule: the mean number of electrons in a
    shell divided by its volume, which is the mean density there, however wide it is. The part `edges`, (shells + 1,) in
    bohr, has the radii between which the shells lie: 0, 0.1 bohr, and on from there in geometric progression. The part
    `outside` is the number of electrons beyond the last one. The density at single points is that of
    `nnqmc.load(directory).density`.

    Args:
        shells: their number.
        reach: radius of the outermost sphere in bohr.
        every: it is measured at every so many steps.

    Raises:
        InputError: a setting is out of range.
    """
    check(density, shells=shells, reach=reach)
    edges = radii_of_shells(shells, reach)
    return Observable("density", "1/bohr^3", partial(_local, edges), partial(_reported, edges), every=every,
                      harmless=HARMLESS, remarks=_empty_shells)


def _local(edges: np.ndarray, psi: BoundLogPsi, electrons: Electrons, system: System, key: Key
           ) -> Float[Array, "..."]:
    """Return the numbers of electrons of one walker in each shell, and beyond the last, as the last number of a row."""
    distances = jnp.linalg.norm(electrons[:, None] - jnp.asarray(system.atoms, electrons.dtype), axis=-1)
    counts = in_shells(edges, distances)
    return counts[0] if system.n_atoms == 1 else counts


def radii_of_shells(shells: int, reach: float) -> Float[np.ndarray, "edges"]:
    """Return the radii in bohr between which shells lie: 0, 0.1, and on from there in geometric progression."""
    return np.concatenate([[0.0], np.geomspace(_FIRST, reach, shells)])


def in_shells(edges: np.ndarray, distances: Float[Array, "n *batch"]) -> Float[Array, "*batch shells_and_outside"]:
    """Return how many of the distances lie in each shell, and beyond the last, as the last number of a row."""
    distances = distances[..., None]
    return jnp.sum((distances >= edges) & (distances < np.append(edges[1:], np.inf)), axis=0, dtype=distances.dtype)


def per_volume(edges: np.ndarray, counts: Float[np.ndarray, "*batch shells_and_outside"]
               ) -> Float[np.ndarray, "*batch shells"]:
    """Return numbers of electrons or pairs in each shell over its volume, the number beyond the last left out."""
    return counts[..., :-1] / (4.0 / 3.0 * np.pi * np.diff(edges**3))


def _reported(edges: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> Mapping[str, Any]:
    """Return densities, the edges of the shells, and the number of electrons beyond the last."""
    return {"value": per_volume(edges, mean), "edges": Quantity(edges, np.zeros_like(edges)), "outside": mean[..., -1]}


def _empty_shells(system: System, found: ObservableEstimate) -> tuple[str, ...]:
    """Return in how many shells no electron was ever seen: nothing but that is known of the density there."""
    empty = int(np.sum(found.value == 0.0))
    return (f"no electron was seen in {empty} of {np.size(found.value)} shells: the error 0 of the density there says "
            "nothing",) * bool(empty)
