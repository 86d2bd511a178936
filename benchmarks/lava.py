"""Compare LAVA and Wasserstein quantum Monte Carlo with SPRING and K-FAC from the same start, for the same time.

    taskset -c 0 python benchmarks/lava.py Be --seconds 60 --seeds 0 1 --out benchmarks/results/lava

Each system and seed is pretrained and burnt in once; every method then trains from there until it has used the given
processor time on one core, and its averaged parameters are evaluated. Compilation doesn't count.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import numpy as np

import nnqmc
from nnqmc.job.build import Components, build, make_training_step
from nnqmc.methods import Step, burn_in, evaluate, init_state, make_measurement, pretrain
from nnqmc.system import reference

CASES: Mapping[str, Mapping[str, Any]] = MappingProxyType({
    "spring": {},
    "kfac": {"optimizer": {"name": "kfac"}},
    "wasserstein": {"method": {"name": "wasserstein"}},
    "wasserstein, constraint 1e-3": {"method": {"name": "wasserstein"},
                                     "optimizer": {"name": "kfac", "norm_constraint": 1e-3}},
    "wasserstein, joint": {"method": {"name": "wasserstein", "joint": True}},
    "lava": {"method": {"name": "lava"}},
    "lava, rate 2e-3": {"method": {"name": "lava"},
                        "optimizer": {"name": "preconditioned_adam", "learning_rate": 2e-3}},
})
"""What the cases set, by the names of their rows; the rest is the preset's, or the method's own."""

_EVALUATION_STEPS, _BURN_IN, _PARTS = 120, 30, 4


def main(argv: Sequence[str] | None = None) -> int:
    """Run all cases, print their records and write the table after each of them; return 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="+", metavar="SYSTEM")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the processor for training (default: 60)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1], metavar="N")
    parser.add_argument("--cases", nargs="+", default=list(CASES), metavar="NAME")
    parser.add_argument("--out", default="benchmarks/results/lava", metavar="DIR")
    arguments = parser.parse_args(argv)
    folder = Path(arguments.out)
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for system in arguments.systems:
        for seed in arguments.seeds:
            for record in compare(system, seed, arguments.seconds, arguments.cases):
                records.append(record)
                (folder / "lava.json").write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
                (folder / "lava.md").write_text(table(records), encoding="utf-8")
                print(record, flush=True)
    return 0


def compare(name: str, seed: int, seconds: float, cases: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield a record for each case."""
    system, keys = nnqmc.molecule(name), jax.random.split(jax.random.key(seed), 4)
    start = chains = None
    for row in cases:
        config, parts = made(system, seed, CASES[row])
        if start is None:
            start = pretrain(system, parts.wavefunction, nnqmc.hartree_fock(system), key=keys[0],
                             n_walkers=config["train"]["walkers"], steps=config["pretrain"]["steps"])
        begun = time.process_time()
        step = make_training_step(parts).compiled()
        state = init_state(keys[1], system, start.params, start.electrons, parts.sampler, parts.optimizer)
        chains = burn_in(step, state, _BURN_IN, key=keys[2]).sampler if chains is None else chains
        state = state._replace(sampler=chains)
        jax.block_until_ready(step(state))
        compiling = time.process_time() - begun
        state, series, walking = trained(step, state, seconds)
        measure = make_measurement(parts.log_psi, system, parts.hamiltonian, parts.sampler)
        found = evaluate(measure, state.average, state.sampler, key=keys[3], max_steps=_EVALUATION_STEPS)
        yield {"system": name, "seed": seed, "case": row, "seconds": seconds, "steps": len(series),
               "compiling": compiling, "walking": walking, "energy": found.energy.value, "error": found.energy.error,
               "variance": found.energy.variance, "reference": reference(system).energy,
               "parts": in_parts(series, seconds)}


def made(system: Any, seed: int, settings: Mapping[str, Any]) -> tuple[dict[str, Any], Components]:
    """Return the configuration of a case and its parts."""
    from nnqmc.config import Layer, resolve

    config = resolve(system, [Layer("benchmark", {"preset": "standard", "seed": seed, **settings})])
    return config, build(config)


def trained(step: Step, state: Any, seconds: float) -> tuple[Any, list[tuple[float, float]], float]:
    """Return the state after so much processor time, (time, energy) of every step, and the share of the first part."""
    series: list[tuple[float, float]] = []
    begun, walking = time.process_time(), 0.0
    while (now := time.process_time()) - begun < seconds:
        moved = jax.block_until_ready(step.walk(state.key, state.step, state.params, state.sampler))
        walking += time.process_time() - now
        state, stats = jax.block_until_ready(step.update(state, *moved))
        series.append((time.process_time() - begun, float(stats["energy"])))
    return state, series, walking / (time.process_time() - begun)


def in_parts(series: Sequence[tuple[float, float]], seconds: float) -> list[tuple[float, float]]:
    """Return the mean energy and its error in each quarter of the time, from means of up to ten blocks of steps.

    The energy falls within a quarter, and the error bar has that in it.
    """
    parts = []
    for part in range(_PARTS):
        energies = [energy for now, energy in series if part <= _PARTS * now / seconds < part + 1]
        blocks = [np.mean(block) for block in np.array_split(energies, min(10, len(energies))) if len(block)]
        parts.append((float(np.mean(energies)), float(np.std(blocks, ddof=1) / len(blocks) ** 0.5))
                     if len(blocks) > 1 else (float("nan"), float("nan")))
    return parts


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """Return the table as Markdown, with one row for each run; energies are differences from the reference in mHa."""
    seconds = records[0]["seconds"]
    quarters = " | ".join(f"to {(part + 1) * seconds / _PARTS:g} s" for part in range(_PARTS))
    lines = [f"Preset `standard`, {seconds:g} processor seconds of training on one core. Energies are differences from "
             "the exact energy in mHa: of training, in each quarter of the time, and of the evaluation afterwards.", "",
             f"| system | seed | method | steps | ms per step | of that sampling and E_L | compiling (s) | {quarters} "
             "| evaluated | variance (Ha^2) |", "| --- " * (9 + _PARTS) + "|"]
    for record in records:
        def mha(value: float, error: float, exact: float = record["reference"]) -> str:
            return f"{1e3 * (value - exact):+.1f} +- {1e3 * error:.1f}"

        cells = [record["system"], str(record["seed"]), record["case"], str(record["steps"]),
                 f"{1e3 * record['seconds'] / max(record['steps'], 1):.0f}", f"{record['walking']:.0%}",
                 f"{record['compiling']:.0f}", *(mha(*part) for part in record["parts"]),
                 mha(record["energy"], record["error"]), f"{record['variance']:.3f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
