"""The electric dipole moment."""

from __future__ import annotations

from typing import Annotated

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nnqmc.observables.observable import Observable
from nnqmc.observables.origin import centre_of_charge, origin_text
from nnqmc.ranges import Between
from nnqmc.statistics import Quantity
from nnqmc.typing import BoundLogPsi, Electrons, Key, System
from nnqmc.units import E_BOHR_IN_DEBYE


def dipole(every: Annotated[int, Between(1, 10**6)] = 1) -> Observable:
    """Return the dipole moment sum_I Z_I R_I - sum_i r_i in debye, as a vector and its length.

    Positions are counted from the centre of nuclear charge, which changes nothing for a neutral molecule; for an ion
    the dipole depends on the origin, and the caveats say where it is. The charges are those of the system, effective
    ones where a pseudopotential stands for the core. The norm of a noisy vector is too large on average: its square by
    the trace of the covariance C, of which the part along the vector belongs to the norm's own variance. The length
    reported is sqrt(|mu|^2 - tr C + m C m) with m = mu/|mu|, or 0 where that is negative; its error is sqrt(m C m).

    Args:
        every: it is measured at every so many steps.

    Raises:
        InputError: `every` is out of range.
    """
    return Observable("dipole", "debye", _local, _with_length, every=every, caveats=_origin_of_an_ion)


def _local(psi: BoundLogPsi, electrons: Electrons, system: System, key: Key) -> Float[Array, "3"]:
    """Return the dipole of one walker in debye, about the centre of nuclear charge, where that of the nuclei is 0."""
    return -E_BOHR_IN_DEBYE * jnp.sum(electrons - centre_of_charge(system), axis=0)


def _with_length(mean: np.ndarray, covariance: np.ndarray) -> dict[str, Quantity]:
    """Return the length of the mean vector without the bias from the noise across it."""
    squared = float(mean @ mean)
    direction = mean / np.sqrt(squared) if squared > 0.0 else np.full(3, 3.0**-0.5)
    along = float(direction @ covariance @ direction)
    length = np.sqrt(max(squared - (float(np.trace(covariance)) - along), 0.0))
    return {"length": Quantity(length, np.sqrt(along))}


def _origin_of_an_ion(system: System) -> tuple[str, ...]:
    """Return where the origin is, for a system that isn't neutral."""
    if system.charge == 0:
        return ()
    return (f"the system has the charge {system.charge:+d}, so its dipole depends on the origin: here "
            f"{origin_text(system)}",)
