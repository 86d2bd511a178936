"""Compare networks and optimizers on atoms, with the same processor time for each, and draw energies against time.

    taskset -c 0 python benchmarks/contest.py N=300 Be=300 --seeds 0 1 --out benchmarks/results/contest

SYSTEM=SECONDS is a system and the processor time on one core that each run trains for; compiling, pretraining, burning
in and the evaluation afterwards don't count. The runs of one network, system and seed begin with the same parameters
and walkers. Each is kept in contest.json when it is done, and the same command skips those that are there with the
settings that they would have now: another number of seconds makes new ones, and a preset that has changed since then
replaces them. `--again` does no run and writes table and figure anew.
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
from energies import machine
from lava import made

import nnqmc
from nnqmc.job.build import make_training_step
from nnqmc.methods import Step, burn_in, evaluate, init_state, make_measurement, pretrain
from nnqmc.parallel.threads import keep_memory
from nnqmc.system import reference

CASES: Mapping[str, Mapping[str, Any]] = MappingProxyType({
    "FermiNet, SPRING": {},
    "FermiNet, K-FAC": {"optimizer": {"name": "kfac"}},
    "FermiNet, LAVA": {"method": {"name": "lava"}, "optimizer": {"name": "preconditioned_adam", "learning_rate": 2e-3}},
    "Psiformer, SPRING": {"wavefunction": {"name": "psiformer"}},
    "LapNet, SPRING": {"wavefunction": {"name": "lapnet"}},
})
"""What the cases set, by the names of their rows; the rest is the preset's, or the method's own.

LAVA has the learning rate that was the better of two on beryllium.
"""

_EVALUATION_STEPS, _BURN_IN, _BINS = 400, 30, 8


def main(argv: Sequence[str] | None = None) -> int:
    """Do the runs that are missing, and write the table and the figure after each of them; return 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="+", metavar="SYSTEM=SECONDS")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1], metavar="N")
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES), metavar="NAME")
    parser.add_argument("--out", default="benchmarks/results/contest", metavar="DIR")
    parser.add_argument("--again", action="store_true")
    arguments = parser.parse_args(argv)
    keep_memory()
    folder = Path(arguments.out)
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "contest.json"
    records = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else []
    for name, seconds in (pair.rsplit("=", 1) for pair in arguments.systems if not arguments.again):
        for seed in arguments.seeds:
            done = {identity(record): record["settings"] for record in records}
            missing = [case for case in arguments.cases
                       if done.get((name, seed, float(seconds), case)) != settings(name, seed, case)]
            for record in compare(name, seed, float(seconds), missing):
                records = [*(old for old in records if identity(old) != identity(record)), record]
                kept.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
                written(records, folder)
                print({key: value for key, value in record.items() if key != "curve"}, flush=True)
    written(records, folder)
    return 0


def identity(record: Mapping[str, Any]) -> tuple[str, int, float, str]:
    """Return what a record belongs to: the system, the seed, the budget and the case."""
    return record["system"], record["seed"], record["seconds"], record["case"]


def settings(name: str, seed: int, case: str) -> dict[str, Any]:
    """Return the settings of a run that its result depends on, {section: {key: value}}."""
    config, _ = made(nnqmc.molecule(name), seed, CASES[case])
    return {section: config[section] for section in ("wavefunction", "optimizer", "method", "sampler", "pretrain")}


def compare(name: str, seed: int, seconds: float, cases: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield a record for each case."""
    system, keys = nnqmc.molecule(name), jax.random.split(jax.random.key(seed), 4)
    starts: dict[str, Any] = {}
    chains: dict[str, Any] = {}
    for row in cases:
        config, parts = made(system, seed, CASES[row])
        network = config["wavefunction"]["name"]
        if network not in starts:
            starts[network] = pretrain(system, parts.wavefunction, nnqmc.hartree_fock(system), key=keys[0],
                                       n_walkers=config["train"]["walkers"], steps=config["pretrain"]["steps"])
        start = starts[network]
        step = make_training_step(parts).compiled()
        state = init_state(keys[1], system, start.params, start.electrons, parts.sampler, parts.optimizer)
        if network not in chains:
            chains[network] = burn_in(step, state, _BURN_IN, key=keys[2]).sampler
        state = state._replace(sampler=chains[network])
        jax.block_until_ready(step(state))
        state, series = trained(step, state, seconds)
        measure = make_measurement(parts.log_psi, system, parts.hamiltonian, parts.sampler)
        found = evaluate(measure, state.average, state.sampler, key=keys[3], max_steps=_EVALUATION_STEPS)
        yield {"system": name, "seed": seed, "case": row, "seconds": seconds, "steps": len(series),
               "parameters": sum(leaf.size for leaf in jax.tree.leaves(start.params)),
               "walkers": config["train"]["walkers"], "settings": settings(name, seed, row),
               "energy": found.energy.value, "error": found.energy.error,
               "variance": found.energy.variance, "reference": reference(system).energy,
               "curve": curve(series, seconds), "evaluation": _EVALUATION_STEPS, "machine": machine(),
               "date": time.strftime("%Y-%m-%d")}


def trained(step: Step, state: Any, seconds: float) -> tuple[Any, list[tuple[float, float]]]:
    """Return the state after so much processor time, and (time, energy) of every step."""
    series: list[tuple[float, float]] = []
    begun = time.process_time()
    while (now := time.process_time() - begun) < seconds:
        state, stats = jax.block_until_ready(step(state))
        series.append((now, float(stats["energy"])))
    return state, series


def curve(series: Sequence[tuple[float, float]], seconds: float) -> list[tuple[float, float, float]]:
    """Return (time, mean energy, its error) of the steps in equal parts of the time, from means of up to eight blocks.

    The error has the change of the energy within the part in it. Parts of fewer than four steps are left out.
    """
    times, energies = np.array(series).T
    points = []
    for part in range(_BINS):
        inside = (times * _BINS >= part * seconds) & (times * _BINS < (part + 1) * seconds)
        if inside.sum() >= 4:
            blocks = [float(np.mean(block)) for block in np.array_split(energies[inside], min(8, inside.sum()))]
            points.append((float(times[inside].mean()), float(energies[inside].mean()),
                           float(np.std(blocks, ddof=1) / len(blocks) ** 0.5)))
    return points


def longest(records: Sequence[Mapping[str, Any]], system: str) -> list[Mapping[str, Any]]:
    """Return the records of a system that have its longest budget."""
    most = max(record["seconds"] for record in records if record["system"] == system)
    return [record for record in records if record["system"] == system and record["seconds"] == most]


def written(records: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Write contest.md and contest.png into a folder, if there are records."""
    if records:
        (folder / "contest.md").write_text(table(records), encoding="utf-8")
        figure(records, folder / "contest.png")


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """Return the table as Markdown, with one row for each run; energies are differences from the reference in mHa."""
    evaluated = sorted({f"{record['evaluation']} steps for {record['system']}" for record in records})
    lines = ["Preset `standard`; `seconds` of processor time for training on one core. Energies are differences from "
             f"the exact energy in mHa, from an evaluation of {', '.join(evaluated)}.", "",
             "| system | seconds | seed | network, method | parameters | steps | ms per step | energy "
             "| variance (Ha^2) |",
             "| --- " * 9 + "|"]
    order = {name: number for number, name in enumerate(CASES)}
    for record in sorted(records, key=lambda row: (row["system"], row["seconds"], order[row["case"]], row["seed"])):
        cells = [record["system"], f"{record['seconds']:g}", str(record["seed"]), record["case"],
                 f"{record['parameters']:,}", str(record["steps"]),
                 f"{1e3 * record['seconds'] / max(record['steps'], 1):.0f}",
                 f"{1e3 * (record['energy'] - record['reference']):+.1f} +- {1e3 * record['error']:.1f}",
                 f"{record['variance']:.3f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def figure(records: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the energy above the exact one against the processor time, a panel for each system, a line for each run."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    systems = list(dict.fromkeys(record["system"] for record in records))
    canvas, axes = pyplot.subplots(1, len(systems), figsize=(5.4 * len(systems), 4.4), layout="constrained",
                                   squeeze=False)
    for panel, system in zip(axes[0], systems, strict=True):
        rows = longest(records, system)
        for record in rows:
            number = list(CASES).index(record["case"])
            style = {"color": f"C{number}", "lw": 1.0, "capsize": 1.5, "elinewidth": 0.8}
            times, energies, errors = np.array(record["curve"]).reshape(-1, 3).T
            above = 1e3 * (energies - record["reference"])
            first = record["seed"] == min(row["seed"] for row in rows if row["case"] == record["case"])
            panel.errorbar(times, above, 1e3 * errors, ls="-" if first else "--",
                           label=record["case"] if first else None, **style)
            end = record["seconds"] * (1.03 + 0.02 * number)
            panel.errorbar([end], [1e3 * (record["energy"] - record["reference"])], [1e3 * record["error"]],
                           fmt="o" if first else "s", ms=4, mfc=f"C{number}" if first else "white", **style)
        panel.axhline(0.0, color="grey", lw=0.8)
        panel.set_yscale("symlog", linthresh=10.0)
        panel.set(title=system, xlabel="processor time for training (s)", ylabel="energy above the exact one (mHa)")
    lines = {label: line for panel in axes[0] for line, label in zip(*panel.get_legend_handles_labels(), strict=True)}
    canvas.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=len(lines), frameon=False, fontsize=8)
    canvas.savefig(path, dpi=110)
    pyplot.close(canvas)


if __name__ == "__main__":
    sys.exit(main())
