"""The function behind each command. They import what a run needs only when they are called."""

from __future__ import annotations

import errno
import sys
from argparse import Namespace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nnqmc import catalog
from nnqmc.cli.bench import bench
from nnqmc.cli.devices import on_devices
from nnqmc.cli.doctor import doctor
from nnqmc.cli.outcome import DONE, STOPPED
from nnqmc.cli.tables import print_pairs, print_table
from nnqmc.errors import InputError
from nnqmc.messages import say
from nnqmc.report.words import VIEWS
from nnqmc.studies.words import STUDIES
from nnqmc.system import describe, entries, from_dict, molecule

if TYPE_CHECKING:
    from nnqmc.job import Result


@on_devices
def run(arguments: Namespace) -> int:
    """Solve a molecule (`nnqmc run`) and return the exit code."""
    from nnqmc import config, job

    values = _file_values(arguments)
    system = _system(arguments, values)
    out = Path(arguments.out) if arguments.out is not None else job.default_directory(system.name)
    result = job.run(config.resolve(system, _layers(arguments, values)), out, started=arguments.started,
                     progress=arguments.progress, key_file=arguments.key_file)
    return _told(result, out, arguments)


def _file_values(arguments: Namespace) -> dict[str, Any]:
    """Return the settings of the configuration file, if there is one."""
    if arguments.config is None:
        return {}
    from nnqmc.config import read_config
    from nnqmc.io import check_signature, is_signed, read_key

    def check(raw: bytes) -> None:
        """A file without signature is the user's own; one with a signature has to have that of the key."""
        if arguments.key_file is not None and is_signed(raw):
            check_signature(arguments.config, read_key(arguments.key_file), raw)

    values = read_config(arguments.config, check)
    if values.get("custom"):
        raise InputError(f"{arguments.config} is of a run with Python objects of its own "
                         f"({', '.join(values['custom'])}): repeat it from Python with nnqmc.solve")
    return values


def _system(arguments: Namespace, values: dict[str, Any]) -> Any:
    """Return SYSTEM from the command line, where a dash is standard input, else that of the configuration file."""
    chosen = {"charge": arguments.charge, "spin": arguments.spin}
    if arguments.system is not None:
        source = sys.stdin if arguments.system == "-" else arguments.system
        if source is None:
            raise InputError("SYSTEM is -, but there is no standard input: give an xyz file, atoms or a name")
        return molecule(source, unit=arguments.unit, frame=arguments.frame, **chosen)
    if "system" in values:
        if arguments.unit is not None or arguments.frame is not None:
            raise InputError("--unit and --frame go with SYSTEM; the configuration file has its own system.unit")
        return from_dict(values["system"], **chosen)
    raise InputError("no SYSTEM given: write SYSTEM before --set. Give a name such as LiH (`nnqmc list` shows them), "
                     "an xyz file, atoms such as 'He 0 0 0; H 0 0 1.4632', or --config FILE with a section [system]")


def _layers(arguments: Namespace, values: dict[str, Any]) -> list[Any]:
    """Return the layers of settings: the configuration file, then the options, then --set."""
    from nnqmc.config import Layer, parse_assignment

    flags = {name: getattr(arguments, name) for name in ("preset", "seed", "max_time")}
    words = {"train": {"walkers": arguments.walkers, "steps": arguments.steps, "accuracy": arguments.accuracy},
             "evaluate": {"target_error": arguments.target_error, "observe": arguments.observe},
             **{kind: {"name": getattr(arguments, kind)} for kind in catalog.CHOSEN}}
    flags |= {section: {key: value for key, value in chosen.items() if value is not None}
              for section, chosen in words.items()}
    return [Layer(str(arguments.config), values), Layer("command line", flags),
            *(Layer("--set", parse_assignment(text)) for text in arguments.assignments)]


def _told(result: Result, out: Path, arguments: Namespace) -> int:
    """Print the result and where its files are, and return the exit code: a batch job has to know without reading."""
    try:
        observed = (f"  {name}   {value}" for name, value in result.observables.items())
        print("\n".join([str(result), *observed]), flush=True)
    except OSError as error:
        if error.errno != errno.EIO:  # a terminal that is gone; the run's files have the result, too
            raise
    if arguments.progress:
        say(f"learning curve {out / 'energy.png'}, all numbers {out / 'result.json'}")
    if result.complete:
        return DONE
    say(f"nnqmc: stopped by the time limit; `nnqmc resume {out}` goes on")
    return STOPPED


@on_devices
def resume(arguments: Namespace) -> int:
    """Complete a run (`nnqmc resume`) and return the exit code."""
    from nnqmc import job

    result = job.resume(arguments.directory, steps=arguments.steps, walkers=arguments.walkers,
                        max_time=arguments.max_time, started=arguments.started, progress=arguments.progress,
                        key_file=arguments.key_file)
    return _told(result, Path(arguments.directory), arguments)


@on_devices
def evaluate(arguments: Namespace) -> int:
    """Evaluate a run again (`nnqmc evaluate`) and return the exit code."""
    from nnqmc.job import reevaluate

    result = reevaluate(arguments.directory, target_error=arguments.target_error, max_steps=arguments.max_steps,
                        walkers=arguments.walkers, seed=arguments.seed, observe=arguments.observe,
                        progress=arguments.progress, key_file=arguments.key_file)
    _told(result, Path(arguments.directory), arguments)
    return DONE


def view(arguments: Namespace) -> int:
    """Show runs (`nnqmc report` and others) and return the exit code."""
    from nnqmc.report.command import show

    return show(arguments)


def show_list(arguments: Namespace) -> int:
    """Print the named systems with their references, or all parts (`nnqmc list`), and return the exit code."""
    if arguments.what == "parts":
        parts = [(kind, name + " (default)" * (name == entry.default), catalog.summary(catalog.find(kind, name)))
                 for kind, entry in catalog.KINDS.items() for name in entry.makers]
        print_table(("kind", "part", "what it is"), parts)
        return DONE
    systems = [(entry.name, ", ".join(entry.aliases), str(molecule(entry.name).n_electrons),
                f"{entry.reference.energy:.10g}", entry.reference.kind, entry.reference.source) for entry in entries()]
    print_table(("name", "also", "electrons", "reference (Ha)", "kind", "source"), systems, right=(2, 3))
    return DONE


@on_devices
def info(arguments: Namespace) -> int:
    """Print a system, its settings and what a run would take (`nnqmc info`), and return the exit code."""
    from nnqmc.config import Layer, resolve
    from nnqmc.job.build import build, forecast_run

    system = _system(arguments, {})
    config = resolve(system, [Layer("command line", {"preset": arguments.preset})])
    print(f"{describe(system)}\n\n  settings of the preset {config['preset']} (change any with --set)\n")
    print_pairs(((f"{name}.{key}", str(value).lower() if value in (None, True, False) else str(value))
                 for name, section in config.items() if isinstance(section, dict) and name != "system"
                 for key, value in section.items()), width=32)
    print("\n  estimate for this machine, from counted operations and the speed of matrix products\n", flush=True)
    try:
        print_pairs(forecast_run(config, build(config)).rows())
    except Exception as error:  # what was asked for is shown already
        print_pairs([("none", f"{type(error).__name__}: {error}")])
    return DONE


@on_devices
def study(arguments: Namespace) -> int:
    """Do a study of several runs (`nnqmc curve` and others), print what it found, and return the exit code."""
    from nnqmc.studies.command import do

    return do(arguments)


COMMANDS = MappingProxyType({"run": run, "resume": resume, "evaluate": evaluate, **dict.fromkeys(VIEWS, view),
                             "list": show_list, "info": info, "bench": bench, "doctor": doctor,
                             **dict.fromkeys(STUDIES, study)})
"""The function behind each word."""
