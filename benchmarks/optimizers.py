"""Compare optimizers from the same start, for the same processor time on one core.

    taskset -c 0 python benchmarks/optimizers.py Be N --seconds 20 --seeds 1 2 --out benchmarks/results/optimizers

Each system and seed is pretrained and burnt in once; every optimizer then trains from there until it has used the given
processor time, and its averaged parameters are evaluated. Compilation doesn't count.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax

import nnqmc
from nnqmc import catalog
from nnqmc.job.build import build
from nnqmc.methods import burn_in, evaluate, init_state, make_measurement, pretrain
from nnqmc.system import reference

CASES: Mapping[str, Mapping[str, Any]] = MappingProxyType({
    "spring": {"name": "spring"},
    "robust spring": {"name": "robust_spring"},
    "kfac": {"name": "kfac"},
})
"""The optimizers by the names of their rows; what the preset says holds for SPRING, the defaults for the others."""

_EVALUATION_STEPS, _BURN_IN = 120, 30


def main(argv: Sequence[str] | None = None) -> int:
    """Run all cases, print the table and write it after each of them; return 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="+", metavar="SYSTEM")
    parser.add_argument("--seconds", type=float, default=20.0, help="of the processor for training (default: 20)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2], metavar="N")
    parser.add_argument("--out", default="benchmarks/results/optimizers", metavar="DIR")
    arguments = parser.parse_args(argv)
    folder, records = Path(arguments.out), []
    folder.mkdir(parents=True, exist_ok=True)
    for system in arguments.systems:
        for seed in arguments.seeds:
            for record in compare(system, seed, arguments.seconds):
                records.append(record)
                (folder / "optimizers.json").write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
                (folder / "optimizers.md").write_text(table(records), encoding="utf-8")
                print(record, flush=True)
    return 0


def compare(name: str, seed: int, seconds: float) -> Any:
    """Yield a record for each optimizer."""
    from nnqmc.config import Layer, resolve

    system = nnqmc.molecule(name)
    config = resolve(system, [Layer("benchmark", {"preset": "standard", "seed": seed})])
    parts, settings = build(config), config["optimizer"]
    keys = jax.random.split(jax.random.key(seed), 4)
    start = pretrain(system, parts.wavefunction, nnqmc.hartree_fock(system), key=keys[0],
                     n_walkers=config["train"]["walkers"], steps=config["pretrain"]["steps"])
    measure = make_measurement(parts.log_psi, system, parts.hamiltonian, parts.sampler)
    chains = None
    for row, chosen in CASES.items():
        own = {**settings, **chosen} if chosen["name"] != "kfac" else chosen
        optimizer = catalog.bind("optimizer", own, log_psi=parts.log_psi)()
        step = nnqmc.make_step(parts.log_psi, system, parts.hamiltonian, parts.sampler, optimizer).compiled()
        state = init_state(keys[1], system, start.params, start.electrons, parts.sampler, optimizer)
        chains = burn_in(step, state, _BURN_IN, key=keys[2]).sampler if chains is None else chains
        state, steps = trained(step, state._replace(sampler=chains), seconds)
        found = evaluate(measure, state.average, state.sampler, key=keys[3], max_steps=_EVALUATION_STEPS)
        yield {"system": name, "seed": seed, "optimizer": row, "steps": steps, "energy": found.energy.value,
               "error": found.energy.error, "variance": found.energy.variance,
               "difference": found.energy.value - reference(system).energy, "seconds": seconds}


def trained(step: Any, state: Any, seconds: float) -> tuple[Any, int]:
    """Return the state after training for so much processor time, and the steps done; the first step is for compiling.
    """
    jax.block_until_ready(step(state))
    begun, steps = time.process_time(), 0
    while time.process_time() - begun < seconds:
        state, _ = jax.block_until_ready(step(state))
        steps += 1
    return state, steps


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """Return the table as Markdown, with one row for each run."""
    lines = [f"Preset `standard`, {records[0]['seconds']:g} processor seconds of training on one core.", "",
             "| system | seed | optimizer | steps | difference (mHa) | variance (Ha^2) |",
             "| --- | --- | --- | --- | --- | --- |"]
    lines += ["| {system} | {seed} | {optimizer} | {steps} | ".format(**record)
              + f"{1e3 * record['difference']:+.1f} +- {1e3 * record['error']:.1f} | {record['variance']:.3f} |"
              for record in records]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
