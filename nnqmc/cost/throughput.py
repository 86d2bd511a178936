"""Tells how fast a run is beside what was forecast: as numbers for train.h5 and result.json, and in words."""

from __future__ import annotations

from collections.abc import Mapping

from nnqmc.cost.forecast import Forecast
from nnqmc.cost.machine import peak_memory
from nnqmc.messages import duration, gibibytes, millihartree, rough_duration

_ESTIMATED = "estimated_"


def kept_numbers(forecast: Forecast | None, earlier: Mapping[str, float]) -> dict[str, float]:
    """Return what train.h5 keeps: the operations of a step, the matrix peak, and the first forecast of the run.

    Args:
        forecast: of this command, or None.
        earlier: what train.h5 has kept so far; its forecast wins.
    """
    if forecast is None:
        return dict(earlier)
    estimate = {"seconds": forecast.seconds["total"], "memory": forecast.memory, "error": forecast.error}
    now = {_ESTIMATED + name: value for name, value in estimate.items() if value is not None}
    return {"flops_per_step": forecast.step.flops, "matrix_peak": forecast.peak} | now | _estimated(earlier)


def speed(kept: Mapping[str, float], sweeps: int, seconds: float) -> dict[str, float]:
    """Return walker_sweeps_per_second, and where they are known flops_per_second and matrix_peak, of a training step.

    Args:
        kept: from `kept_numbers`.
        sweeps: walkers times sweeps of a step.
        seconds: time of a step; 0 if there was none.
    """
    found = {"walker_sweeps_per_second": sweeps / seconds} if seconds > 0.0 else {}
    if kept.get("flops_per_step") and kept.get("matrix_peak"):
        found |= {"flops_per_second": kept["flops_per_step"] / seconds} if seconds > 0.0 else {}
        found["matrix_peak"] = kept["matrix_peak"]
    return found


def speed_text(numbers: Mapping[str, float]) -> str:
    """Return what is known of `speed` as text: '33,100 walker sweeps/s, 26.1% of the matrix peak'."""
    found = []
    if "walker_sweeps_per_second" in numbers:
        three_digits = float(f"{numbers['walker_sweeps_per_second']:.3g}")
        found.append(f"{three_digits:,.0f} walker sweeps/s")
    if numbers.get("matrix_peak") and "flops_per_second" in numbers:
        found.append(f"{numbers['flops_per_second'] / numbers['matrix_peak']:.1%} of the matrix peak")
    return ", ".join(found)


def performance(kept: Mapping[str, float], sweeps: int, seconds: float) -> dict[str, float]:
    """Return what result.json says: the speed of training, the forecast, and the most memory of this process.

    Args: as for `speed`.
    """
    memory = peak_memory()
    return speed(kept, sweeps, seconds) | ({} if memory is None else {"peak_memory": memory}) | _estimated(kept)


def comparison(numbers: Mapping[str, float], seconds: float, error: float) -> str:
    """Return the forecast beside what it came to, as text; "" where nothing was forecast.

    Args:
        numbers: from `performance`.
        seconds: time of the whole run.
        error: of the energy in hartree.
    """
    if _ESTIMATED + "seconds" not in numbers:
        return ""
    known = {name.removeprefix(_ESTIMATED): value for name, value in _estimated(numbers).items()}
    found = [f"{rough_duration(known['seconds'])} (took {duration(seconds)})"]
    if "memory" in known and "peak_memory" in numbers:
        found.append(f"{gibibytes(known['memory'])} (took {gibibytes(numbers['peak_memory'])})")
    if "error" in known:
        found.append(f"error bar {millihartree(known['error'])} (came to {millihartree(error)})")
    return ", ".join(found)


def _estimated(numbers: Mapping[str, float]) -> dict[str, float]:
    """Return the numbers of a forecast among others."""
    return {name: value for name, value in numbers.items() if name.startswith(_ESTIMATED)}
