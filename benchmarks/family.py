"""Compare the local energies of FermiNet, Psiformer and LapNet of equal width, and those of folx on the same functions.

    python benchmarks/family.py --out benchmarks/results/family
    python benchmarks/family.py --systems Be Ne --walkers 32

Both libraries get the better of the same numbers of walkers per chunk, have to agree first, and are timed in turns in
one process. Times are processor time, of which a shared machine takes less away than of wall time. The results are
written to family.json and family.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from energies import machine, table
from speed_clock import Program, compiled
from speed_parts import folx_laplacian

import nnqmc
from nnqmc.laplacian import forward_laplacian
from nnqmc.methods import make_local_energy
from nnqmc.parallel.threads import keep_memory
from nnqmc.samplers.first_walkers import first_walkers
from nnqmc.wavefunctions import SlaterNetwork, init_params

_LAYERS, _HEADS, _DETERMINANTS = 3, 4, 8
_SAME = 1e-4
NNQMC, FOLX = "nnqmc", "folx"


def networks(width: int) -> dict[str, SlaterNetwork]:
    """Return the three networks with the same width, number of layers and determinants."""
    attention = {"layers": _LAYERS, "width": width, "heads": _HEADS, "n_determinants": _DETERMINANTS}
    return {"FermiNet": nnqmc.FermiNet(layers=_LAYERS, hidden_one=width, hidden_two=max(width // 4, 1),
                                       n_determinants=_DETERMINANTS),
            "Psiformer": nnqmc.Psiformer(**attention), "LapNet": nnqmc.LapNet(**attention)}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure all networks on all systems, print the table and write it; return 1 if the libraries disagree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", nargs="+", default=["Be", "Ne", "Si", "Ca"])
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--walkers", type=int, default=16)
    parser.add_argument("--chunks", type=int, nargs="+", default=[2, 8])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", default="benchmarks/results/family", metavar="DIR")
    arguments = parser.parse_args(argv)
    keep_memory()
    results = {"machine": machine(), "started": time.strftime("%Y-%m-%d %H:%M"), **vars(arguments), "rows": []}
    Path(arguments.out).mkdir(parents=True, exist_ok=True)
    for system in arguments.systems:
        for name, network in networks(arguments.width).items():
            row = measure(system, name, network, arguments)
            if row["difference"] > _SAME:
                print(f"{name} of {system}: the local energies differ by {row['difference']:.1e}", file=sys.stderr)
                return 1
            results["rows"].append(row)
            text = report(results)
            (Path(arguments.out) / "family.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
            (Path(arguments.out) / "family.md").write_text(text, encoding="utf-8")
            print(f"{system} {name} done", file=sys.stderr, flush=True)
    print(text)
    return 0


def measure(system: str, name: str, network: SlaterNetwork, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the milliseconds of one local energy of all walkers, by library, in the best chunk of each."""
    molecule = nnqmc.molecule(system)
    params = init_params(network, jax.random.key(0), molecule)
    share = np.asarray(molecule.charges, np.float64) / np.sum(molecule.charges)
    electrons = first_walkers(jax.random.key(1), molecule, arguments.walkers,
                              share[:, None] * np.array([molecule.n_up, molecule.n_down]))
    laplacians = {NNQMC: forward_laplacian}
    if importlib.util.find_spec("folx") is not None:
        laplacians[FOLX] = folx_laplacian
    programs: dict[tuple[str, int], Program] = {}
    for library, laplacian in laplacians.items():
        for chunk in arguments.chunks:
            energies = make_local_energy(network.apply, molecule, nnqmc.molecular(laplacian=laplacian), chunk)
            programs[library, chunk] = compiled(lambda p, r, f=energies: f(jax.random.key(2), p, r).total, params,
                                                electrons)
    values = [np.asarray(program.call()) for program in programs.values()]
    spread = max(float(np.median(np.abs(x - values[0]) / np.abs(values[0]))) for x in values)
    seconds: dict[tuple[str, int], list[float]] = {key: [] for key in programs}
    for _ in range(arguments.repeats):
        for key, program in programs.items():
            before = time.process_time()
            program.call()
            seconds[key].append(time.process_time() - before)
    best = {library: min((statistics.median(seconds[library, chunk]), chunk) for chunk in arguments.chunks)
            for library in laplacians}
    return {"system": system, "network": name, "electrons": molecule.n_electrons,
            "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)), "difference": spread,
            "ms": {library: 1e3 * found for library, (found, _) in best.items()},
            "chunk": {library: chunk for library, (_, chunk) in best.items()},
            "compile_s": {library: min(programs[library, c].compile_seconds for c in arguments.chunks)
                          for library in laplacians}}


def exponent(rows: Sequence[Mapping[str, Any]], library: str) -> str:
    """Return the power of the number of electrons with which the time grows, by least squares, with its error."""
    points = [(row["electrons"], row["ms"][library]) for row in rows if library in row["ms"]]
    if len(points) < 3:
        return ""
    x, y = np.log(np.array(points)).T
    spread = np.sum((x - x.mean()) ** 2)
    slope = float(np.sum((x - x.mean()) * y) / spread)
    residual = y - y.mean() - slope * (x - x.mean())
    return f"{slope:.2f} ± {np.sqrt(np.sum(residual**2) / (len(x) - 2) / spread):.2f}"


def report(results: Mapping[str, Any]) -> str:
    """Return the results as a table, and with three systems or more a second one of how the times grow."""
    rows, times = [], {(row["system"], row["network"]): row["ms"][NNQMC] for row in results["rows"]}
    for row in results["rows"]:
        ours, other = row["ms"][NNQMC], row["ms"].get(FOLX)
        rows.append([row["system"], str(row["electrons"]), row["network"], f"{row['parameters']:,}", f"{ours:.3g}",
                     f"{ours / times[row['system'], 'FermiNet']:.2f}", "" if other is None else f"{other:.3g}",
                     "" if other is None else f"{other / ours:.2f}", ", ".join(map(str, row["chunk"].values()))])
    head = ("system", "electrons", "network", "parameters", "nnqmc (ms)", "relative to FermiNet", "folx (ms)",
            "folx / nnqmc", "best chunks")
    growth = [[name, *(exponent([row for row in results["rows"] if row["network"] == name], library)
                       for library in (NNQMC, FOLX))] for name in ("FermiNet", "Psiformer", "LapNet")]
    known = [row for row in growth if any(row[1:])]
    powers = table(("network", NNQMC, FOLX), known)
    return (f"# Local energies of three networks\n\n{results['started']}, {results['machine']}. {_LAYERS} layers of "
            f"width {results['width']}, {_HEADS} heads, {_DETERMINANTS} determinants, {results['walkers']} walkers; "
            f"milliseconds of processor time, medians of {results['repeats']} readings in turns.\n\n"
            f"{table(head, rows)}\n" + (
                f"\nPowers of the number of electrons with which the time grows:\n\n{powers}\n" if known else ""))


if __name__ == "__main__":
    sys.exit(main())
