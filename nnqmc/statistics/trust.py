"""What speaks against an energy when it is compared with other energies and with the training that led to it."""

from __future__ import annotations

import math

from nnqmc.statistics.estimates import Estimate
from nnqmc.statistics.formatting import in_millihartree
from nnqmc.statistics.trend import Trend

_FAR_BELOW = 4.0
"""An energy this many error bars below an exact one is a sign that something is wrong."""


def doubts(energy: Estimate, *, above_exact: tuple[float, float] | None = None, hartree_fock: float | None = None,
           curve: Trend | None = None) -> list[str]:
    """Return reasons, in sentences, not to trust a variational energy besides its own caveats.

    Args:
        energy: what was measured, in hartree.
        above_exact: the energy less the exact one, which it can't lie below, and the standard error of this difference,
            in hartree; None if the exact energy isn't known.
        hartree_fock: energy of the Hartree-Fock state that training started from, in hartree, or None.
        curve: the trend of the energies in training, or None.
    """
    found = [] if math.isfinite(energy.error) else ["the error bar isn't known"]
    difference, error = (0.0, 0.0) if above_exact is None else above_exact
    if difference < -_FAR_BELOW * error:
        found.append("the energy lies below the exact one by "
                     f"{-difference / max(error, 1e-300):.1f} error bars, which can't be")
    if hartree_fock is not None and energy.value - hartree_fock > energy.error:
        above = in_millihartree(energy.value - hartree_fock, energy.error)
        found.append(f"the energy lies {above} mHa above the Hartree-Fock energy {hartree_fock:.6f} Ha that the run "
                     "started from: training has lost what it had")
    if curve is not None and curve.is_rising(energy.error):
        higher = in_millihartree(curve.rise, curve.rise_error)
        found.append(f"the energy rose in training: it ended {higher} mHa higher than it had been")
    return found
