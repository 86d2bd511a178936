"""The function behind each command. They import what is slow only when they are called."""

from __future__ import annotations

import contextlib
import errno
import sys
from argparse import Namespace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nnqmc import catalog
from nnqmc.cli.bench import bench
from nnqmc.cli.cache import enable_compilation_cache
from nnqmc.cli.devices import on_devices
from nnqmc.cli.doctor import doctor
from nnqmc.cli.program import DONE, STOPPED
from nnqmc.cli.tables import list_systems, print_estimate, print_settings, print_summary, print_table
from nnqmc.errors import InputError
from nnqmc.parallel.threads import choose_threads

if TYPE_CHECKING:
    from nnqmc.job import Result


@on_devices
def run(arguments: Namespace) -> int:
    """Solve a molecule (`nnqmc run`) and return the exit code."""
    from nnqmc.config import resolve
    from nnqmc.job import default_directory
    from nnqmc.job import run as calculate

    values = _file_values(arguments)
    system = _system(arguments, values)
    enable_compilation_cache(not arguments.no_cache)
    config = resolve(system, _layers(arguments, values))
    out = Path(arguments.out) if arguments.out is not None else default_directory(system.name)
    return _told(calculate(config, out, started=arguments.started, **_options(arguments)), out, arguments)


def _file_values(arguments: Namespace) -> dict[str, Any]:
    """Return the settings of the configuration file, if there is one."""
    if arguments.config is None:
        return {}
    from nnqmc.config import read_config
    from nnqmc.io import check_text, is_signed_text, read_key

    def check(raw: bytes) -> None:
        """A file without signature is the user's own; one with a signature has to have that of the key."""
        if arguments.key_file is not None and is_signed_text(raw):
            check_text(arguments.config, read_key(arguments.key_file), raw)

    values = read_config(arguments.config, check)
    if values.get("custom"):
        raise InputError(f"{arguments.config} is of a run with Python objects of its own "
                         f"({', '.join(values['custom'])}): repeat it from Python with nnqmc.solve")
    return values


def _system(arguments: Namespace, values: dict[str, Any]) -> Any:
    """Return SYSTEM from the command line, else that of the configuration file."""
    from nnqmc.system import from_dict

    if arguments.system is not None:
        if "=" in arguments.system and arguments.assignments:
            raise InputError(f"{arguments.system!r} isn't a system: write SYSTEM first, then --set KEY=VALUE ...")
        return _molecule(arguments)
    if "system" in values:
        if arguments.unit is not None or arguments.frame is not None:
            raise InputError("--unit and --frame go with SYSTEM; the configuration file has its own system.unit")
        return from_dict(values["system"], charge=arguments.charge, spin=arguments.spin)
    lone = [word for word in arguments.assignments if "=" not in word]
    hint = f": {lone[0]!r} was read as a --set; write SYSTEM before --set" if lone else ""
    raise InputError(f"no SYSTEM given{hint}. Give a name such as LiH (`nnqmc list` shows them), an xyz file, atoms "
                     "such as 'He 0 0 0; H 0 0 1.4632', or --config FILE with a section [system]")


def _molecule(arguments: Namespace) -> Any:
    """Return SYSTEM, whose text comes from standard input where it is a dash."""
    from nnqmc.system import molecule

    source = sys.stdin if arguments.system == "-" else arguments.system
    if source is None:
        raise InputError("SYSTEM is -, but there is no standard input: give an xyz file, atoms or a name")
    return molecule(source, charge=arguments.charge, spin=arguments.spin, unit=arguments.unit, frame=arguments.frame)


def _layers(arguments: Namespace, values: dict[str, Any]) -> list[Any]:
    """Return the layers of settings: the configuration file, then the options, then --set."""
    from nnqmc.config import Layer, parse_assignment

    top = {name: getattr(arguments, name) for name in ("preset", "seed", "max_time")}
    flags: dict[str, Any] = {name: value for name, value in top.items() if value is not None}
    words = {("train", "walkers"): arguments.walkers, ("train", "steps"): arguments.steps,
             ("evaluate", "target_error"): arguments.target_error, ("evaluate", "observe"): arguments.observe}
    words |= {(kind, "name"): getattr(arguments, kind) for kind in catalog.CHOSEN}
    for (section, key), value in words.items():
        if value is not None:
            flags.setdefault(section, {})[key] = value
    return [Layer(str(arguments.config), values), Layer("command line", flags),
            *(Layer("--set", parse_assignment(text)) for text in arguments.assignments)]


def _options(arguments: Namespace) -> dict[str, Any]:
    """Return what every calculation is told."""
    return {"progress": not arguments.quiet, "key_file": arguments.key_file}


def _told(result: Result, out: Path, arguments: Namespace) -> int:
    """Print the result and where its files are, and return the exit code: a batch job has to know without reading.

    The run's files have the result, too, so that a terminal that is gone is no failure.
    """
    try:
        print(result, flush=True)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
    if not arguments.quiet:
        _say(f"learning curve {out / 'energy.png'}, all numbers {out / 'result.json'}")
    if result.complete:
        return DONE
    where = (f"at step {result.steps} of {result.planned_steps}" if result.steps < result.planned_steps
             else "during evaluation")
    _say(f"nnqmc: stopped by the time limit {where}; `nnqmc resume {out}` goes on")
    return STOPPED


def _say(text: str) -> None:
    """Print a line on stderr, if there is anybody to read it."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


@on_devices
def resume(arguments: Namespace) -> int:
    """Complete a run (`nnqmc resume`) and return the exit code."""
    from nnqmc.job import resume as calculate

    enable_compilation_cache(not arguments.no_cache)
    result = calculate(arguments.directory, steps=arguments.steps, walkers=arguments.walkers,
                       max_time=arguments.max_time, started=arguments.started, **_options(arguments))
    return _told(result, Path(arguments.directory), arguments)


@on_devices
def evaluate(arguments: Namespace) -> int:
    """Evaluate a run again (`nnqmc evaluate`) and return the exit code."""
    from nnqmc.job import reevaluate

    enable_compilation_cache(not arguments.no_cache)
    result = reevaluate(arguments.directory, target_error=arguments.target_error, max_steps=arguments.max_steps,
                        walkers=arguments.walkers, seed=arguments.seed, observe=arguments.observe,
                        **_options(arguments))
    _told(result, Path(arguments.directory), arguments)
    return DONE


def report(arguments: Namespace) -> int:
    """Print the summary of a run (`nnqmc report`) and return the exit code."""
    from nnqmc.job import report as read

    directory, result = read(arguments.directory, key_file=arguments.key_file)
    print_summary(directory, result)
    return 0


def show_list(arguments: Namespace) -> int:
    """Print the named systems, or all parts (`nnqmc list`), and return the exit code."""
    if arguments.what == "parts":
        rows = [(kind, name + " (default)" * (name == entry.default), catalog.summary(catalog.find(kind, name)))
                for kind, entry in catalog.KINDS.items() for name in entry.makers]
        print_table(("kind", "part", "what it is"), rows)
    else:
        list_systems()
    return DONE


def info(arguments: Namespace) -> int:
    """Print a system, its settings and what a run would take (`nnqmc info`), and return the exit code."""
    from nnqmc.config import Layer, resolve
    from nnqmc.system import describe

    choose_threads()
    system = _molecule(arguments)
    config = resolve(system, [Layer("command line", {} if arguments.preset is None else {"preset": arguments.preset})])
    print(describe(system))
    print_settings(config)
    print_estimate(config)
    return 0


COMMANDS = MappingProxyType({"run": run, "resume": resume, "evaluate": evaluate, "report": report, "list": show_list,
                             "info": info, "bench": bench, "doctor": doctor})
"""The function behind each word."""
