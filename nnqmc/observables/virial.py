"""The virial ratio, by which a wavefunction of an atom, or of a molecule at rest, can be checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from jaxtyping import Array

from nnqmc.errors import InputError
from nnqmc.observables.observable import Observable
from nnqmc.ranges import Between
from nnqmc.statistics import ObservableEstimate
from nnqmc.typing import BoundLogPsi, Electrons, Key, LocalEnergy, System

_EXACT, _MOST = 2.0, 4.0
"""What the ratio is in the absence of forces, and the error bars beyond which it is said to be off."""


def virial(every: Annotated[int, Between(1, 10**6)] = 1) -> Observable:
    """Return the virial ratio -<V>/<T> of the potential energy, that of the nuclei included, to the kinetic energy.

    For Coulomb forces 2<T> + <V> = sum_I R_I . F_I with the forces F_I on the nuclei, so that the ratio is 2 for an
    atom, and for a molecule where no force acts on its nuclei, at its equilibrium geometry. At other geometries the
    ratio is no check, and a sentence says so. Any further term of the Hamiltonian counts as potential energy; with a
    term that isn't a Coulomb energy the ratio isn't 2. Source: P.-O. Löwdin, J. Mol. Spectrosc. 3, 46 (1959),
    doi:10.1016/0022-2852(59)90006-2.

    Args:
        every: it is measured at every so many steps.

    Raises:
        InputError: `every` is out of range, or the Hamiltonian has no term called "kinetic".
    """
    return Observable("virial", "", _local, _ratio, needs_local_energy=True, every=every, caveats=_where_it_holds,
                      remarks=_distance_from_two, is_check=True)


def _local(psi: BoundLogPsi, electrons: Electrons, system: System, key: Key, local_energy: LocalEnergy
           ) -> dict[str, Array]:
    """Return the kinetic and the potential energy of one walker in hartree."""
    try:
        kinetic = local_energy.terms["kinetic"]
    except KeyError:
        raise InputError("the observable virial needs a Hamiltonian with a term called 'kinetic', and this one has "
                         f"{', '.join(local_energy.terms) or 'none by name'}: leave virial out") from None
    return {"kinetic": kinetic, "potential": local_energy.total - kinetic}


def _ratio(mean: Mapping[str, Any], covariance: np.ndarray) -> dict[str, Any]:
    """Return -<V>/<T>."""
    return {"value": -mean["potential"] / mean["kinetic"]}


def _where_it_holds(system: System) -> tuple[str, ...]:
    """Return where the ratio of a molecule is 2."""
    if system.n_atoms == 1:
        return ()
    return ("the ratio is 2 only at a geometry where no force acts on the nuclei; at other geometries it is no check",)


def _distance_from_two(system: System, found: ObservableEstimate) -> tuple[str, ...]:
    """Return what a ratio says that isn't 2 for an atom."""
    if system.n_atoms > 1 or not abs(found.value - _EXACT) > _MOST * found.error:
        return ()
    return (f"the ratio differs from the 2 of an exact wavefunction of an atom by "
            f"{abs(found.value - _EXACT) / found.error:.1f} error bars: training isn't complete",)
