"""Tables on stdout."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


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
