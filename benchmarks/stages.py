"""Measure the fraction of the device's peak that each stage of a training step reaches, for all three networks.

    taskset -c 0 python benchmarks/stages.py Be N --out benchmarks/results/stages

The operations of sampling, local energies and update are counted in the traced programs (docs/estimate.md), and the
peak is that of large float32 matrix products, measured in turns with the stages. Times are processor time on a CPU,
which should be one core, and wall time elsewhere, the medians of all readings. Sampling is compiled by itself, and the
local energies take what the first program of a step takes longer. The parameters are untrained and the walkers at
their first places, which doesn't change the time of a step.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from energies import machine, table
from lava import made

import nnqmc
from nnqmc.cost.arithmetic import work
from nnqmc.cost.forecast import trace_step
from nnqmc.job.build import make_training_step
from nnqmc.methods import init_state, make_log_density
from nnqmc.methods.vmc import step_keys
from nnqmc.samplers.first_walkers import first_walkers
from nnqmc.wavefunctions import init_params

NETWORKS = ("ferminet", "psiformer", "lapnet")
STAGES = ("sampling", "local energies", "update")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure all networks on all systems, print the table and write it after each of them; return 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="+", metavar="SYSTEM")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), metavar="NAME")
    parser.add_argument("--size", default="small", help="of the networks (default: %(default)s)")
    parser.add_argument("--walkers", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", default="benchmarks/results/stages", metavar="DIR")
    arguments = parser.parse_args(argv)
    folder = Path(arguments.out)
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for name in arguments.systems:
        for network in arguments.networks:
            records.append(measure(name, network, arguments))
            (folder / "stages.json").write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
            (folder / "stages.md").write_text(report(records), encoding="utf-8")
            print(records[-1], flush=True)
    return 0


def measure(name: str, network: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the operations and the seconds of each stage, and the peak, for one network on one system."""
    system = nnqmc.molecule(name)
    config, parts = made(system, 0, {"wavefunction": {"name": network, "size": arguments.size},
                                "train": {"walkers": arguments.walkers}})
    params = init_params(parts.wavefunction, jax.random.key(0), system)
    share = np.asarray(system.charges, np.float64) / np.sum(system.charges)
    electrons = first_walkers(jax.random.key(1), system, arguments.walkers,
                              share[:, None] * np.array([system.n_up, system.n_down]))
    state = init_state(jax.random.key(2), system, params, electrons, parts.sampler, parts.optimizer)
    traced = trace_step(make_training_step(parts), state)
    both, update = (part.lower().compile() for part in traced)
    given = (state.key, state.step, state.params, state.sampler)
    moved = both(*given)
    n_state = len(jax.tree.leaves(traced[0].out_info[0]))  # the sampler's state comes first among the results
    flops = [work(traced[0].jaxpr, range(n_state)).flops, work(traced[0].jaxpr).flops, work(traced[1].jaxpr).flops]

    @jax.jit
    def sampling(key: Any, index: Any, params: Any, chains: Any) -> Any:
        density = make_log_density(parts.log_psi, params, system, config["train"]["chunk_size"])
        return parts.sampler.step(step_keys(key, index)[0], density, chains)

    product, product_flops = large_product()
    seconds = in_turns({"sampling": lambda: sampling(*given), "both": lambda: both(*given),
                        "update": lambda: update(state, *moved), "product": product}, arguments.repeats)
    return {"system": name, "network": network, "walkers": arguments.walkers, "machine": machine(),
            "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
            "peak": product_flops / seconds["product"],
            "flops": dict(zip(STAGES, (flops[0], flops[1] - flops[0], flops[2]), strict=True)),
            "seconds": dict(zip(STAGES, (seconds["sampling"], seconds["both"] - seconds["sampling"],
                                         seconds["update"]), strict=True))}


def large_product() -> tuple[Callable[[], Any], float]:
    """Return a function that multiplies two large square matrices, and the operations that takes."""
    size = 1024 if jax.default_backend() == "cpu" else 8192
    product = jax.jit(lambda matrix: jnp.matmul(matrix, matrix, precision=jax.lax.Precision.HIGHEST))
    matrix = jnp.full((size, size), 1.0 / size, jnp.float32)
    return lambda: product(matrix), 2.0 * size**3


def in_turns(functions: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Return the median seconds of each function, from readings in turns after one call that may compile."""
    clock = time.process_time if jax.default_backend() == "cpu" else time.perf_counter
    for function in functions.values():
        jax.block_until_ready(function())
    readings: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            before = clock()
            jax.block_until_ready(function())
            readings[name].append(clock() - before)
    return {name: statistics.median(values) for name, values in readings.items()}


def report(records: Sequence[Mapping[str, Any]]) -> str:
    """Return the table as Markdown, with one row for each network and system."""
    rows = []
    for record in records:
        seconds, flops, peak = record["seconds"], record["flops"], record["peak"]
        cells = [f"{1e3 * seconds[stage]:.3g} ms, {flops[stage] / 1e9:.3g} GFLOP, "
                 f"{flops[stage] / seconds[stage] / peak:.0%}" for stage in STAGES]
        whole = sum(flops.values()) / sum(seconds.values()) / peak
        rows.append([record["system"], record["network"], f"{record['parameters']:,}", str(record["walkers"]), *cells,
                     f"{whole:.0%}", f"{peak / 1e9:.3g}"])
    head = ("system", "network", "parameters", "walkers", *STAGES, "step", "peak (GFLOP/s)")
    return (f"{records[0]['machine']}. Each stage: time, counted operations, and the fraction of the measured peak.\n\n"
            f"{table(head, rows)}\n")


if __name__ == "__main__":
    sys.exit(main())
