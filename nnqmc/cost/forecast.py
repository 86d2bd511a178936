"""What a run will take, before it begins: time, memory and error bar.

The training step is traced, its work counted (`work.py`) and set against the measured speed of matrix products on this
machine (`machine.py`). Nothing is compiled or run for that, and so the answer is rough: the constants say how rough.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from nnqmc.config import Config
from nnqmc.cost.arithmetic import Work, live_bytes, operations, work
from nnqmc.cost.machine import matrix_peak
from nnqmc.job.build import Parts, make_training_step, state_template
from nnqmc.messages import gibibytes
from nnqmc.methods import Step
from nnqmc.parallel.threads import processors, threads
from nnqmc.typing import TrainState

_STARTING = 4.0
"""Seconds for imports and Hartree-Fock."""

_COMPILING, _COMPILING_PRETRAINING = 3.2e-3, 5.0
"""Seconds to trace and compile one operation, and the program that pretrains, on a core of a server processor."""

_PRETRAINING = 4.0
"""The work of a pretraining step in evaluations of log|psi|."""

_RESIDENT = 1.5 * 2**30
"""Bytes that Python, the libraries and above all the compiler take; 1.35 to 1.75 GiB were seen."""

_SPREAD, _EARLY, _UNTRAINED = 6.5e-6, 400.0, 50
"""Variance times autocorrelation time of the local energy is 6.5e-6 Ha^2 (sum of Z^2)^3 (1 + (400/steps)^2).

The first two factors give the error bars of H2, LiH and the atoms from He to Ne, trained with the preset standard,
within a factor of 1.7. The last one has been seen for LiH at 200 and 500 steps and for C at 500 and 2000, and is that
of 50 steps for fewer. Larger molecules and other networks weren't looked at.
"""

_FEWEST = 200
"""Steps that an evaluation takes at least."""


class Forecast(NamedTuple):
    """What to expect of a run.

    seconds: of the stages, as if one came after the other; and "total", where compilation goes on beside the rest if
        there is a second core.
    memory: the most bytes at one time, of the process, or on the accelerator if there is one.
    error: standard error of the energy in hartree; None for a Hamiltonian or a wavefunction of the user's own.
    target: the standard error at which evaluation may end, or None.
    step: the work of a training step.
    peak: floating-point operations per second in large matrix products.
    """

    seconds: Mapping[str, float]
    memory: float
    error: float | None
    target: float | None
    step: Work
    peak: float

    def __str__(self) -> str:
        total, compiling = self.seconds["total"], self.seconds["compile"]
        aside = f" ({rounded(compiling)} of it compiling, if that isn't cached)" if compiling > 0.1 * total else ""
        words = [f"about {rounded(total)} on this machine{aside}", f"{gibibytes(self.memory)} of memory"]
        return ", ".join(words if self.error is None else [*words, f"error bar about {self._error()}"])

    def rows(self) -> list[tuple[str, str]]:
        """The same in more words: names and texts."""
        stages = ", ".join(f"{name} {rounded(value)}" for name, value in self.seconds.items() if name != "total")
        found = [("time", f"about {rounded(self.seconds['total'])}: {stages}"),
                 ("memory", f"about {gibibytes(self.memory)}"),
                 ("training step", f"{self.step.flops / 1e9:.3g} GFLOP; matrix products run at {self.peak / 1e9:.3g} "
                                   "GFLOP/s here")]
        return found if self.error is None else [*found, ("error bar", f"about {self._error()}")]

    def _error(self) -> str:
        is_late = self.error is not None and self.target is not None and self.error > self.target
        return f"{millihartree(self.error)}{' (evaluate.max_steps comes before the target)' if is_late else ''}"


def foresee(config: Config, parts: Parts, *, traced: tuple[Any, Any] | None = None, peak: float | None = None,
            done: int = 0) -> Forecast:
    """Time, memory and error bar of a run, from its configuration.

    Args:
        config: complete.
        parts: of this configuration.
        traced: both parts of the training step, from `trace_step`, where they are there already; tracing takes seconds.
        peak: from `matrix_peak`, where it is measured already.
        done: training steps that are behind.
    """
    peak = matrix_peak() if peak is None else peak
    if traced is None:
        traced = trace_step(make_training_step(config, parts), state_template(config, parts))
    programs = [part.jaxpr for part in traced]
    look, update = map(work, programs)
    move = work(programs[0], range(len(jax.tree.leaves(traced[0].out_info[0]))))  # the chains come first
    step, log_psi = look + update, move.times(1.0 / (1 + sweeps(parts)))
    looks, error = _evaluation(config, parts)
    train, pretraining = config["train"], 0 if done else config["pretrain"]["steps"]
    is_cpu = jax.default_backend() == "cpu"
    each = (threads() if is_cpu else 1) / peak  # seconds per operation on one core: what is computed at a time is small
    seconds = {
        "start": _STARTING,
        "compile": _COMPILING * sum(map(operations, programs)) + (_COMPILING_PRETRAINING if pretraining else 0.0),
        "pretrain": each * (log_psi.times(_PRETRAINING * pretraining)
                            + look.times(0 if done else train["burn_in"])).effort,
        "train": each * step.times(train["steps"] - done).effort,
        "evaluate": each * look.times(looks + config["evaluate"]["burn_in"]).effort,
    }
    stages = seconds["pretrain"] + seconds["train"] + seconds["evaluate"]
    seconds["total"] = _STARTING + (stages + seconds["compile"] if processors() == 1 and is_cpu
                                    else max(stages, seconds["compile"]))
    memory = max(map(live_bytes, programs)) + _RESIDENT * is_cpu
    return Forecast(seconds, memory, error, config["evaluate"]["target_error"], step, peak)


def trace_step(step: Step, state: TrainState) -> tuple[Any, Any]:
    """Both parts of a training step as JAX traces them for a state of this form."""
    walk = jax.jit(step.walk).trace(state.key, state.step, state.params, state.sampler)
    return walk, jax.jit(step.update).trace(state, *walk.out_info)


def _evaluation(config: Config, parts: Parts) -> tuple[int, float | None]:
    """Steps of the evaluation, and the error bar it ends with."""
    settings, walkers = config["evaluate"], config["train"]["walkers"]
    target, most = settings["target_error"], settings["max_steps"]
    if {"hamiltonian", "wavefunction"} & set(config.get("custom", {})):
        return most, None
    early = 1.0 + (_EARLY / max(config["train"]["steps"], _UNTRAINED)) ** 2
    spread = _SPREAD * float(np.sum(np.asarray(parts.system.charges) ** 2)) ** 3 * early
    wanted = most if target is None else max(_FEWEST, math.ceil(spread / (walkers * target**2)))
    return min(wanted, most), math.sqrt(spread / (walkers * min(wanted, most)))


def sweeps(parts: Parts) -> int:
    """Moves of every walker in one training step."""
    return int(getattr(parts.sampler, "sweeps", 1))


def rounded(seconds: float) -> str:
    """A time as one guesses it: '40 s', '2 min', '3.5 h', '12 days'."""
    for size, unit in ((86400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 1.5 * size:
            count = seconds / size
            return f"{count:.0f} {unit}" if count >= 10 or unit == "min" else f"{round(2 * count) / 2:g} {unit}"
    return f"{10 * max(round(seconds / 10), 1)} s" if seconds >= 10 else f"{max(round(seconds), 1)} s"


def millihartree(energy: float) -> str:
    """An energy in hartree with two digits."""
    return f"{1e3 * energy:.2g} mHa"
