"""`nnqmc bench`: benchmark systems one after the other, as a table against their references."""

from __future__ import annotations

import json
import sys
import traceback
from argparse import Namespace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from nnqmc.cli.cache import enable_compilation_cache
from nnqmc.cli.tables import markdown_table, print_table
from nnqmc.errors import InputError, Interrupted, NnqmcError
from nnqmc.parallel.threads import choose_threads

if TYPE_CHECKING:
    from nnqmc.config import Config
    from nnqmc.job import Result, RunDirectory

_LAST = MappingProxyType({"atoms": "Be", "molecules": "LiH"})
_TITLES = ("system", "seed", "E (Ha)", "reference", "difference (mHa)", "variance", "time (s)", "trusted")


class Case(NamedTuple):
    """One run of the benchmark."""

    name: str
    seed: int
    directory: Path
    config: Config


def bench(arguments: Namespace) -> int:
    """Run all cases, print the table and write it as bench.md and bench.json; 1 if a case failed."""
    seeds = _seeds(arguments.seeds)
    out = Path(arguments.out) if arguments.out is not None else Path("runs") / f"bench-{arguments.kind}"
    cases = [_case(name, seed, out, arguments) for name in _names(arguments.kind, arguments.last) for seed in seeds]
    choose_threads()
    enable_compilation_cache(not arguments.no_cache)
    for case in cases:
        _check(case)
    _make(out)
    rows: list[dict[str, Any]] = []
    for number, case in enumerate(cases, start=1):
        print(f"{case.name}, seed {case.seed} ({number} of {len(cases)})", file=sys.stderr, flush=True)
        rows.append(_row(case, is_quiet=arguments.quiet))
        _write(out, rows)
    print_table(_TITLES, [_cells(row) for row in rows], right=(1, 2, 3, 4, 5, 6))
    failed = [row for row in rows if row["failure"]]
    for row in failed:
        print(f"nnqmc: {row['system']}, seed {row['seed']} failed: {row['failure']}", file=sys.stderr)
    print(f"table {out / 'bench.md'}, numbers {out / 'bench.json'}", file=sys.stderr, flush=True)
    return 1 if failed else 0


def _seeds(text: str) -> list[int]:
    try:
        seeds = [int(word) for word in text.split(",")]
    except ValueError as error:
        raise InputError(f"--seeds {text!r:.60}: give whole numbers with commas between, such as 0,1,2") from error
    if len(set(seeds)) < len(seeds):
        raise InputError(f"--seeds {text!r:.60}: every seed once")
    return seeds


def _names(kind: str, last: str | None) -> list[str]:
    """Neutral atoms or molecules with a reference, in the order of electrons, up to `last`."""
    from nnqmc.config.schema import unknown
    from nnqmc.system import entries, molecule

    chosen = [entry for entry in entries() if (len(entry.symbols) == 1) == (kind == "atoms") and entry.charge == 0]
    electrons = {entry.name: molecule(entry.name).n_electrons for entry in chosen}
    names = sorted(electrons, key=electrons.__getitem__)
    wanted = (last or _LAST[kind]).casefold()
    for entry in chosen:
        if wanted in (name.casefold() for name in (entry.name, *entry.aliases)):
            return names[: names.index(entry.name) + 1]
    raise unknown(f"--max for {kind}", str(last), names)


def _case(name: str, seed: int, out: Path, arguments: Namespace) -> Case:
    from nnqmc.config import Layer, parse_assignment, resolve
    from nnqmc.job import default_directory
    from nnqmc.system import molecule

    flags = {"seed": seed} | ({} if arguments.preset is None else {"preset": arguments.preset})
    layers = [Layer("command line", flags), *(Layer("--set", parse_assignment(text)) for text in arguments.assignments)]
    directory = out / f"{default_directory(name).name}-seed{seed}"
    return Case(name, seed, directory, resolve(molecule(name), layers))


def _check(case: Case) -> None:
    """Refuse settings that can't be, and a directory with a run of other settings, before anything is computed."""
    from nnqmc.job import RunDirectory
    from nnqmc.job.build import build

    build(case.config)
    if (case.directory / "config.toml").exists():
        found = RunDirectory.open(case.directory)
        if _settings(found) != _settings(RunDirectory(case.directory, case.config)):
            raise InputError(f"{case.directory} holds a run with other settings: give another --out")


def _settings(directory: RunDirectory) -> tuple[Any, ...]:
    """What the numbers of a run depend on."""
    return directory.digest, directory.config["evaluate"], directory.config["train"]["walkers"]


def _make(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out} can't be the directory of all runs: {error.strerror}. Give another --out") from error


def _row(case: Case, is_quiet: bool) -> dict[str, Any]:
    """One line of the table; a failure becomes part of it."""
    import jax

    row: dict[str, Any] = {"system": case.name, "seed": case.seed, "preset": case.config["preset"], "failure": ""}
    try:
        result = _solve(case, is_quiet)
    except Interrupted:
        raise
    except NnqmcError as error:
        return row | {"failure": str(error)}
    except Exception as error:  # one broken case must not cost the others
        traceback.print_exception(error)
        return row | {"failure": f"{type(error).__name__}: {error}"}
    finally:
        jax.clear_caches()
    print(result, file=sys.stderr, flush=True)
    plain = result.to_dict()
    names = ("energy", "error", "difference", "difference_error", "variance", "tau", "r_hat", "steps", "trusted",
             "converged", "caveats", "notes", "seconds", "versions")
    known = {} if result.reference is None else {"reference": result.reference["energy"]}
    return row | {name: plain[name] for name in names} | known | {"walkers": case.config["train"]["walkers"]}


def _solve(case: Case, is_quiet: bool) -> Result:
    """Run, go on with what was begun, or take what is there."""
    from nnqmc.job import resume, run

    has_run = (case.directory / "config.toml").exists()
    if has_run:
        return resume(case.directory, steps=case.config["train"]["steps"], progress=not is_quiet)
    return run(case.config, case.directory, progress=not is_quiet)


def _cells(row: dict[str, Any]) -> list[str]:
    from nnqmc.job.result import signed
    from nnqmc.statistics import format_with_error

    if row["failure"]:
        return [row["system"], str(row["seed"]), "failed", "", "", "", "", "no"]
    nan = float("nan")
    energy = format_with_error(row["energy"], nan if row["error"] is None else row["error"])
    difference = "" if row["difference"] is None else signed(row["difference"], row["difference_error"] or nan)
    reference = f"{row['reference']:.10g}" if "reference" in row else "none"
    return [row["system"], str(row["seed"]), energy, reference, difference, f"{row['variance']:.3g}",
            f"{row['seconds'].get('total', nan):.0f}", "yes" if row["trusted"] else "no"]


def _write(out: Path, rows: list[dict[str, Any]]) -> None:
    """The table so far, after every case."""
    from nnqmc.io import atomic_write

    with atomic_write(out / "bench.md") as temporary:
        temporary.write_text(markdown_table(_TITLES, [_cells(row) for row in rows]), encoding="utf-8")
    with atomic_write(out / "bench.json") as temporary:
        temporary.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
