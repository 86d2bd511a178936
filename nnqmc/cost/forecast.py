"""Forecasts the time, the memory and the error bar of a run before it begins, and tells the speed that it reached.

The arithmetic of the traced training step is counted (`arithmetic.py`) and set against the measured speed of matrix
products (`machine.py`). Nothing is compiled or run for that, so the answer is rough; docs/estimate.md says how rough.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from nnqmc.config import Config
from nnqmc.cost.arithmetic import Work, n_operations, work
from nnqmc.cost.machine import matrix_peak, peak_memory
from nnqmc.messages import gibibytes, millihartree, rough_duration
from nnqmc.methods import Step, is_fitted
from nnqmc.parallel.threads import processors, threads
from nnqmc.parallel.traces import peak_bytes
from nnqmc.typing import System, TrainState

_STARTING, _COMPILING, _COMPILING_PRETRAINING, _PRETRAINING, _SHARING = 4.0, 3.2e-3, 5.0, 4.0, 0.5
"""Seconds for imports and Hartree-Fock, to trace and compile one operation, and to compile what pretrains; the work
of a pretraining step in evaluations of log|psi|; and how a step shares n threads: it is n^0.5 times faster."""

_RESIDENT = 1.5 * 2**30
"""Bytes that Python, the libraries and above all the compiler take; 1.35 to 1.75 GiB were seen."""

_SPREAD, _EARLY, _UNTRAINED, _FEWEST_STEPS = 6.5e-6, 400.0, 50, 200
"""The variance times the autocorrelation time of the local energy is taken to be

    6.5e-6 Ha^2 (sum of Z^2)^3 (1 + (400/steps)^2),    with at least 50 training steps and 200 of evaluation.

The first two factors were fitted to the error bars of small systems (docs/estimate.md); the last one was seen for LiH
at 200 and 500 steps and for C at 500 and 2000.
"""


class Forecast(NamedTuple):
    """Holds what to expect of a run.

    Attributes:
        seconds: time of each stage, as if one came after the other; and "total", where compilation goes on beside the
            rest if there is a second core.
        memory: the most bytes at one time, of the process, or on the accelerator if there is one.
        error: standard error of the energy in hartree; None for a Hamiltonian or a wavefunction of the user's own.
        target: the standard error at which evaluation may end, in hartree, or None.
        parts: the work of both parts of a training step: sampling with the local energies, and the update.
        peak: floating-point operations per second in large matrix products.
    """

    seconds: Mapping[str, float]
    memory: float
    error: float | None
    target: float | None
    parts: tuple[Work, Work]
    peak: float

    def __str__(self) -> str:
        """Return one line: the rows without those on the work of a step."""
        return "; ".join(f"{name} {text}" for name, text in self.rows() if name != "training step")

    def rows(self) -> list[tuple[str, str]]:
        """Return the forecast as the rows of a table: names and texts."""
        stages = ", ".join(f"{name} {rough_duration(value)}" for name, value in self.seconds.items() if name != "total")
        flops = sum(self.parts, Work()).flops
        rows = [("time", f"about {rough_duration(self.seconds['total'])} on this machine ({stages})"),
                ("memory", f"about {gibibytes(self.memory)}"),
                ("training step", f"{flops / 1e9:.3g} GFLOP; matrix products run at {self.peak / 1e9:.3g} "
                                  "GFLOP/s here")]
        if self.error is not None:
            is_late = self.target is not None and self.error > self.target
            rows.append(("error bar", f"about {millihartree(self.error)}"
                                      f"{' (evaluate.max_steps comes before the target)' if is_late else ''}"))
        return rows


def forecast(config: Config, system: System, wavefunction: Any, traced: tuple[Any, Any], *, n_sweeps: int,
             peak: float | None = None, steps_done: int = 0) -> Forecast:
    """Return the expected time, memory and error bar of a run.

    Args:
        config: the complete configuration.
        system: the molecule.
        wavefunction: the flax module.
        traced: both parts of the training step, from `trace_step`.
        n_sweeps: moves of every walker in one training step.
        peak: operations per second in large matrix products; measured if it isn't given.
        steps_done: training steps that lie behind.
    """
    peak = matrix_peak() if peak is None else peak
    programs = [part.jaxpr for part in traced]
    measurement, update = map(work, programs)
    n_state = len(jax.tree.leaves(traced[0].out_info[0]))  # the sampler's state comes first among the results
    log_psi = work(programs[0], range(n_state)).times(1.0 / (1 + n_sweeps))
    step = measurement + update
    n_measurements, error = _evaluation(config, system)
    train = config["train"]
    pretraining = 0 if steps_done or is_fitted(wavefunction) else config["pretrain"]["steps"]
    is_cpu = jax.default_backend() == "cpu"
    each = (threads() if is_cpu else 1) ** _SHARING / peak  # the product is that of all threads
    seconds = {
        "start": _STARTING,
        "compile": _COMPILING * sum(map(n_operations, programs)) + (_COMPILING_PRETRAINING if pretraining else 0.0),
        "pretrain": each * (log_psi.times(_PRETRAINING * pretraining)
                            + measurement.times(0 if steps_done else train["burn_in"])).effort,
        "train": each * step.times(train["steps"] - steps_done).effort,
        "evaluate": each * measurement.times(n_measurements + config["evaluate"]["burn_in"]).effort,
    }
    stages = seconds["pretrain"] + seconds["train"] + seconds["evaluate"]
    seconds["total"] = _STARTING + (stages + seconds["compile"] if processors() == 1 and is_cpu
                                    else max(stages, seconds["compile"]))
    memory = max(peak_bytes(program, with_inputs=True) for program in programs) + _RESIDENT * is_cpu
    return Forecast(seconds, memory, error, config["evaluate"]["target_error"], (measurement, update), peak)


def trace_step(step: Step, state: TrainState) -> tuple[Any, Any]:
    """Return both parts of a training step as JAX traces them for a state of this form."""
    walk = jax.jit(step.walk).trace(state.key, state.step, state.params, state.sampler)
    return walk, jax.jit(step.update).trace(state, *walk.out_info)


def _evaluation(config: Config, system: System) -> tuple[int, float | None]:
    """Return the number of steps of the evaluation, and the error bar in hartree that it ends with."""
    settings, walkers = config["evaluate"], config["train"]["walkers"]
    target, most = settings["target_error"], settings["max_steps"]
    if {"hamiltonian", "wavefunction"} & set(config.get("custom", {})):
        return most, None
    early = 1.0 + (_EARLY / max(config["train"]["steps"], _UNTRAINED)) ** 2
    spread = _SPREAD * float(np.sum(np.asarray(system.charges) ** 2)) ** 3 * early
    wanted = most if target is None else max(_FEWEST_STEPS, math.ceil(spread / (walkers * target**2)))
    return min(wanted, most), math.sqrt(spread / (walkers * min(wanted, most)))


def speed_text(numbers: Mapping[str, float]) -> str:
    """Return the speed that `performance` has found as text: '33,100 walker sweeps/s, 26.1% of the matrix peak'."""
    found = []
    if "walker_sweeps_per_second" in numbers:
        found.append(f"{float(format(numbers['walker_sweeps_per_second'], '.3g')):,.0f} walker sweeps/s")
    if numbers.get("matrix_peak") and "flops_per_second" in numbers:
        found.append(f"{numbers['flops_per_second'] / numbers['matrix_peak']:.1%} of the matrix peak")
    return ", ".join(found)


def performance(forecast: Forecast | None, sweeps: int, seconds: float, parts: Any = ()) -> dict[str, float]:
    """Return the numbers of result.json on the speed and the memory of a run, and what was forecast.

    Args:
        forecast: of this command; it knows the operations of a step.
        sweeps: walkers times sweeps of a training step.
        seconds: time of a step; 0 if there was none.
        parts: times of the two parts of a step, if they were measured (`seconds_of_parts`).
    """
    found = {"peak_memory": peak_memory()}
    if forecast is not None:
        found |= {f"{name}_flops_per_second": part.flops / time for name, part, time in
                  zip(("walk", "update"), forecast.parts, parts, strict=False)}
        found |= {"matrix_peak": forecast.peak, "estimated_seconds": forecast.seconds["total"],
                  "estimated_memory": forecast.memory, "estimated_error": forecast.error}
    if seconds > 0.0:
        found["walker_sweeps_per_second"] = sweeps / seconds
        found["flops_per_second"] = None if forecast is None else sum(forecast.parts, Work()).flops / seconds
    return {name: value for name, value in found.items() if value is not None}
