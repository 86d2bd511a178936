"""Tables and summaries on stdout."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nnqmc.messages import duration

if TYPE_CHECKING:
    from nnqmc.job import Result, RunDirectory
    from nnqmc.statistics import Estimate

_FRACTIONS = MappingProxyType({"stuck": "stuck walkers", "excluded": "excluded samples"})


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Print a table on stdout, whose columns with the numbers `right` are aligned to the right."""
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    for row in (titles, *rows):
        cells = (cell.rjust(width) if number in right else cell.ljust(width)
                 for number, (cell, width) in enumerate(zip(row, widths, strict=True)))
        print("  ".join(cells).rstrip())


def _print_pairs(pairs: Iterable[tuple[str, str]], width: int = 22) -> None:
    """Print names and texts in two columns, without those pairs that have no text."""
    for name, text in pairs:
        if text:
            print(f"  {name:<{width}} {text}")


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
    sections = {name: values for name, values in config.items() if isinstance(values, dict) and name != "system"}
    _print_pairs(((f"{section}.{key}", _setting(value)) for section, values in sections.items()
                  for key, value in values.items()), width=32)


def _setting(value: Any) -> str:
    """Return the value of a setting as --set takes it."""
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _tails(energy: Estimate) -> str:
    """Return in words how heavy the tails of the local energies are; a mean needs a power above 2."""
    index, share = energy.tail_index, energy.largest_share
    power = "too few samples to tell" if math.isnan(index) else f"fall off with the power {index:.2g}"
    return power + ("" if math.isnan(share) else f", largest block {share:.1%} of the squared error")


def print_summary(directory: RunDirectory, result: Result | None) -> None:
    """Print what `nnqmc report` knows of a run."""
    from nnqmc.cost.throughput import speed_text
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
    _print_pairs((
        ("reference", "" if known is None else f"{known['kind']}: {known['source']}"),
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
        ("throughput", speed_text(result.performance)),
        ("preset, seed", f"{config['preset']}, {config['seed']}"),
        ("versions", ", ".join(f"{name} {value}" for name, value in result.versions.items())),
        ("figures", f"{directory.path / 'energy.png'}, {directory.path / 'blocking.png'}"),
    ))


def print_estimate(config: dict[str, Any]) -> None:
    """Print what a run would take; that there is no estimate is no error."""
    from nnqmc.job.build import build, forecast_run

    print("\n  estimate for this machine, from the arithmetic of a training step and the speed of matrix products\n",
          flush=True)
    try:
        _print_pairs(forecast_run(config, build(config)).rows())
    except Exception as error:  # what was asked for is shown already
        _print_pairs([("none", f"{type(error).__name__}: {error}")])
