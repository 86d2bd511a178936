"""Evaluations of one wavefunction with many seeds, to count how often their error bars contain the common mean."""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from energies import machine, table

SETTINGS: Mapping[str, Any] = MappingProxyType({
    "preset": "quick", "walkers": 64, "steps": 60, "seed": 0, "progress": False,
    "wavefunction": {"layers": 1, "hidden_one": 8, "hidden_two": 4, "n_determinants": 1},
    "pretrain": {"steps": 100}, "evaluate": {"max_steps": 20},
})
"""A network that is trained within a minute; its quality is irrelevant as long as it stays the same."""

_STEPS = 400
_SHARE = 0.8
"""The second kind of evaluation stops at the error bar after all steps divided by this number, and thus earlier."""

_TITLES = ("way", "evaluations", "trusted", "covered where trusted", "covered in all", "noise of that",
           "squared deviation / squared error bar", "mean steps", "mean tau", "mean error (mHa)", "scatter (mHa)")


def run_real(system: str, seeds: int, steps: int = _STEPS, seeds_to_error: int | None = None) -> dict[str, Any]:
    """Train `system` for a short time, then evaluate it with every seed, for fixed numbers of steps and to fixed error
    bars.

    Args:
        system: the name of a system.
        seeds: the number of seeds.
        seeds_to_error: the number of evaluations that end at an error bar, if it isn't the same.
        steps: the length of each evaluation, and the largest length of those that end at an error bar.

    Returns:
        {"system", "machine", "rows"}: for each way the estimates and the result of `coverage`.
    """
    import nnqmc
    from nnqmc.job import RunDirectory
    from nnqmc.job.build import build, stage_key, state_template
    from nnqmc.methods import evaluate, make_measurement

    with tempfile.TemporaryDirectory(prefix="nnqmc-real-") as place:
        nnqmc.solve(system, out=Path(place) / "run", **SETTINGS)
        directory = RunDirectory.open(Path(place) / "run")
        parts = build(directory.config)
        state = directory.load_state(partial(state_template, directory.config, parts))[0]
    chunk = directory.config["train"]["chunk_size"]
    measurement = make_measurement(parts.log_psi, parts.system, parts.hamiltonian, parts.sampler, chunk_size=chunk)

    def one(seed: int, target: float | None) -> dict[str, Any]:
        measured = evaluate(measurement, state.average, state.sampler, key=stage_key({"seed": seed}, "evaluate"),
                            target_error=target, max_steps=steps)
        return measured.energy.to_dict() | {"seed": seed, "steps": len(measured.series["energy"]),
                                            "trusted": measured.energy.trusted, "stuck": measured.stuck}

    rows, target = [], None
    ways = {"fixed number of steps": seeds, "until the error bar is small enough": seeds_to_error or seeds}
    for way, number in ways.items():
        started, found = time.monotonic(), []
        for seed in range(1, number + 1):
            found.append(one(seed, target))
            words = f"{found[-1]['value']:.6f} +- {found[-1]['error']:.6f}"
            print(f"{system}, {way}, seed {seed}: {words}", file=sys.stderr, flush=True)
        target = float(np.mean([each["error"] for each in found])) / _SHARE
        rows.append({"way": way, **coverage(found), "seconds": round(time.monotonic() - started, 1),
                     "estimates": found})
    return {"system": system, "machine": machine(), "settings": dict(SETTINGS), "rows": rows}


def coverage(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how often the error bars contain the common mean.

    The exact value is replaced by the mean over all evaluations with equal weights. Since an evaluation is part of this
    mean, its deviation from it is smaller than that from the exact value by the factor sqrt(1 - 1/n), and the error
    bars are reduced by the same factor.

    Args:
        found: value, error, tau, steps and trusted of each evaluation.
    """
    n = len(found)
    values, errors = (np.array([each[name] for each in found], np.float64) for name in ("value", "error"))
    shrink = math.sqrt(1.0 - 1.0 / n)
    deviations = np.abs(values - values.mean())
    one = deviations <= shrink * errors
    trusted = np.array([each["trusted"] for each in found])
    return {"n": n, "n_trusted": int(trusted.sum()), "covered_all": float(one.mean()),
            "covered_trusted": float(one[trusted].mean()) if trusted.any() else None,
            "noise": math.sqrt(0.6827 * 0.3173 / n), "chi2": float(np.mean((deviations / (shrink * errors)) ** 2)),
            "mean": float(values.mean()), "scatter": float(values.std(ddof=1)), "mean_error": float(errors.mean()),
            "mean_steps": float(np.mean([each["steps"] for each in found])),
            "mean_tau": float(np.mean([each["tau"] for each in found]))}


def report_real(results: dict[str, Any]) -> str:
    """Return the table as Markdown."""
    cells = [[row["way"], str(row["n"]), str(row["n_trusted"]),
              "" if row["covered_trusted"] is None else f"{row['covered_trusted']:.1%}", f"{row['covered_all']:.1%}",
              f"{row['noise']:.1%}", f"{row['chi2']:.2f}", f"{row['mean_steps']:.0f}", f"{row['mean_tau']:.1f}",
              f"{1e3 * row['mean_error']:.2f}", f"{1e3 * row['scatter']:.2f}"] for row in results["rows"]]
    return "\n\n".join([
        f"# Coverage of error bars on evaluations of {results['system']}",
        f"One wavefunction with frozen parameters, {results['settings']['walkers']} walkers, another seed for each "
        f"evaluation. Machine: {results['machine']}.",
        table(_TITLES, cells),
        "The truth is the mean over all evaluations, allowing for each being a part of it. 68.3 % should be covered, "
        "and the mean squared deviation in units of the squared error bar should be 1.",
    ]) + "\n"
