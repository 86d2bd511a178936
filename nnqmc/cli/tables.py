"""Tables and summaries: plain text where nobody is watching, rich in a terminal."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nnqmc.job.progress import duration

if TYPE_CHECKING:
    from nnqmc.job import Result, RunDirectory
    from nnqmc.statistics import Estimate

_FRACTIONS = MappingProxyType({"stuck": "stuck walkers", "excluded": "excluded samples"})


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Print a table on stdout.

    Args:
        titles: of the columns.
        rows: their cells.
        right: numbers of the columns that are aligned to the right.
    """
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(header_style="bold")
        for number, title in enumerate(titles):
            table.add_column(title, justify="right" if number in right else "left")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        Console().print(table)
        return
    widths = [max(len(cell) for cell in column) for column in zip(titles, *rows, strict=True)]
    for row in (titles, *rows):
        cells = (cell.rjust(width) if number in right else cell.ljust(width)
                 for number, (cell, width) in enumerate(zip(row, widths, strict=True)))
        print("  ".join(cells).rstrip())


def markdown_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The table as Markdown text."""
    lines = ["| " + " | ".join(row) + " |" for row in (titles, ["---"] * len(titles), *rows)]
    return "\n".join(lines) + "\n"


def list_systems() -> None:
    """Print the named systems and their references."""
    from nnqmc.system import entries
    from nnqmc.system.elements import nuclear_charge

    rows = []
    for entry in entries():
        known = entry.reference
        electrons = sum(nuclear_charge(symbol) for symbol in entry.symbols) - entry.charge
        rows.append((entry.name, ", ".join(entry.aliases), str(electrons), f"{known.energy:.10g}", known.kind,
                     known.source))
    print_table(("name", "also", "electrons", "reference (Ha)", "kind", "source"), rows, right=(2, 3))


def print_settings(config: dict[str, Any]) -> None:
    """Print what a configuration chooses, section by section, in the words of --set."""
    print(f"\n  settings of the preset {config['preset']} (change any with --set)\n")
    for section, values in config.items():
        if isinstance(values, dict) and section != "system":
            for key, value in values.items():
                print(f"  {section + '.' + key:<32} {'none' if value is None else _shown(value)}")


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _tails(energy: Estimate) -> str:
    """How heavy the tails of the local energies are; a mean needs a power above 2 and no block that outweighs all."""
    index, share = energy.tail_index, energy.largest_share
    power = "too few samples to tell" if math.isnan(index) else f"fall off with the power {index:.2g}"
    return power + ("" if math.isnan(share) else f", largest block {share:.1%} of the squared error")


def print_summary(directory: RunDirectory, result: Result | None) -> None:
    """Print what `nnqmc report` knows of a run."""
    config = directory.config
    if result is None:
        newest = directory.newest()
        at = f"newest checkpoint {newest.name}" if newest else "no checkpoint yet"
        print(f"{config['system']['name']}   no result yet: {at}, {config['train']['steps']} steps planned; "
              f"`nnqmc resume {directory.path}` completes it")
        return
    print(result)
    energy = result.energy
    print()
    rows = [
        ("error bar", f"{1e3 * energy.error:.3g} mHa from {energy.n_samples} samples"),
        ("variance", f"{energy.variance:.4g} Ha^2"),
        ("autocorrelation time", f"{energy.tau:.3g} steps"),
        ("R-hat", f"{energy.r_hat:.4f}"),
        ("tails", _tails(energy)),
        *((_FRACTIONS.get(name, name), f"{value:.2%}") for name, value in result.fractions.items()),
        *((name.replace("_", " "), f"{value} Ha") for name, value in result.terms.items()),
        *((name, str(value)) for name, value in result.observables.items()),
        ("training steps", f"{result.steps} of {result.planned_steps}"),
        ("converged", "yes" if result.converged else "no"),
        ("time", ", ".join(f"{name} {duration(value)}" for name, value in result.seconds.items())),
        *_performance(result),
        ("preset, seed", f"{config['preset']}, {config['seed']}"),
        ("versions", ", ".join(f"{name} {value}" for name, value in result.versions.items())),
        ("figures", f"{directory.path / 'energy.png'}, {directory.path / 'blocking.png'}"),
    ]
    if result.reference is not None:
        rows.insert(0, ("reference", f"{result.reference['kind']}: {result.reference['source']}"))
    for name, value in rows:
        print(f"  {name:<22} {value}")


def _performance(result: Result) -> list[tuple[str, str]]:
    """Throughput, and the estimate beside what it came to."""
    from nnqmc.cost.throughput import comparison, throughput_text

    compared = comparison(result.performance, result.seconds.get("total", 0.0), result.energy.error)
    found = (("throughput", throughput_text(result.performance)), ("estimated before", compared))
    return [(name, text) for name, text in found if text]


def print_estimate(config: dict[str, Any]) -> None:
    """Print what a run would take; that there is no estimate is no error."""
    from nnqmc.cost.forecast import foresee
    from nnqmc.job.build import build

    print("\n  estimate for this machine, from the arithmetic of a training step and the speed of matrix products\n",
          flush=True)
    try:
        rows = foresee(config, build(config)).rows()
    except Exception as error:  # what was asked for is shown already
        rows = [("none", f"{type(error).__name__}: {error}")]
    for name, text in rows:
        print(f"  {name:<22} {text}")
