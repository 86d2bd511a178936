"""Measure the effect of single settings with the same systems, seeds and steps.

    python benchmarks/settings.py LiH Be --seeds 10 11 --steps 300 --out benchmarks/results/settings

The seeds are not those of reported results, and the systems are those on which presets may be tuned. Each run is a
separate process; finished runs are not repeated.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from energies import machine, measure, table

CHANGES: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "preset": (),
    "pretrain-500": ("pretrain.steps=500",),
    "rate-0.05": ("optimizer.learning_rate=0.05",),
    "momentum-0.95": ("optimizer.momentum=0.95",),
    "sweeps-4": ("sampler.sweeps=4",),
    "damping-1e-4": ("optimizer.damping=1e-4",),
    "norm-0.1": ("optimizer.max_norm=0.1",),
    "average-50": ("method.average_window=50",),
})
"""The changes to the preset by name, and the settings that make them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run all changes, print the table and write it; return 1 if a run failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="+", metavar="SYSTEM", help="as for `nnqmc run`")
    parser.add_argument("--seeds", nargs="+", type=int, default=[10, 11], metavar="N", help="(default: 10 11)")
    parser.add_argument("--steps", type=int, default=300, metavar="N", help="of training (default: %(default)s)")
    parser.add_argument("--changes", nargs="+", choices=list(CHANGES), default=list(CHANGES), metavar="NAME",
                        help=f"of {', '.join(CHANGES)} (default: all)")
    parser.add_argument("--out", default="benchmarks/results/settings", metavar="DIR", help="(default: %(default)s)")
    arguments = parser.parse_args(argv)
    records: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for seed in arguments.seeds:  # one after the other, so that a slower hour is the same for all changes
        for change in arguments.changes:
            for system in arguments.systems:
                folder = Path(arguments.out) / "runs" / change
                folder.mkdir(parents=True, exist_ok=True)
                words = ["--steps", str(arguments.steps), "--target-error", "2.5e-4"]
                words += ["--set", *CHANGES[change]] if CHANGES[change] else []
                records.setdefault((change, system), []).append(measure(system, seed, words, folder))
                text = report(records, arguments.steps)
                (Path(arguments.out) / "settings.md").write_text(text, encoding="utf-8")
    print(text)
    return 1 if any(record["failure"] for found in records.values() for record in found) else 0


def report(records: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]], steps: int) -> str:
    """Return the table as Markdown, with one row for each change and system."""
    rows = []
    for (change, system), found in records.items():
        results = [None if record["failure"] else record["result"] for record in found]
        good = [result for result in results if result]
        rows.append([change, system,
                     ", ".join(f"{1e3 * r['difference']:+.2f} ({1e3 * r['error']:.2f})" if r else "failed"
                               for r in results),
                     f"{sum(1e3 * r['difference'] for r in good) / len(good):+.2f}" if good else "",
                     ", ".join(f"{r['variance']:.4f}" for r in good),
                     ", ".join(f"{record['wall_seconds']:.0f}" for record in found)])
    titles = ("change", "system", "difference (error) of each seed (mHa)", "mean (mHa)", "variance (Ha^2)", "wall (s)")
    return (f"# One setting at a time\n\n{machine()}. {steps} steps of training, otherwise the preset `standard`.\n\n"
            f"{table(titles, rows)}\n")


if __name__ == "__main__":
    sys.exit(main())
