"""`nnqmc bench`: benchmark systems one after the other, as a table of their energies beside the references."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from nnqmc.cli.devices import on_devices
from nnqmc.cli.outcome import explain
from nnqmc.cli.tables import print_table
from nnqmc.errors import InputError, unknown
from nnqmc.messages import say
from nnqmc.statistics import signed_millihartree
from nnqmc.system import entries, molecule

_FAILED = ("failed", "", "", "", "", "no")
_TITLES = ("system", "seed", "E (Ha)", "reference", "difference (mHa)", "variance", "time (s)", "trusted")


@on_devices
def bench(arguments: Namespace) -> int:
    """Run all systems, print the table and keep it as bench.md after each of them; return 1 if one failed."""
    from nnqmc.io import atomic_write

    out = Path(arguments.out or f"runs/bench-{arguments.kind}")
    planned = [_plan(name, seed, out, arguments) for name in _names(arguments.kind, arguments.last)
               for seed in _seeds(arguments.seeds)]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out} can't be the directory of all runs: {error.strerror}. Give another --out") from error
    rows: list[tuple[str, ...]] = []
    for number, (directory, config) in enumerate(planned, start=1):
        start = config["system"]["name"], str(config["seed"])
        say(f"{start[0]}, seed {start[1]} ({number} of {len(planned)})")
        rows.append(start + _cells(directory, config, arguments.progress))
        with atomic_write(out / "bench.md") as temporary:
            lines = [f"| {' | '.join(row)} |\n" for row in (_TITLES, ["---"] * len(_TITLES), *rows)]
            temporary.write_text("".join(lines), encoding="utf-8")
    print_table(_TITLES, rows, right=(1, 2, 3, 4, 5, 6))
    say(f"this table is {out / 'bench.md'}; all numbers of a run are in the result.json of its directory in {out}")
    return 1 if any(row[2:] == _FAILED for row in rows) else 0


def _seeds(text: str) -> list[int]:
    """Return the seeds that --seeds names, each of them once."""
    words = [word.strip() for word in text.split(",")]
    if len(set(words)) < len(words) or not all(word.isdecimal() for word in words):
        raise InputError(f"--seeds {text!r:.60}: give different whole numbers with commas between, such as 0,1,2")
    return [int(word) for word in words]


def _names(kind: str, last: str | None) -> list[str]:
    """Return the neutral atoms or molecules that have a reference, in the order of electrons, up to `last`."""
    chosen = [entry for entry in entries() if (len(entry.symbols) == 1) == (kind == "atoms") and entry.charge == 0]
    chosen.sort(key=lambda entry: molecule(entry.name).n_electrons)
    wanted = (last or {"atoms": "Be", "molecules": "LiH"}[kind]).casefold()
    for number, entry in enumerate(chosen, start=1):
        if wanted in (name.casefold() for name in (entry.name, *entry.aliases)):
            return [entry.name for entry in chosen[:number]]
    raise unknown(f"--max for {kind}", str(last), [entry.name for entry in chosen])


def _plan(name: str, seed: int, out: Path, arguments: Namespace) -> tuple[Path, dict[str, Any]]:
    """Return the directory and the configuration of a run, unless they are impossible or don't belong together."""
    from nnqmc.config import Layer, parse_assignment, resolve
    from nnqmc.job import RunDirectory, default_directory
    from nnqmc.job.build import build

    config = resolve(molecule(name), [Layer("command line", {"seed": seed, "preset": arguments.preset}),
                                      *(Layer("--set", parse_assignment(text)) for text in arguments.assignments)])
    build(config)
    directory = out / f"{default_directory(name).name}-seed{seed}"
    if (directory / "config.toml").exists():
        found = RunDirectory.open(directory).config
        if found | {"train": found["train"] | {"steps": config["train"]["steps"]}} != config:
            raise InputError(f"{directory} holds a run with other settings: give another --out")
    return directory, config


def _cells(directory: Path, config: dict[str, Any], progress: bool) -> tuple[str, ...]:
    """Run a system, complete its run or take what is there; return its cells, also after a failure."""
    import jax

    from nnqmc.job import resume, run

    try:
        if (directory / "config.toml").exists():
            result = resume(directory, steps=config["train"]["steps"], progress=progress)
        else:
            result = run(config, directory, progress=progress)
    except Exception as error:  # the others go on
        explain(error)
        return _FAILED
    finally:
        jax.clear_caches()
    say(str(result))
    known = result.reference
    return (str(result.energy), "none" if known is None else f"{known['energy']:.10g}",
            "" if known is None else signed_millihartree(result.difference, result.difference_error),
            f"{result.energy.variance:.3g}", f"{result.seconds.get('total', 0.0):.0f}",
            "yes" if result.trusted else "no")
