"""Measure the cost of checkpoints, the log, the progress line and the checks for finite numbers per training step.

    python benchmarks/overhead.py --out benchmarks/results/overhead
    python benchmarks/overhead.py --system H --set train.walkers=16 wavefunction.layers=1 --repeats 3

The compiled step and each of the other parts run in turns in one process, and the ratios of neighbouring readings are
kept. A checkpoint counts as often as a run with these settings writes one: every train.checkpoint_steps steps or every
train.checkpoint_seconds seconds, whichever comes first. The results are written to overhead.json and overhead.md.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from energies import machine, table
from speed_clock import Cost, Program, compiled, in_turns, median_and_quartiles, ratios

import nnqmc
from nnqmc.config import Config, Layer, parse_assignment, resolve
from nnqmc.errors import InputError
from nnqmc.io import SeriesLog
from nnqmc.job import RunDirectory
from nnqmc.job.build import build, make_training_step, stage_key
from nnqmc.job.progress import PlainReporter, TrainingMeter
from nnqmc.methods import init_state
from nnqmc.parallel.threads import keep_memory
from nnqmc.samplers.first_walkers import first_walkers
from nnqmc.typing import TrainState
from nnqmc.wavefunctions import init_params

GOAL = 0.02
"""The largest fraction of a LiH step that all parts together should take."""

STEP, NUMBERS, LOG, PROGRESS, FINITE, CHECKPOINT = (
    "training step", "numbers to the host", "log row", "progress line", "checks for finite numbers", "checkpoint")

_CHEAP = 100
"""The number of calls in one reading of a part that takes microseconds."""


class Part(NamedTuple):
    """A part of a run besides computing: a function, its repetitions in one reading, and its frequency per step."""

    call: Callable[[], Any]
    calls: int
    per_step: float


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the table and write it; return 1 if the goal is missed."""
    arguments = _parser().parse_args(argv)
    keep_memory()
    try:
        layers = [Layer("benchmark", {"preset": "standard"})]
        layers += [Layer("--set", parse_assignment(text)) for text in arguments.set]
        config = resolve(nnqmc.molecule(arguments.system), layers)
    except InputError as error:
        raise SystemExit(f"overhead.py: {error}") from error
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="nnqmc-overhead-", dir=arguments.disk) as place:
        results = measure(config, Path(place), arguments.repeats)
    (out / "overhead.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (out / "overhead.md").write_text(report(results), encoding="utf-8")
    print(report(results))
    return 0 if results["total"] < GOAL else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="overhead.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--system", default="LiH", metavar="NAME", help="(default: LiH)")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="any setting")
    parser.add_argument("--repeats", type=int, default=20, metavar="N", help="readings of each (default: 20)")
    parser.add_argument("--disk", metavar="DIR", help="where checkpoints are written (default: the temporary folder)")
    parser.add_argument("--out", default="benchmarks/results/overhead", metavar="DIR", help="(default: %(default)s)")
    return parser


def measure(config: Config, folder: Path, repeats: int) -> dict[str, Any]:
    """Time a step and everything around it.

    Args:
        config: a complete configuration.
        folder: the folder for checkpoints.
        repeats: the number of readings of each part.

    Returns:
        "parts": name -> {"ms", "per_step", "share", "share_low", "share_high"}, and "total", the sum of the medians.
    """
    load = os.getloadavg()[0]
    step, state = _step(config)
    state, stats = step(state)
    jax.block_until_ready(state)
    seconds = in_turns({STEP: _program(lambda: jax.block_until_ready(step(state)))}, 3)[STEP]
    parts = _parts(config, folder, state, stats, step_seconds=float(np.median(seconds)))
    programs = {STEP: _program(lambda: jax.block_until_ready(step(state)))}
    programs |= {name: _program(lambda part=part: [part.call() for _ in range(part.calls)])
                 for name, part in parts.items()}
    with contextlib.redirect_stderr(io.StringIO()):  # what the progress line writes
        readings = in_turns(programs, repeats)
    found: dict[str, Any] = {}
    for name, part in parts.items():
        scale = part.per_step / part.calls
        share, low, high = (scale * x for x in ratios(readings[name], readings[STEP]))
        found[name] = {"ms": 1e3 * median_and_quartiles(readings[name])[0] / part.calls, "per_step": part.per_step,
                       "share": share, "share_low": low, "share_high": high}
    return {"machine": machine(), "device": jax.devices()[0].device_kind, "load_before": round(load, 2),
            "system": config["system"]["name"], "walkers": config["train"]["walkers"], "repeats": repeats,
            "step_ms": 1e3 * median_and_quartiles(readings[STEP])[0], "parts": found,
            "total": sum(each["share"] for each in found.values())}


def _program(call: Callable[[], Any]) -> Program:
    return Program(call, Cost(0.0, 0.0), 0, 0, 0.0)


def _step(config: Config) -> tuple[Callable[[TrainState], tuple[TrainState, dict]], TrainState]:
    """Return the compiled step of a configuration and a state with random parameters, which take as long as others."""
    parts = build(config)
    step = make_training_step(parts)
    share = np.asarray(parts.system.charges) / np.sum(parts.system.charges)
    populations = share[:, None] * np.array([parts.system.n_up, parts.system.n_down])
    key = stage_key(config, "train")
    electrons = first_walkers(key, parts.system, config["train"]["walkers"], populations)
    params = init_params(parts.wavefunction, key, parts.system)
    state = init_state(key, parts.system, params, electrons, parts.sampler, parts.optimizer)
    return jax.jit(step).lower(state).compile(), state


def _parts(config: Config, folder: Path, state: TrainState, stats: Mapping[str, Any], step_seconds: float
           ) -> dict[str, Part]:
    """Return everything that `nnqmc run` does around a step, and how often."""
    settings = config["train"]
    numbers = {name: float(value) for name, value in jax.device_get(stats).items()}
    directory = RunDirectory(folder, config)
    full, scratch = SeriesLog(), SeriesLog()
    for done in range(1, max(settings["steps"], 2) + 1):
        full.append(done, numbers)
    meter, reporter = TrainingMeter(settings["steps"], settings["walkers"]), PlainReporter()
    with contextlib.redirect_stderr(io.StringIO()):
        reporter.stage("training", settings["steps"])
    saved = state._replace(step=jnp.asarray(settings["steps"], jnp.int32))
    check = compiled(_check_and_choose, (state.params, state.opt_state), (state.params, state.opt_state))

    def progress() -> None:
        meter.add(1, numbers)
        reporter.update(1, meter.text)

    interval = max(min(settings["checkpoint_steps"], settings["checkpoint_seconds"] / step_seconds), 1.0)
    return {
        NUMBERS: Part(lambda: {k: float(v) for k, v in jax.device_get(stats).items()}, _CHEAP, 1.0),
        LOG: Part(lambda: scratch.append((scratch.last_step or 0) + 1, numbers), _CHEAP, 1.0),
        PROGRESS: Part(progress, _CHEAP, 1.0),
        FINITE: Part(check.call, 1, 1.0),
        CHECKPOINT: Part(lambda: directory.save_state(saved, full, {"total": 1.0}), 1, 1.0 / interval),
    }


def _check_and_choose(new: Any, old: Any) -> Any:
    """Keep only numbers that are finite, as a step does.

    This takes longer on its own than within the step.
    """
    floats = [leaf for leaf in jax.tree.leaves(new) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    good = jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in floats]))
    return jax.tree.map(lambda a, b: jnp.where(good, a, b), new, old)


def report(results: Mapping[str, Any]) -> str:
    """Return the table as Markdown."""
    def share(x: float) -> str:
        return f"{x:.3%}"

    rows = [[name, f"{part['ms']:.3f}", "1" if part["per_step"] == 1.0 else f"1/{1.0 / part['per_step']:.0f}",
             share(part["share"]), f"{share(part['share_low'])} to {share(part['share_high'])}"]
            for name, part in results["parts"].items()]
    verdict = "below" if results["total"] < GOAL else "NOT below"
    return "\n\n".join([
        "# What a run does besides computing",
        f"{results['system']}, {results['walkers']} walkers, {results['step_ms']:.1f} ms per step, "
        f"{results['repeats']} readings of each. Machine: {results['machine']} ({results['device']}), load before "
        f"{results['load_before']}.",
        table(("part", "once (ms)", "times per step", "share of a step", "quartiles"), rows),
        f"Together {share(results['total'])} of a step, {verdict} the goal of {GOAL:.0%}.",
    ]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
