"""From the words of the command line to what is shown of runs."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nnqmc.errors import InputError
from nnqmc.io import list_checkpoints, read_key, write_file
from nnqmc.job import RunDirectory
from nnqmc.job import report as read_and_draw
from nnqmc.report import facts

if TYPE_CHECKING:
    from nnqmc.report.documents import Run

_DONE = 0


def show(arguments: Namespace) -> int:
    """Do what `nnqmc report` or `nnqmc watch` says, and return the exit code."""
    if arguments.command == "watch":
        from nnqmc.report.live import watch

        watch(arguments.directory, once=arguments.once, every=arguments.every, key_file=arguments.key_file)
        return _DONE
    report(arguments.directories, html=arguments.html, key_file=arguments.key_file)
    return _DONE


def report(directories: Sequence[str | Path], *, html: str | None = None, key_file: str | Path | None = None) -> None:
    """Print the summary of a run, or a table of several, and write a page if one is wanted.

    Args:
        directories: of the runs.
        html: the file of the page; "" for report.html in the directory of one run, or in the working directory for
            several; None for no page.
        key_file: file with the key that the runs are signed with.

    Raises:
        InputError: there is no run, or `html` isn't the name of a page.
        CheckpointError: files are damaged, or the page can't be written.
    """
    from nnqmc.report.documents import Run, default_path, of_one, of_several

    if html and Path(html).suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--html {html!r:.80}: a page is called FILE.html; write the directories before --html")
    if len(directories) == 1:
        runs = [Run(*read_and_draw(directories[0], key_file=key_file))]
    else:
        opened = [RunDirectory.open(path, read_key(key_file)) for path in directories]
        runs = [Run(each, each.load_result()) for each in opened]
    is_one = len(runs) == 1
    path = None if html is None else Path(html) if html else default_path(runs)
    if path is not None:
        write_file(path, (of_one(runs[0]) if is_one else of_several(runs)).encode("utf-8"))
    if is_one:
        print_summary(runs[0])
    else:
        print_comparison(runs)
    if path is not None:
        print(f"\npage {path}")


def print_summary(run: Run) -> None:
    """Print what there is to say of a run."""
    directory, result, config = run.directory, run.result, run.directory.config
    if result is None:
        newest = next(reversed(list_checkpoints(directory.path)), None)
        at = f"newest checkpoint {newest.name}" if newest else "no checkpoint yet"
        print(f"{config['system']['name']}   no result yet: {at}, {config['train']['steps']} steps planned; "
              f"`nnqmc resume {directory.path}` completes it")
        return
    stages = ", ".join(f"{name} {text}" for name, text in facts.times(result)[: len(result.seconds)])
    print(f"{result}\n")
    for name, text in (
        *facts.numbers(result), ("time", stages), *facts.times(result)[len(result.seconds):][:2],
        ("preset, seed", f"{config['preset']}, {config['seed']}"),
        ("versions", ", ".join(f"{name} {value}" for name, value in result.versions.items())),
        ("figures", f"{directory.path / 'energy.png'}, {directory.path / 'blocking.png'}"),
    ):
        if text:
            print(f"  {name:<22} {text}")


def print_comparison(runs: Sequence[Run]) -> None:
    """Print a table of several runs, and the settings in which they differ."""
    from nnqmc.report.documents import comparison

    titles, rows = comparison(runs)
    _print_table(titles, rows)
    differing = facts.differing_settings([run.directory.config for run in runs])
    print(f"\nsettings that differ: {'none' if not differing else ''}".rstrip())
    if differing:
        _print_table(("setting", *(row[0] for row in rows)), differing)


def _print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table that is turned or folded to the width of a terminal, and as wide as it needs to be elsewhere."""
    import sys

    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from nnqmc.messages import printable

    is_terminal = sys.stdout.isatty()
    console = Console(file=sys.stdout, width=None if is_terminal else 1000, highlight=False, no_color=not is_terminal,
                      emoji=False, markup=False)
    every = [tuple(titles), *(tuple(row) for row in rows)]
    if _printed_width(every) > console.width >= _printed_width(turned := list(zip(*every, strict=True))):
        every = turned  # a row for each quantity, since folded numbers can be misread
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in every[0]:
        table.add_column(Text(printable(title)), overflow="fold")
    for row in every[1:]:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console.print(table)


def _printed_width(table: Sequence[Sequence[str]]) -> int:
    """Return the number of characters in a line of a table."""
    return sum(max(map(len, column)) + 2 for column in zip(*table, strict=True))
