"""Solve molecules with stretched bonds, whose energies are known, with the default preset.

    python benchmarks/stretched.py --seeds 0 --out benchmarks/results/stretched
    python benchmarks/stretched.py --curve docs/h2-curve.png --out benchmarks/results/stretched

The first command solves six molecules near dissociation, the second one the hydrogen molecule at ten bond lengths and
draws the curve. Finished cases are kept in the folder and not computed again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

CLOSE_ENOUGH = 1.6  # mHa: chemical accuracy


class Case(NamedTuple):
    """A molecule: its geometry in bohr, charge, spin (up minus down electrons), and exact energy in hartree."""

    geometry: str
    exact: float
    charge: int = 0
    spin: int | None = None


SYSTEMS: Mapping[str, Case] = MappingProxyType({
    "H2, 6 bohr": Case("H 0 0 0; H 0 0 6", -1.000836),
    "H2, 10 bohr": Case("H 0 0 0; H 0 0 10", -1.000009),
    "H2 triplet, 10 bohr": Case("H 0 0 0; H 0 0 10", -1.000007, spin=2),
    "LiH, 12 bohr": Case("Li 0 0 0; H 0 0 12", -7.97806),
    "two He, 20 bohr": Case("He 0 0 0; He 0 0 20", -5.80745),
    "H2+, 10 bohr": Case("H 0 0 0; H 0 0 10", -0.50058, charge=1),
})
"""LiH and the helium atoms have the energies of the atoms, from which they differ by less than 0.01 mHa."""

HYDROGEN: Mapping[float, float] = MappingProxyType({
    0.8: -1.0200567, 1.1: -1.1500574, 1.4: -1.1744757, 2.0: -1.1381330, 3.0: -1.0573263, 4.0: -1.0163903,
    5.0: -1.0037857, 6.0: -1.0008357, 8.0: -1.0000556, 12.0: -1.0000026,
})
"""The Born-Oppenheimer energy of the ground state of H2 by its bond length.

Source: L. Wolniewicz, J. Chem. Phys. 99, 1851 (1993), doi:10.1063/1.465303; J. S. Sims, S. A. Hagstrom, J. Chem. Phys.
124, 094101 (2006), doi:10.1063/1.2173250.
"""

_TITLES = ("system", "seed", "E (Ha)", "exact (Ha)", "difference (mHa)", "trusted", "converged", "evaluation steps",
           "seconds", "on target")


def main(argv: Sequence[str] | None = None) -> int:
    """Solve all cases, print and write the table, and draw the curve if it is asked for; return 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], metavar="N", help="(default: 0)")
    parser.add_argument("--curve", metavar="FILE", help="draw H2's curve to this file, instead of the six molecules")
    parser.add_argument("--out", default="benchmarks/results/stretched", metavar="DIR", help="(default: %(default)s)")
    arguments = parser.parse_args(argv)
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    curve = {f"H2, {r:g} bohr": Case(f"H 0 0 0; H 0 0 {r:g}", exact) for r, exact in HYDROGEN.items()}
    records = []
    for name, case in (curve if arguments.curve else SYSTEMS).items():
        for seed in arguments.seeds:
            records.append(solved(name, case, seed, out))
            text = table(records)
            (out / ("curve.md" if arguments.curve else "stretched.md")).write_text(text, encoding="utf-8")
            print(text.splitlines()[-1], file=sys.stderr, flush=True)
    if arguments.curve:
        draw(records[:: len(arguments.seeds)], Path(arguments.curve))
    print(text)
    return 0


def solved(name: str, case: Case, seed: int, out: Path) -> dict[str, Any]:
    """Return the record of a case: name, seed, energy, error, exact, trusted, caveats, converged, steps, seconds."""
    file = out / f"{''.join(c if c.isalnum() or c in '+.' else '_' for c in name)}-seed{seed}.json"
    if file.exists():
        return json.loads(file.read_text(encoding="utf-8"))
    import nnqmc

    started = time.monotonic()
    molecule = nnqmc.molecule(case.geometry, unit="bohr", charge=case.charge, spin=case.spin)
    result = nnqmc.solve(molecule, seed=seed)
    energy, walkers = result.energy, result.settings["train"]["walkers"]
    record = {"name": name, "seed": seed, "energy": energy.value, "error": energy.error, "exact": case.exact,
              "trusted": result.trusted, "caveats": list(energy.caveats), "notes": list(result.notes),
              "converged": result.converged, "steps": energy.n_samples // walkers,
              "seconds": round(time.monotonic() - started)}
    file.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return record


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """Return the table as Markdown; on target means trusted and within 1.6 mHa of the exact energy."""
    rows = [_TITLES, ["---"] * len(_TITLES)]
    for record in records:
        difference, error = 1000.0 * (record["energy"] - record["exact"]), 1000.0 * record["error"]
        is_good = record["trusted"] and abs(difference) <= CLOSE_ENOUGH
        words = [{True: "yes", False: "no"}[flag] for flag in (record["trusted"], record["converged"], is_good)]
        rows.append([record["name"], str(record["seed"]), f"{record['energy']:.5f}", f"{record['exact']:.5f}",
                     f"{difference:+.2f} +- {error:.2f}", *words[:2], str(record["steps"]), str(record["seconds"]),
                     words[2]])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def draw(records: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the energy against the bond length, and below it the difference from the exact energy."""
    from matplotlib.figure import Figure
    from scipy.interpolate import PchipInterpolator

    lengths, exact = np.array(list(HYDROGEN)), np.array(list(HYDROGEN.values()))
    energies, errors = (np.array([record[name] for record in records]) for name in ("energy", "error"))
    trusted = np.array([record["trusted"] for record in records])
    figure = Figure(figsize=(7.0, 5.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    grid = np.linspace(lengths[0], lengths[-1], 400)
    upper.plot(grid, PchipInterpolator(lengths, exact)(grid), color="#8a8f98", linewidth=1.5, label="exact")
    upper.plot(lengths[trusted], energies[trusted], "o", color="#1f5fa8", label="nnqmc, default preset")
    if not trusted.all():
        upper.plot(lengths[~trusted], energies[~trusted], "o", color="#c0392b", fillstyle="none", label="not trusted")
    upper.set_ylabel("energy (hartree)")
    upper.legend(frameon=False)
    lower.axhspan(-CLOSE_ENOUGH, CLOSE_ENOUGH, color="#4c9a5b", alpha=0.15, linewidth=0)
    lower.axhline(0.0, color="#8a8f98", linewidth=1.0)
    lower.errorbar(lengths, 1000.0 * (energies - exact), 1000.0 * errors, fmt="o", color="#1f5fa8", capsize=3)
    lower.text(lengths[-1], 1.05 * CLOSE_ENOUGH, "chemical accuracy", ha="right", va="bottom", color="#4c9a5b")
    lower.set(xlabel="bond length (bohr)", ylabel="difference (mHa)", ylim=(-2.4, 2.4))
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    sys.exit(main())
