"""Judge samplers by effective samples per second of one processor core.

    taskset -c 0 python benchmarks/samplers.py Be N "H 0 0 0; H 0 0 6" --out benchmarks/results/samplers

The wavefunction is a network after pretraining. Each sampler adapts, is frozen, and then walks. Its autocorrelation
time is the longest of three quantities: the sum of r^2 (valence), of 1/r (core), with r the distance to the nearest
nucleus, and of the coordinates along the first bond (which atom an electron is on).
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
import jax.numpy as jnp
import numpy as np

import nnqmc
from nnqmc import catalog
from nnqmc.config import Layer, resolve
from nnqmc.job.build import build
from nnqmc.methods import pretrain
from nnqmc.methods.vmc import make_log_density
from nnqmc.statistics import autocorrelation
from nnqmc.typing import Walkers

CASES: Mapping[str, Mapping[str, Any]] = MappingProxyType({
    "metropolis": {"name": "metropolis"},
    "metropolis, acceptance 0.55": {"name": "metropolis", "acceptance": 0.55},
    "langevin": {"name": "langevin"},
    "langevin, acceptance 0.75": {"name": "langevin", "acceptance": 0.75},
    "one_electron": {"name": "one_electron"},
})
"""The samplers by the names of their rows; each does five sweeps in a step."""

_ADAPT, _WALKERS = 60, 256


def main(argv: Sequence[str] | None = None) -> int:
    """Run all cases, print the table and write it after each of them; return 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="+", metavar="SYSTEM")
    parser.add_argument("--steps", type=int, default=200, metavar="N", help="of five sweeps (default: %(default)s)")
    parser.add_argument("--out", default="benchmarks/results/samplers", metavar="DIR")
    arguments = parser.parse_args(argv)
    folder, records = Path(arguments.out), []
    folder.mkdir(parents=True, exist_ok=True)
    for name in arguments.systems:
        for record in judge(name, arguments.steps):
            records.append(record)
            (folder / "samplers.json").write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
            (folder / "samplers.md").write_text(table(records), encoding="utf-8")
            print(record, flush=True)
    return 0


def judge(name: str, n_steps: int) -> Any:
    """Yield a record for each sampler."""
    system = nnqmc.molecule(name, unit=None if " " not in name else "bohr")
    config = resolve(system, [Layer("benchmark", {"preset": "standard", "seed": 1})])
    parts = build(config)
    start = pretrain(system, parts.wavefunction, nnqmc.hartree_fock(system), key=jax.random.key(0), n_walkers=_WALKERS,
                     steps=config["pretrain"]["steps"])
    density = make_log_density(parts.log_psi, start.params, system)
    atoms = jnp.asarray(system.atoms, jnp.float32)

    def look(electrons: Any) -> Any:
        r = jnp.min(jnp.linalg.norm(electrons[..., None, :] - atoms, axis=-1), axis=-1)
        axis = atoms[-1] - atoms[0] if len(atoms) > 1 else jnp.ones(3)
        side = jnp.sign((electrons - jnp.mean(atoms, axis=0)) @ axis)[:, 0]
        return jnp.stack([jnp.sum(r**2, axis=-1), jnp.sum(1.0 / r, axis=-1), side])

    for row, chosen in CASES.items():
        sampler = catalog.bind("sampler", {**chosen, "sweeps": 5})()
        walk = jax.jit(lambda key, state, sampler=sampler: sampler.step(key, density, state))
        state = sampler.init(Walkers(start.electrons, jnp.zeros(_WALKERS)), system)
        keys = jax.random.split(jax.random.key(1), _ADAPT + n_steps)
        for key in keys[:_ADAPT]:
            state, stats = walk(key, state)
        state = jax.block_until_ready(sampler.freeze(state))
        begun, seen, stuck = time.process_time(), [], []
        for key in keys[_ADAPT:]:
            state, stats = walk(key, state)
            seen.append(jax.block_until_ready(state.walkers.electrons))
            stuck.append(float(stats["acceptance"]))
        seconds = time.process_time() - begun
        values = np.asarray(jax.vmap(look)(jnp.stack(seen)), np.float64)
        tau = [float(autocorrelation(values[:, k]).tau) for k in range(values.shape[1])]
        yield {"system": name, "sampler": row, "acceptance": float(np.mean(stuck)), "tau": tau,
               "milliseconds": 1e3 * seconds / n_steps, "rate": _WALKERS * n_steps / max(tau) / seconds}


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """Return the table as Markdown, with one row for each case."""
    lines = [f"{_WALKERS} walkers, five sweeps in a step, processor time of one core; autocorrelation times in steps.",
             "",
             "| system | sampler | acceptance | ms per step | tau of r^2, 1/r, side | effective samples per second |",
             "| --- | --- | --- | --- | --- | --- |"]
    lines += [f"| {record['system']} | {record['sampler']} | {record['acceptance']:.2f} | "
              f"{record['milliseconds']:.1f} | "
              f"{', '.join(f'{tau:.1f}' for tau in record['tau'])} | {record['rate']:.0f} |" for record in records]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
