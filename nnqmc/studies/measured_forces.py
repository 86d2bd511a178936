"""The forces that a run of a study has measured: which of them count, and what speaks against them."""

from __future__ import annotations

import numpy as np

from nnqmc.job import Result
from nnqmc.statistics import ObservableEstimate, Quantity

FORCES = "forces"
"""The observable that gives the forces."""


def best_forces(forces: ObservableEstimate) -> Quantity:
    """Return the forces that studies use: those whose sum and torque vanish, or as measured where there are none."""
    return forces.parts.get("balanced", Quantity(forces.value, forces.error))


def doubts(result: Result) -> tuple[str, ...]:
    """Return the reasons, in sentences, not to trust the energy of a run or, where they were measured, its forces."""
    if FORCES not in result.observables:
        return result.caveats
    forces = result.observables[FORCES]
    is_finite = all(np.isfinite(numbers).all() for numbers in best_forces(forces))
    found = forces.caveats if is_finite else (*forces.caveats, "they or their error bars aren't finite")
    return (*result.caveats, *(f"forces: {sentence}" for sentence in found))
