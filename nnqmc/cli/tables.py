"""Tables and summaries on stdout."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from nnqmc.messages import duration

if TYPE_CHECKING:
    from nnqmc.job import Result, RunDirectory
    from nnqmc.statistics import Estimate


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Print a table on stdout, whose columns with the numbers `right` are aligned to the right."""
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    for row in (titles, *rows):
        cells = (cell.rjust(width) if number in right else cell.ljust(width)
                 for number, (cell, width) in enumerate(zip(row, widths, strict=True)))
        print("  ".join(cells).rstrip())


def print_pairs(pairs: Iterable[tuple[str, str]], width: int = 22) -> None:
    """Print names and texts in two columns, without those pairs that have no text."""
    for name, text in pairs:
        if text:
            print(f"  {name:<{width}} {text}")


def _tails(energy: Estimate) -> str:
    """Return in words how heavy the tails of the local energies are; a mean needs a power above 2."""
    index, share = energy.tail_index, energy.largest_share
    power = "too few samples to tell" if math.isnan(index) else f"fall off with the power {index:.2g}"
    return power + ("" if math.isnan(share) else f", largest block {share:.1%} of the squared error")


def print_summary(directory: RunDirectory, result: Result | None) -> None:
    """Print what `nnqmc report` knows of a run."""
    from nnqmc.cost.forecast import speed_text
    from nnqmc.io import list_checkpoints

    config = directory.config
    if result is None:
        newest = next(reversed(list_checkpoints(directory.path)), None)
        at = f"newest checkpoint {newest.name}" if newest else "no checkpoint yet"
        print(f"{config['system']['name']}   no result yet: {at}, {config['train']['steps']} steps planned; "
              f"`nnqmc resume {directory.path}` completes it")
        return
    energy, known = result.energy, result.reference
    print(f"{result}\n")
    print_pairs((
        ("reference", "" if known is None else f"{known['kind']}: {known['source']}"),
        ("error bar", f"{1e3 * energy.error:.3g} mHa from {energy.n_samples} samples"),
        ("variance", f"{energy.variance:.4g} Ha^2"),
        ("autocorrelation time", f"{energy.tau:.3g} steps"),
        ("R-hat", f"{energy.r_hat:.4f}"),
        ("tails", _tails(energy)),
        *((name.replace("_", " "), f"{value:.2%}") for name, value in result.fractions.items()),
        *((name.replace("_", " "), f"{value} Ha") for name, value in result.terms.items()),
        *((name, str(value)) for name, value in result.observables.items()),
        ("training steps", f"{result.steps} of {result.planned_steps}"),
        ("converged", "yes" if result.converged else "no"),
        ("time", ", ".join(f"{name} {duration(value)}" for name, value in result.seconds.items())),
        ("throughput", speed_text(result.performance)),
        ("preset, seed", f"{config['preset']}, {config['seed']}"),
        ("versions", ", ".join(f"{name} {value}" for name, value in result.versions.items())),
        ("figures", f"{directory.path / 'energy.png'}, {directory.path / 'blocking.png'}"),
    ))
