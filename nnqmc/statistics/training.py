"""What the series of training tell: an energy where there is no better one, and what went wrong on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from nnqmc.statistics.estimates import Estimate, estimate
from nnqmc.statistics.formatting import in_millihartree
from nnqmc.statistics.remaining import Remaining, remaining
from nnqmc.statistics.trend import Trend

_LAST_STEPS, _MANY_CLIPPED = 200, 0.02
"""A note is made if more than 2 % of the local energies were clipped in the last 200 training steps."""

_FIRST_LOOK, _BETWEEN_LOOKS = 200, 50
"""The training step after which it is asked for the first time how much is left to gain, and the steps in between."""

_SHARE = 0.25
"""The share of an accuracy that may be left to gain."""


def is_enough(steps: int, energies: Callable[[], np.ndarray], accuracy: float | None) -> bool:
    """Tell whether training ends after so many steps, since at most a quarter of an accuracy is left to gain.

    Steps and energies alone decide, so that a run that is resumed ends where one without interruption does. It is asked
    after 200 steps and every 50 from there on, and both what is left and its error have to be small (`remaining`).

    Args:
        steps: training steps done.
        energies: a function that returns the means of all steps, (n_steps,), in hartree; called only where it is asked.
        accuracy: in hartree; None is never enough.
    """
    if accuracy is None or steps < _FIRST_LOOK or steps % _BETWEEN_LOOKS:
        return False
    left = remaining(energies())
    return left is not None and max(left) < _SHARE * accuracy


def training_energy(series: Mapping[str, np.ndarray], n_walkers: int) -> Estimate | None:
    """Return the mean energy of the last half of training, at most 200 steps, in hartree; its caveat says what it is.

    Args:
        series: (n_steps,) "energy" and "variance" of the population in each step.
        n_walkers: the size of the population.

    Returns:
        The estimate, which isn't trusted; None where no step has a finite energy.
    """
    last = min(_LAST_STEPS, len(series.get("energy", ())) // 2 + 1)
    rows = {name: values[-last:] for name, values in series.items()}
    is_finite = np.isfinite(rows.get("energy", np.zeros(0)))
    if not is_finite.any():
        return None
    energies, variances = rows["energy"][is_finite], rows["variance"][is_finite]
    caveat = f"training was cut and not evaluated: this is the mean of its last {len(energies)} steps"
    return replace(estimate(energies), variance=float(variances.mean()), caveats=(caveat,),
                   n_samples=len(energies) * n_walkers)


def notes_on_training(series: Mapping[str, np.ndarray], curve: Trend | None, energy: Estimate,
                      left: Remaining | None = None, accuracy: float | None = None) -> list[str]:
    """Return in sentences what a reader should know of the training that led to an energy.

    Args:
        series: (n_steps,) arrays by name: "step", "rejected", "clipped" and, if they are there, "rewound",
            "excluded" and "reseeded"; none where no step is recorded.
        curve: the trend of the energies in training, or None if they are too few.
        energy: what was measured after training, in hartree.
        left: what more training would probably gain, in hartree, or None if that isn't known.
        accuracy: what training aims at in hartree; None stands for chemical accuracy.
    """
    n_steps, notes = len(series.get("step", ())), []
    if curve is None:
        notes.append(f"only {n_steps} training steps are recorded, too few to tell whether the energy was still "
                     "falling")
    elif curve.is_falling(energy.error):
        fall = in_millihartree(curve.fall, curve.fall_error)
        notes.append(f"the energy was still falling when training ended, by {fall} mHa from its third quarter to its "
                     "last: more steps would lower it further")
    elif left is not None and left.is_more_than(accuracy):
        notes.append(f"training has probably {in_millihartree(*left)} mHa left, which is more than it aims at: more "
                     "steps would lower the energy further")
    if n_steps == 0:
        return notes
    if rejected := int(series["rejected"].sum()):
        notes.append(f"{rejected} of {n_steps} training steps were rejected, since they weren't finite")
    if rewound := int(np.sum(series.get("rewound", 0))):
        notes.append(f"the guard against blow-ups took the parameters back {rewound} times in training")
    for name, words in (("excluded", "had no finite local energy and were left out"), ("reseeded", "were replaced")):
        if name in series and (share := float(series[name].mean())) > 0.0:
            notes.append(f"{100.0 * share:.2g} % of the walkers in training {words}")
    if (clipped := float(series["clipped"][-_LAST_STEPS:].mean())) > _MANY_CLIPPED:
        notes.append(f"{clipped:.1%} of the local energies were clipped at the end of training")
    return notes
