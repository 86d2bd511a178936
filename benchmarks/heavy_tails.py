"""Measure how often error bars that are inflated for heavy tails contain the exact mean.

    python benchmarks/heavy_tails.py --out benchmarks/results/heavy_tails

Made-up series of 200 steps of 128 chains have the mean 0 and heavy tails: power laws, and a narrow peak with rare
visits elsewhere. The table says in which share of them heavy tails were found, which share of these can be a sample
of a power law, and how often the error bar of the latter contains the mean, without and with inflation; "smaller
half" counts only the half with the smaller error bars. It takes seconds and is written to heavy_tails.md.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from energies import table

from nnqmc.statistics import error_bars, estimate
from nnqmc.statistics.tails import tails_of

SHAPE = (200, 128)
_TITLES = ("series", "heavy tails", "power law", "not inflated", "smaller half", "inflated", "smaller half")


def main(argv: Sequence[str] | None = None) -> int:
    """Draw all series, print the table and write it; return 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=250, metavar="N", help="series of each kind (default: 250)")
    parser.add_argument("--out", metavar="DIR", help="where heavy_tails.md goes (default: nowhere)")
    options = parser.parse_args(argv)
    kinds = {f"power {power}": power_law(power) for power in (1.2, 1.5, 2.5)}
    kinds |= {f"{visits} visits on average": two_populations(visits) for visits in (5, 30)}
    text = table(_TITLES, [measured(name, draw, options.trials) for name, draw in kinds.items()])
    print(text)
    if options.out:
        Path(options.out).mkdir(parents=True, exist_ok=True)
        words = f"{options.trials} series of each kind, of {SHAPE[0]} steps of {SHAPE[1]} chains."
        (Path(options.out) / "heavy_tails.md").write_text(f"# Heavy tails\n\n{words}\n\n{text}\n", encoding="utf-8")
    return 0


def power_law(power: float) -> Callable[[np.random.Generator], np.ndarray]:
    """Return a function that draws a series whose samples have the mean 0 and the tail P(x > t) ~ t^-power."""
    return lambda rng: rng.pareto(power, SHAPE) - 1.0 / (power - 1.0)


def two_populations(visits: int) -> Callable[[np.random.Generator], np.ndarray]:
    """Return a function that draws a peak of width 0.001 and on average so many visits of mean size 1, tail t^-3."""
    share = visits / math.prod(SHAPE)

    def draw(rng: np.random.Generator) -> np.ndarray:
        return 1e-3 * rng.standard_normal(SHAPE) + (rng.random(SHAPE) < share) * 2.0 * rng.pareto(3.0, SHAPE) - share

    return draw


def measured(name: str, draw: Callable[[np.random.Generator], np.ndarray], trials: int) -> list[str]:
    """Return the row of one kind of series."""
    rng, heavy, kept = np.random.default_rng([3, *name.encode()]), 0, []
    for _ in range(trials):
        series = draw(rng)
        found = estimate(series)
        if any("heavy tails" in caveat for caveat in found.caveats):
            heavy += 1
            if tails_of(series - series.mean(), found.tau).is_bounded:
                kept.append((found.value, error_bars(series)["chains"].error, found.error))
    cells = [heavy / trials, len(kept) / max(heavy, 1)]
    value, plain, inflated = np.array(kept or [(1.0, 0.0, 0.0)]).T
    for error in (plain, inflated):
        held = np.abs(value) <= error
        cells += [held.mean(), held[error <= np.median(error)].mean()]
    return [name, *(f"{cell:.0%}" for cell in cells)]


if __name__ == "__main__":
    raise SystemExit(main())
