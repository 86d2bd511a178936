"""How fast a run is, and what was foreseen of it: numbers for train.h5 and result.json, and words for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from nnqmc.cost.forecast import Forecast, millihartree, rounded
from nnqmc.cost.machine import peak_memory
from nnqmc.messages import duration, gibibytes

_ESTIMATED = "estimated_"


class Throughput(NamedTuple):
    """What a training step does, for the speed that follows from its time.

    sweeps: walkers times sweeps.
    flops: floating-point operations, or None if they weren't counted.
    peak: floating-point operations per second in large matrix products, or None.
    """

    sweeps: int
    flops: float | None = None
    peak: float | None = None

    def numbers(self, seconds: float) -> dict[str, float]:
        """walker_sweeps_per_second, flops_per_second and matrix_peak, for a step of this many seconds."""
        found = {"walker_sweeps_per_second": self.sweeps / seconds} if seconds > 0.0 else {}
        if self.flops and self.peak:
            found |= {"flops_per_second": self.flops / seconds} if seconds > 0.0 else {}
            found["matrix_peak"] = self.peak
        return found

    def text(self, seconds: float) -> str:
        """The same in words: '33,100 walker sweeps/s, 26.1% of the matrix peak'."""
        return throughput_text(self.numbers(seconds))


def throughput_text(numbers: Mapping[str, float]) -> str:
    """Walkers x sweeps per second and the share of the matrix peak, as far as they are known."""
    found = []
    if "walker_sweeps_per_second" in numbers:
        three_digits = float(f"{numbers['walker_sweeps_per_second']:.3g}")
        found.append(f"{three_digits:,.0f} walker sweeps/s")
    if numbers.get("matrix_peak") and "flops_per_second" in numbers:
        found.append(f"{numbers['flops_per_second'] / numbers['matrix_peak']:.1%} of the matrix peak")
    return ", ".join(found)


def foreseen(forecast: Forecast | None, earlier: Mapping[str, float]) -> dict[str, float]:
    """What train.h5 keeps: a step's operations, the peak, and the estimate of the command that began the run."""
    if forecast is None:
        return dict(earlier)
    estimate = {"seconds": forecast.seconds["total"], "memory": forecast.memory, "error": forecast.error}
    now = {_ESTIMATED + name: value for name, value in estimate.items() if value is not None}
    began = {name: value for name, value in earlier.items() if name.startswith(_ESTIMATED)}
    return {"flops_per_step": forecast.step.flops, "matrix_peak": forecast.peak} | now | began


def performance(throughput: Throughput, seconds: float, kept: Mapping[str, float]) -> dict[str, float]:
    """What result.json says: the speed of training, the estimate, and the most memory of this process.

    Args:
        throughput: of training.
        seconds: of a training step; 0 if there was none.
        kept: by train.h5, from `foreseen`.
    """
    speed, memory = throughput.numbers(seconds), peak_memory()
    estimated = {name: value for name, value in kept.items() if name.startswith(_ESTIMATED)}
    return speed | ({} if memory is None else {"peak_memory": memory}) | estimated


def comparison(numbers: Mapping[str, float], seconds: float, error: float) -> str:
    """The estimate beside what it came to, in words; "" where nothing was estimated.

    Args:
        numbers: from `performance`.
        seconds: that all took.
        error: of the energy in hartree.
    """
    if _ESTIMATED + "seconds" not in numbers:
        return ""
    known = {name.removeprefix(_ESTIMATED): value for name, value in numbers.items() if name.startswith(_ESTIMATED)}
    found = [f"{rounded(known['seconds'])} (took {duration(seconds)})"]
    if "memory" in known and "peak_memory" in numbers:
        found.append(f"{gibibytes(known['memory'])} (took {gibibytes(numbers['peak_memory'])})")
    if "error" in known:
        found.append(f"error bar {millihartree(known['error'])} (came to {millihartree(error)})")
    return ", ".join(found)
