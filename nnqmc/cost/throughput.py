"""Tells how fast a run is beside what was forecast: as numbers for result.json, and in words."""

from __future__ import annotations

from collections.abc import Mapping

from nnqmc.cost.forecast import Forecast
from nnqmc.cost.machine import peak_memory


def speed(forecast: Forecast | None, sweeps: int, seconds: float) -> dict[str, float]:
    """Return walker_sweeps_per_second of a training step and, with a forecast, flops_per_second and matrix_peak.

    Args:
        forecast: of this command; it knows the operations of a step.
        sweeps: walkers times sweeps of a step.
        seconds: time of a step; 0 if there was none.
    """
    found = {"walker_sweeps_per_second": sweeps / seconds} if seconds > 0.0 else {}
    if forecast is not None:
        found |= {"flops_per_second": forecast.step.flops / seconds} if seconds > 0.0 else {}
        found["matrix_peak"] = forecast.peak
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


def performance(forecast: Forecast | None, sweeps: int, seconds: float) -> dict[str, float]:
    """Return what result.json says: `speed`, the most memory of this process, and what was forecast.

    Args: as for `speed`.
    """
    memory = peak_memory()
    found = speed(forecast, sweeps, seconds) | ({} if memory is None else {"peak_memory": memory})
    if forecast is None:
        return found
    expected = {"seconds": forecast.seconds["total"], "memory": forecast.memory, "error": forecast.error}
    return found | {f"estimated_{name}": value for name, value in expected.items() if value is not None}
