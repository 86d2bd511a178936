"""Test what runs say is left to gain: cut runs short, go on ten times as long, and compare.

    python benchmarks/left.py --systems He-triplet H- Be LiH N --out benchmarks/results/left

Each run is stopped and evaluated after 50, 100, 200 and 400 steps, and after ten times as many; nothing is chosen
afterwards. What the first evaluation said to be left is right if it differs from the energy that was gained later by at
most two standard errors of that difference. Finished runs are kept in the folder and not computed again.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nnqmc

CUTS = (50, 100, 200, 400)
LONGER = 10
SYSTEMS = {"He-triplet": {"name": "He", "spin": 2}, "H-": {"name": "H-"}, "Be": {"name": "Be"},
           "LiH": {"name": "LiH"}, "N": {"name": "N"}}


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is missing, print the table and write it; return 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=list(SYSTEMS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cuts", type=int, nargs="+", default=list(CUTS))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/left"))
    options = parser.parse_args(argv)
    rows = [row for name in options.systems
            for row in compared(measured(name, options.seed, options.cuts, options.out), options.cuts)]
    table = as_table(rows)
    print(table)
    (options.out / "left.md").write_text(table + "\n")
    return 0


def measured(name: str, seed: int, cuts: Sequence[int], out: Path) -> dict[str, Any]:
    """Return what was found after every number of steps, computing what the folder lacks."""
    out.mkdir(parents=True, exist_ok=True)
    path, directory = out / f"{name}-seed{seed}.json", out / "runs" / f"{name}-seed{seed}"
    found = json.loads(path.read_text()) if path.exists() else {"system": name, "seed": seed}
    settings = dict(SYSTEMS[name])
    for steps in sorted({*cuts, *(LONGER * cut for cut in cuts)}):
        if str(steps) in found:
            continue
        if directory.exists():
            result = nnqmc.resume(directory, steps=steps, progress=False)
        else:
            system = nnqmc.molecule(settings.pop("name"), **settings)
            result = nnqmc.solve(system, steps=steps, seed=seed, out=directory, progress=False)
        found[str(steps)] = {"energy": result.energy.value, "error": result.energy.error,
                             "left": result.left and result.left._asdict()}
        path.write_text(json.dumps(found, indent=1) + "\n")
    return found


def compared(found: dict[str, Any], cuts: Sequence[int]) -> list[dict[str, Any]]:
    """Return a row for each cut: what was said to be left and what was gained in mHa, and whether that agrees."""
    rows = []
    for cut in cuts:
        early, late = found[str(cut)], found[str(LONGER * cut)]
        gained = early["energy"] - late["energy"]
        row = {"system": found["system"], "seed": found["seed"], "steps": cut, "gained": 1e3 * gained,
               "gained error": 1e3 * math.hypot(early["error"], late["error"]), "said": None, "error": None,
               "held": None}
        if early["left"] is not None:
            said, error = early["left"]["value"], early["left"]["error"]
            held = abs(said - gained) <= 2.0 * math.hypot(error, early["error"], late["error"])
            row |= {"said": 1e3 * said, "error": 1e3 * error, "held": held}
        rows.append(row)
    return rows


def as_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows as a table in markdown, and how many statements held."""
    lines = ["| system | seed | steps | said to be left (mHa) | gained with ten times the steps (mHa) | held |",
             "| --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        said = "nothing" if row["said"] is None else f"{row['said']:.1f} +- {row['error']:.1f}"
        held = "" if row["held"] is None else ("yes" if row["held"] else "no")
        lines.append(f"| {row['system']} | {row['seed']} | {row['steps']} | {said} | "
                     f"{row['gained']:+.1f} +- {row['gained error']:.1f} | {held} |")
    counted = [row for row in rows if row["held"] is not None]
    return "\n".join([*lines, "", f"{sum(row['held'] for row in counted)} of {len(counted)} statements held."])


if __name__ == "__main__":
    raise SystemExit(main())
