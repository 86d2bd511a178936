"""Measure the parts of a run on this machine and divide them by the estimate that is made before a run.

    python benchmarks/estimate.py LiH:standard:512 N2:standard:64

A case is SYSTEM:PRESET:WALKERS. For each case the training step and the evaluation are compiled and timed with random
parameters, which takes a minute or two. The constants in nnqmc/cost/forecast.py and nnqmc/cost/arithmetic.py are chosen
for ratios near 1. Programs must not come from a cache, so JAX_COMPILATION_CACHE_DIR has to be unset.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from nnqmc.config import Layer, resolve
from nnqmc.cost.forecast import trace_step
from nnqmc.job.build import Components, build, forecast_run, make_training_step
from nnqmc.methods import Step, init_state
from nnqmc.parallel.threads import keep_memory
from nnqmc.samplers import first_walkers
from nnqmc.system import molecule
from nnqmc.typing import TrainState
from nnqmc.wavefunctions import init_params

LOOKS = 200
"""The length of the evaluation for which the estimate is made: the steps that every evaluation takes."""


def main(cases: list[str]) -> None:
    """Print a line of ratios, measured over estimated, for every case."""
    keep_memory()
    print("case                      GFLOP/s  compile   step  evaluation  seconds per step")
    for case in cases:
        name, preset, walkers = case.split(":")
        settings = {"preset": preset, "pretrain": {"steps": 0}, "train": {"walkers": int(walkers), "burn_in": 0},
                    "evaluate": {"burn_in": 0, "max_steps": LOOKS}}
        config = resolve(molecule(name), [Layer("case", settings)])
        parts = build(config)
        forecast, found = forecast_run(config, parts), measured(config, parts)
        expected = forecast.seconds
        print(f"{case:<24}{forecast.peak / 1e9:9.0f}{found['compile'] / expected['compile']:9.2f}"
              f"{found['step'] * config['train']['steps'] / expected['train']:7.2f}"
              f"{found['look'] * LOOKS / expected['evaluate']:12.2f}{found['step']:18.4f}", flush=True)


def measured(config: dict[str, Any], parts: Components) -> dict[str, float]:
    """Return the seconds to compile both parts of a training step, of the step, and of its first part, which evaluates.
    """
    state, begun = start(config, parts), time.perf_counter()
    step = Step(*(part.lower().compile() for part in trace_step(make_training_step(parts), state)))
    compiled = time.perf_counter() - begun
    return {"compile": compiled, "step": seconds(lambda: step(state)),
            "look": seconds(lambda: step.walk(state.key, state.step, state.average, state.sampler))}


def start(config: dict[str, Any], parts: Components) -> TrainState:
    """Return a state with random parameters and with walkers around the nuclei."""
    system = parts.system
    share = jnp.asarray([system.n_up, system.n_down]) / system.n_electrons
    populations = jnp.asarray(system.charges)[:, None] * share * system.n_electrons / jnp.sum(system.charges)
    walkers = first_walkers(jax.random.key(0), system, config["train"]["walkers"], populations)
    params = init_params(parts.wavefunction, jax.random.key(1), system)
    return init_state(jax.random.key(2), system, params, walkers, parts.sampler, parts.optimizer)


def seconds(call: Callable[[], Any]) -> float:
    """Return the median time of seven calls after a first one."""
    jax.block_until_ready(call())
    found = []
    for _ in range(7):
        begun = time.perf_counter()
        jax.block_until_ready(call())
        found.append(time.perf_counter() - begun)
    return statistics.median(found)


if __name__ == "__main__":
    main(sys.argv[1:] or ["He:standard:128", "LiH:standard:512", "C:standard:128"])
