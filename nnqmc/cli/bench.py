"""`nnqmc bench`: benchmark systems one after the other, as a table of their energies beside the references."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nnqmc.cli.cache import enable_compilation_cache
from nnqmc.cli.program import explain
from nnqmc.cli.tables import print_table
from nnqmc.errors import InputError, Interrupted
from nnqmc.messages import say
from nnqmc.parallel.threads import choose_threads

if TYPE_CHECKING:
    from nnqmc.config import Config
    from nnqmc.job import Result

_LAST = MappingProxyType({"atoms": "Be", "molecules": "LiH"})
_TITLES = ("system", "seed", "E (Ha)", "reference", "difference (mHa)", "variance", "time (s)", "trusted")


def bench(arguments: Namespace) -> int:
    """Run all systems, print the table and write it as bench.md and bench.json; return 1 if one of them failed."""
    choose_threads()
    enable_compilation_cache(not arguments.no_cache)
    out = Path(arguments.out or f"runs/bench-{arguments.kind}")
    planned = [_plan(name, seed, out, arguments) for name in _names(arguments.kind, arguments.last)
               for seed in _seeds(arguments.seeds)]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out} can't be the directory of all runs: {error.strerror}. Give another --out") from error
    rows: list[list[str]] = []
    results: list[dict[str, Any]] = []
    for number, (directory, config) in enumerate(planned, start=1):
        name, seed = config["system"]["name"], config["seed"]
        say(f"{name}, seed {seed} ({number} of {len(planned)})")
        outcome = _outcome(directory, config, progress=not arguments.quiet)
        failure, plain = (outcome, {}) if isinstance(outcome, str) else ("", outcome.to_dict())
        rows.append([name, str(seed), *_cells(outcome)])
        results.append(plain | {"system": name, "seed": seed, "failure": failure})
        _write(out, rows, results)
    print_table(_TITLES, rows, right=(1, 2, 3, 4, 5, 6))
    say(f"table {out / 'bench.md'}, numbers {out / 'bench.json'}")
    return 1 if any(result["failure"] for result in results) else 0


def _seeds(text: str) -> list[int]:
    """Return the seeds that --seeds names, each of them once."""
    words = [word.strip() for word in text.split(",")]
    if len(set(words)) < len(words) or not all(word.isdecimal() for word in words):
        raise InputError(f"--seeds {text!r:.60}: give different whole numbers with commas between, such as 0,1,2")
    return [int(word) for word in words]


def _names(kind: str, last: str | None) -> list[str]:
    """Return the neutral atoms or molecules that have a reference, in the order of electrons, up to `last`."""
    from nnqmc.config.schema import unknown
    from nnqmc.system import entries, molecule

    chosen = [entry for entry in entries() if (len(entry.symbols) == 1) == (kind == "atoms") and entry.charge == 0]
    chosen.sort(key=lambda entry: molecule(entry.name).n_electrons)
    wanted = (last or _LAST[kind]).casefold()
    for number, entry in enumerate(chosen, start=1):
        if wanted in (name.casefold() for name in (entry.name, *entry.aliases)):
            return [entry.name for entry in chosen[:number]]
    raise unknown(f"--max for {kind}", str(last), [entry.name for entry in chosen])


def _plan(name: str, seed: int, out: Path, arguments: Namespace) -> tuple[Path, Config]:
    """Return the directory and the configuration of a run, unless they are impossible or don't belong together."""
    from nnqmc.config import Layer, parse_assignment, resolve
    from nnqmc.job import RunDirectory, default_directory
    from nnqmc.job.build import build
    from nnqmc.system import molecule

    flags = {"seed": seed} | ({} if arguments.preset is None else {"preset": arguments.preset})
    layers = [Layer("command line", flags), *(Layer("--set", parse_assignment(text)) for text in arguments.assignments)]
    config = resolve(molecule(name), layers)
    build(config)
    directory = out / f"{default_directory(name).name}-seed{seed}"
    if (directory / "config.toml").exists():
        found = RunDirectory.open(directory).config
        if found | {"train": found["train"] | {"steps": config["train"]["steps"]}} != config:
            raise InputError(f"{directory} holds a run with other settings: give another --out")
    return directory, config


def _outcome(directory: Path, config: Config, progress: bool) -> Result | str:
    """Run a system, complete its run or take what is there; a failure is returned in words, so that others go on."""
    import jax

    from nnqmc.job import resume, run

    try:
        if (directory / "config.toml").exists():
            result = resume(directory, steps=config["train"]["steps"], progress=progress)
        else:
            result = run(config, directory, progress=progress)
    except Interrupted:
        raise
    except Exception as error:
        explain(error)
        return f"{type(error).__name__}: {error}"
    finally:
        jax.clear_caches()
    say(str(result))
    return result


def _cells(outcome: Result | str) -> list[str]:
    """Return the cells of the table behind the system and the seed."""
    from nnqmc.job.result import signed

    if isinstance(outcome, str):
        return ["failed", "", "", "", "", "no"]
    compared = ["none", ""] if outcome.reference is None else [
        f"{outcome.reference['energy']:.10g}", signed(outcome.difference, outcome.difference_error)]
    return [str(outcome.energy), *compared, f"{outcome.energy.variance:.3g}",
            f"{outcome.seconds.get('total', float('nan')):.0f}", "yes" if outcome.trusted else "no"]


def _write(out: Path, rows: list[list[str]], results: list[dict[str, Any]]) -> None:
    """Write the table so far as Markdown, and all results as JSON."""
    from nnqmc.io import atomic_write

    lines = [f"| {' | '.join(row)} |" for row in (_TITLES, ["---"] * len(_TITLES), *rows)]
    for name, text in (("bench.md", "\n".join(lines)), ("bench.json", json.dumps(results, indent=2))):
        with atomic_write(out / name) as temporary:
            temporary.write_text(f"{text}\n", encoding="utf-8")
