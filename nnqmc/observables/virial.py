"""The virial theorem, by which a wavefunction can be checked where the forces on the nuclei vanish or are measured."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import numpy as np
from jaxtyping import Array

from nnqmc.errors import InputError
from nnqmc.observables.observable import Observable
from nnqmc.ranges import Between
from nnqmc.statistics import ObservableEstimate
from nnqmc.system import reference
from nnqmc.typing import BoundLogPsi, Electrons, Key, LocalEnergy, System

_EXACT, _MOST = 2.0, 4.0
"""What the ratio is in the absence of forces, and the error bars beyond which it is said to be off."""

_AT_REST = 0.002
"""How far off the ratio may be for the small forces that are left at a published equilibrium geometry."""

_NOT_AT_REST = frozenset({"H10"})
"""Named molecules whose geometry is no equilibrium."""

_FORCES = ("forces", "forces_space_warp")


def virial(every: Annotated[int, Between(1, 10**6)] = 1, system: System | None = None) -> Observable:
    """Return the virial ratio -<V>/<T> of the potential energy, that of the nuclei included, to the kinetic energy.

    For Coulomb forces 2<T> + <V> = sum_I R_I . F_I with the forces F_I on the nuclei. The left side is "excess", in
    hartree, where there are several of them. The ratio is 2 for an atom, and for a molecule where no force acts on its
    nuclei, as at the equilibrium geometries of the named molecules. Elsewhere it is no check; where forces are measured
    in the same evaluation, their virial is compared with "excess". A sentence says where the ratio or the difference is
    more than four error bars away from what it has to be. Any further term of the Hamiltonian counts as potential
    energy; with a term that isn't a Coulomb energy the ratio isn't 2. Source: P.-O. Löwdin, J. Mol. Spectrosc. 3, 46
    (1959), doi:10.1016/0022-2852(59)90006-2.

    Args:
        every: it is measured at every so many steps.
        system: the molecule; without it "excess" is left out.

    Raises:
        InputError: `every` is out of range, or the Hamiltonian has no term called "kinetic".
    """
    ratio = _ratio if system is None or system.n_atoms == 1 else _ratio_and_excess
    return Observable("virial", "", _local, ratio, needs_local_energy=True, every=every,
                      caveats=_where_it_holds if system is None else (), remarks=_distance_from_two,
                      compare=partial(_distance_from_forces, system), is_check=True)


def is_at_rest(system: System) -> bool:
    """Return whether no force acts on the nuclei: of an atom, or of a named molecule at its equilibrium geometry."""
    if system.n_atoms == 1:
        return True
    known = reference(system)
    return known is not None and known.name not in _NOT_AT_REST


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


def _ratio_and_excess(mean: Mapping[str, Any], covariance: np.ndarray) -> dict[str, Any]:
    """Return -<V>/<T>, and 2<T> + <V> in hartree."""
    return _ratio(mean, covariance) | {"excess": 2.0 * mean["kinetic"] + mean["potential"]}


def _where_it_holds(system: System) -> tuple[str, ...]:
    """Return a sentence on where the ratio is 2, or none for a molecule at its equilibrium geometry."""
    if is_at_rest(system):
        return ()
    return ("the ratio is 2 only at a geometry where no force acts on the nuclei; at other geometries excess, in "
            "hartree, is the virial of the forces: --observe forces compares the two",)


def _distance_from_two(system: System, found: ObservableEstimate) -> tuple[str, ...]:
    """Return a sentence if the ratio is far from 2 where no force acts on the nuclei, or none."""
    distance = abs(found.value - _EXACT)
    if not is_at_rest(system) or not distance > _MOST * found.error + (_AT_REST if system.n_atoms > 1 else 0.0):
        return ()
    what = "an atom" if system.n_atoms == 1 else "a molecule at its equilibrium geometry"
    return (f"the ratio differs from the 2 of an exact wavefunction of {what} by {distance / found.error:.1f} error "
            "bars: training isn't complete",)


def _distance_from_forces(system: System | None, others: Mapping[str, ObservableEstimate]) -> tuple[str, ...]:
    """Return a sentence if 2<T> + <V> is far from the virial of the measured forces, whose error bars are added."""
    excess = others["virial"].parts.get("excess") if "virial" in others else None
    known = [others[name].parts["virial"] for name in _FORCES if name in others and "virial" in others[name].parts]
    if excess is None or not known:
        return () if system is None else _where_it_holds(system)
    distance, error = abs(excess.value - known[0].value), excess.error + known[0].error
    if not distance > _MOST * error:
        return ()
    return (f"2<T> + <V> differs from the virial of the forces by {distance:.2g} hartree, {distance / error:.1f} error "
            "bars: training isn't complete, or the forces have a bias",)
