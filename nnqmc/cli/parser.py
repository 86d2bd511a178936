"""The words of the command line. Imports nothing slow, so that `--help` answers at once."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NoReturn

from nnqmc import catalog
from nnqmc.errors import InputError, nearest
from nnqmc.presets import DEFAULT, LADDER, PRESETS
from nnqmc.report.words import VIEW_ARGUMENTS, VIEWS
from nnqmc.studies.words import ARGUMENTS, STUDIES, absent
from nnqmc.version import VERSION

EXIT_CODES = """\
exit codes:
  0  done
  1  a run failed: no convergence, numbers that aren't finite, a damaged file
  2  bad input: nothing was computed and nothing overwritten
  3  stopped early with a checkpoint, by Ctrl-C, SIGTERM, SIGUSR1, SIGHUP, or --max-time before training and evaluation
     were done: `nnqmc resume DIR` goes on; a second Ctrl-C stops at once
with --distributed also 1 or 134 where another process has died: `nnqmc resume DIR` goes on
"""

_EXAMPLES = """\
examples:
  nnqmc run LiH
  nnqmc run "He 0 0 0; H 0 0 1.4632" --unit bohr --charge 1 --out runs/heh
  nnqmc run molecule.xyz --preset quick --set objective.clip=4 optimizer.damping=1e-4
  nnqmc resume runs/LiH --steps 2000
  nnqmc bench atoms --max Be
"""

_SYSTEM = ("--charge", "--spin", "--unit", "--frame")
_PLACE = ("--devices", "--distributed", "--coordinator", "--processes", "--process", "--key-file")
_QUIET = ("--quiet", "--no-cache")
_WORDS: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType({
    "run": ("solve a molecule: Hartree-Fock, pretraining, training, evaluation", (
        "system?", "--out", *_SYSTEM, "--preset", "--walkers", "--steps", "--accuracy", "--target-error", "--max-time",
        *(f"--{kind}" for kind in catalog.CHOSEN), "--observe", "--set", "--seed", "--config", *_PLACE, *_QUIET)),
    "resume": ("complete a run from its newest checkpoint", (
        "directory", "--steps", "--walkers", "--max-time", *_PLACE, *_QUIET)),
    "evaluate": ("evaluate the newest checkpoint of a run again", (
        "directory", "--target-error", "--max-steps", "--walkers", "--observe", "--seed", *_PLACE, *_QUIET)),
    **VIEWS,
    "list": ("list the named systems and their reference energies, or the parts that a run can be made of", ("what?",)),
    "info": ("show a system, the settings that a preset chooses for it, and what a run would take", (
        "system", *_SYSTEM, "--preset")),
    "bench": ("run benchmark systems one after the other and compare with references", (
        "kind", "--max", "--seeds", "--out", "--preset", "--set", "--devices", *_QUIET)),
    "doctor": ("check this installation: versions, devices, precision, folders, and a calculation with a known answer; "
               "its output is what a bug report needs", ()), **STUDIES,
})
"""What each command does, and the arguments it takes; "?" marks those that may be left out."""


def _value(metavar: str, text: str, kind: type = str, **more: Any) -> Mapping[str, Any]:
    """Return the keywords that describe an argument with a value to argparse."""
    return {"metavar": metavar, "help": text, "type": kind, **more}


_ARGUMENTS: Mapping[str, Mapping[str, Any]] = MappingProxyType({
    **{f"--{name}": _value("NAME", f"{kind.purpose}: {', '.join(kind.makers)} (default: {kind.default}); "
                           "`nnqmc list parts` says more")
       for name, kind in catalog.KINDS.items() if name in catalog.CHOSEN},
    "system": _value("SYSTEM", "a name (see `nnqmc list`), an xyz file, atoms as 'He 0 0 0; H 0 0 1.4632', or - for "
                     "the text of a file on standard input"),
    "directory": _value("DIR", "directory of the run"),
    "kind": _value("KIND", "atoms or molecules", choices=("atoms", "molecules")),
    "what": _value("WHAT", "systems or parts (default: systems)", choices=("systems", "parts"), default="systems"),
    "--out": _value("DIR", "directory of the files (default: in runs/); what is there already is never overwritten"),
    "--charge": _value("Q", "total charge", int),
    "--spin": _value("2S", "number of spin-up less spin-down electrons", int),
    "--unit": _value("U", "of the coordinates: bohr or angstrom"),
    "--frame": _value("N", "which of several frames of an xyz file, from 1 on", int),
    "--preset": _value("P", "; ".join(f"{name}: {preset.purpose}" for name, preset in PRESETS.items())
                       + f" (default: {DEFAULT}, for scan {LADDER})"),
    "--walkers": _value("N", "size of the population, from here on", int),
    "--steps": _value("N", "training steps in all", int),
    "--accuracy": _value("HA", "what training and evaluation aim at in hartree, within the steps of the preset", float),
    "--target-error": _value("HA", "evaluate to this error bar, in hartree", float),
    "--max-steps": _value("N", "the most sampler steps of the evaluation", int),
    "--max-time": _value("S", "seconds for the whole command; training ends early enough to leave time for evaluation",
                         float),
    "--observe": _value("NAMES", "observables, as dipole,forces_space_warp:every=8; `nnqmc list parts` shows them"),
    "--set": _value("KEY=VALUE", "any setting, such as train.burn_in=50; `nnqmc info SYSTEM` shows them all",
                    nargs="+", action="extend", default=[], dest="assignments"),
    "--seed": _value("N", "decides every random number (default: that of the run, or 0)", int),
    "--config": _value("FILE", "settings from a TOML file, such as the config.toml of a run; they override the preset, "
                       "and options override them"),
    "--key-file": _value("FILE", "sign the files of the run with the key in FILE and read none of a run that isn't "
                         "signed with it (a --config file without signature counts as yours)"),
    "--max": _value("NAME", "the last one, in the order of electrons (default: Be or LiH)", dest="last"),
    "--seeds": _value("N,N", "one run for each (default: 0)", default="0"),
    "--quiet": {"action": "store_false", "dest": "progress", "help": "no progress on stderr"},
    "--no-cache": {"action": "store_true", "help": "don't keep compiled programs between runs (also: NNQMC_CACHE=off)"},
    "--devices": _value("N", "how many devices to spread the walkers over (default: all that can share them evenly)",
                        int),
    "--distributed": {"action": "store_true", "help": "this is one of several processes, on one machine or many; JAX "
                      "asks the batch system (SLURM, Open MPI and others) for them, unless the next three say it"},
    "--coordinator": _value("HOST:PORT", "where the first process listens for the others"),
    "--processes": _value("N", "how many processes there are", int),
    "--process": _value("I", "which of them this is, from 0 on", int), **ARGUMENTS, **VIEW_ARGUMENTS,
})
"""Every argument of every command, with the keywords that describe it to argparse."""


class Parser(argparse.ArgumentParser):
    """A parser that takes whole words only, and raises InputError with the nearest word instead of leaving."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Raise InputError; for a choice that doesn't exist the message names the nearest one."""
        choice = re.match(r"argument \S+: invalid choice: '(.*?)' \(choose from (.*)\)", message)
        hint = ": " + nearest(choice[1], re.findall(r"[\w-]+", choice[2])) if choice else ". "
        raise InputError(f"{message}{hint}See `{self.prog} --help`")


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the arguments of a command, with `command` its name.

    Raises:
        InputError: an unknown command or option (the nearest is suggested), or a missing or malformed value.
    """
    arguments, extra = make_parser().parse_known_args(argv)
    if extra:
        word = next((word for word in extra if word.startswith("-")), extra[0]).partition("=")[0]
        what = "option" if word.startswith("-") else "argument"
        hint = absent(arguments.command, word) or nearest(word, ("--help", *_WORDS[arguments.command][1]))
        raise InputError(f"unknown {what} {word!r}: {hint}See `nnqmc {arguments.command} --help`")
    return arguments


def make_parser() -> Parser:
    """Return the parser of `nnqmc` with all its commands."""
    parser = Parser(prog="nnqmc", description="Neural-network variational Monte Carlo: from a molecule's name or "
                    "geometry to its ground-state energy with an error bar.", epilog=f"{_EXAMPLES}\n{EXIT_CODES}")
    parser.add_argument("--version", action="version", version=f"nnqmc {VERSION}")
    parser.set_defaults(no_cache=False, devices=None, distributed=False, coordinator=None, processes=None, process=None)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, title="commands")
    for name, (text, words) in _WORDS.items():
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=EXIT_CODES)
        for word in words:
            argument = word.removesuffix("?")
            command.add_argument(argument, **_ARGUMENTS[argument], **({} if argument == word else {"nargs": "?"}))
    return parser
