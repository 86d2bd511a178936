"""Measure where the time of a training step goes, by kernel, stage and kind of operation.

    python benchmarks/profile_step.py N2-medium-128 LiH-published-256 --out benchmarks/results/profile

The two programs of a step, as `nnqmc run` compiles them, run under JAX's profiler. Every kernel carries the name scope
in which it was traced (the stage) and the operation at its root (the kind).
"""

from __future__ import annotations

import argparse
import collections
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from energies import machine, table
from speed_cases import Setting, parse_case, prepare

from nnqmc.cost.arithmetic import work
from nnqmc.cost.forecast import trace_step
from nnqmc.errors import InputError
from nnqmc.job.build import make_training_step
from nnqmc.methods import init_state
from nnqmc.parallel.threads import keep_memory

STAGES = ("sampling", "local_energy", "scores", "gram", "solve", "direction")
_CONTAINERS = ("while", "call", "conditional", "parameter", "tuple", "get-tuple-element")
_KINDS = {"dot_general": "matrix products", "dot": "matrix products", "reduce_sum": "sums", "reduce": "sums",
          "transpose": "moving", "copy": "moving", "concatenate": "moving", "dynamic_update_slice": "moving",
          "broadcast_in_dim": "moving", "cholesky": "factorisation", "triangular_solve": "factorisation"}
_RUNS = 5


def main(argv: Sequence[str] | None = None) -> int:
    """Profile all cases, print the tables and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+", metavar="CASE", help="SYSTEM-NETWORK-WALKERS, as in speed.py")
    parser.add_argument("--out", metavar="DIR", help="where profile.md goes (default: nowhere)")
    arguments = parser.parse_args(argv)
    keep_memory()
    try:
        settings = [prepare(parse_case(text)) for text in arguments.cases]
    except (ValueError, InputError) as error:
        parser.error(str(error))
    parts = [f"# Where the time of a training step goes\n\n{machine()}, {time.strftime('%Y-%m-%d %H:%M')}. "
             "Milliseconds of all kernels together; a step has 10 sweeps."]
    parts += [profiled(setting) for setting in settings]
    text = "\n\n".join(parts) + "\n"
    print(text)
    if arguments.out:
        Path(arguments.out).mkdir(parents=True, exist_ok=True)
        (Path(arguments.out) / "profile.md").write_text(text, encoding="utf-8")
    return 0


def profiled(setting: Setting) -> str:
    """Return the table of one case."""
    parts = setting.parts
    state = init_state(jax.random.key(1), parts.system, setting.params, setting.electrons, parts.sampler,
                       parts.optimizer)
    traced = trace_step(make_training_step(parts), state)
    walk, update = (part.lower().compile() for part in traced)
    given = (state.key, state.step, state.params, state.sampler)
    found = kernels(walk, given) + kernels(update, (state, *walk(*given)))
    kinds = sorted({kind for _, kind in found}, key=lambda kind: -sum(found[key] for key in found if key[1] == kind))
    def row(name: str, stages: Sequence[str]) -> list[str]:
        times = [sum(found[stage, kind] for stage in stages) for kind in kinds]
        return [name, *(f"{time:.1f}" if time >= 1.0 else f"{time:.2f}" for time in (*times, sum(times)))]

    stages = (*STAGES, "rest")
    rows = [*(row(stage, [stage]) for stage in stages), row("all", stages)]
    flops = ", ".join(f"{name} {work(part.jaxpr).flops / 1e9:.3g} GFLOP"
                      for name, part in zip(("sampling and local energy", "update"), traced, strict=True))
    return f"## {setting.case.name}\n\n{table(('stage', *kinds, 'all'), rows)}\n\nCounted operations: {flops}."


def kernels(program: Any, given: tuple) -> collections.Counter[tuple[str, str]]:
    """Return the milliseconds per run of a compiled program, by stage and kind of its kernels."""
    labels = {name: (_stage(path), kind) for name, path, kind in _instructions(program.as_text())}
    jax.block_until_ready(program(*given))
    found: collections.Counter[tuple[str, str]] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(_RUNS):
                jax.block_until_ready(program(*given))
        (path,) = Path(folder).rglob("*.xplane.pb")
        for plane in jax.profiler.ProfileData.from_file(str(path)).planes:
            for line in plane.lines:
                for event in line.events:
                    if event.name in labels:
                        found[labels[event.name]] += event.duration_ns / 1e6 / _RUNS
    return found


def _instructions(text: str) -> list[tuple[str, str, str]]:
    """Return the name, the name scope and the kind of every instruction that may be a kernel."""
    found = []
    for line in text.splitlines():
        match = re.match(r"\s+(?:ROOT )?%?([\w.\-]+) = (?:\(.*?\)|\S+) ([\w\-]+)\(", line)
        if match is None or match[2] in _CONTAINERS:
            continue
        scope = re.search(r'op_name="([^"]*)"', line)
        path = scope[1] if scope else ""
        root = path.rpartition("/")[2] or match[2]
        found.append((match[1], path, _KINDS.get(root, _KINDS.get(match[2], "elementwise"))))
    return found


def _stage(path: str) -> str:
    return next((name for name in path.split("/") if name in STAGES), "rest")


if __name__ == "__main__":
    sys.exit(main())
