"""The words of the command line. Imports nothing slow, so that `--help` answers at once."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NoReturn

from nnqmc import catalog
from nnqmc.errors import InputError
from nnqmc.presets import DEFAULT, PRESETS
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
        "system?", "--out", *_SYSTEM, "--preset", "--walkers", "--steps", "--target-error", "--max-time",
        *(f"--{kind}" for kind in catalog.CHOSEN), "--observe", "--set", "--seed", "--config", *_PLACE, *_QUIET)),
    "resume": ("complete a run from its newest checkpoint", (
        "directory", "--steps", "--walkers", "--max-time", *_PLACE, *_QUIET)),
    "evaluate": ("evaluate the newest checkpoint of a run again", (
        "directory", "--target-error", "--max-steps", "--walkers", "--observe", "--seed", *_PLACE, *_QUIET)),
    "report": ("print the summary of a run and draw its figures again", ("directory", "--key-file")),
    "list": ("list the named systems and their reference energies, or the parts that a run can be made of", ("what?",)),
    "info": ("show a system, the settings that a preset chooses for it, and what a run would take", (
        "system", *_SYSTEM, "--preset")),
    "bench": ("run benchmark systems one after the other and compare with references", (
        "kind", "--max", "--seeds", "--out", "--preset", "--set", *_QUIET)),
    "doctor": ("check this installation: versions, devices, precision, folders, and a calculation with a known answer; "
               "its output is what a bug report needs", ()),
})
"""What each command does, and the arguments it takes; "?" marks those that may be left out."""


class Parser(argparse.ArgumentParser):
    """A parser that raises InputError instead of leaving, and suggests the nearest word there is."""

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        raise InputError(f"{message}{self._suggestion(message) or '.'} See `{self.prog} --help`")

    def words(self) -> list[str]:
        """Return all options of this command."""
        return [word for action in self._actions for word in action.option_strings]

    def _suggestion(self, message: str) -> str:
        """Return a hint for a message about a choice that doesn't exist."""
        choice = re.match(r"argument \S+: invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if choice is None:
            return ""
        options = re.findall(r"[\w-]+", choice[2])
        return _nearest(choice[1], options)


def _nearest(word: str, options: Sequence[str]) -> str:
    """Return a question with the nearest of some words, or an empty text if none is near."""
    near = difflib.get_close_matches(word, options, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the arguments of a command, with `command` its name.

    Raises:
        InputError: an unknown command or option (the nearest is suggested), or a missing or malformed value.
    """
    parser = make_parser()
    arguments, extra = parser.parse_known_args(argv)
    if extra:
        subparser = arguments.parser
        unknown = next((word for word in extra if word.startswith("-")), extra[0])
        word = unknown.partition("=")[0]
        what = "option" if word.startswith("-") else "argument"
        hint = _nearest(word, subparser.words()) or "."
        raise InputError(f"unknown {what} {word!r}{hint} See `{subparser.prog} --help`")
    return arguments


def make_parser() -> Parser:
    """Return the parser of `nnqmc` with all its commands."""
    parser = _styled(Parser, prog="nnqmc", description="Neural-network variational Monte Carlo: from a molecule's name "
                     "or geometry to its ground-state energy with an error bar.", epilog=f"{_EXAMPLES}\n{EXIT_CODES}")
    parser.add_argument("--version", action="version", version=f"nnqmc {VERSION}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, title="commands")
    known = _arguments()
    for name, (text, words) in _WORDS.items():
        command = _styled(commands.add_parser, name, help=text, description=f"{text[0].upper()}{text[1:]}.",
                          epilog=EXIT_CODES)
        command.set_defaults(parser=command)
        for word in words:
            argument = word.removesuffix("?")
            command.add_argument(argument, **known[argument], **({} if argument == word else {"nargs": "?"}))
    return parser


def _styled(make: Any, *names: str, **options: Any) -> Parser:
    """Return a parser that keeps the lines of its texts and takes whole words only."""
    return make(*names, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)


def _arguments() -> dict[str, dict[str, Any]]:
    """Return every argument of every command, with the keywords that describe it to argparse."""
    presets = "; ".join(f"{name}: {preset.purpose}" for name, preset in PRESETS.items())
    parts = {f"--{name}": {"metavar": "NAME", "help": f"{kind.purpose}: {', '.join(kind.makers)} "
                           f"(default: {kind.default}); `nnqmc list parts` says more"}
             for name, kind in catalog.KINDS.items() if name in catalog.CHOSEN}
    return parts | {
        "system": {"metavar": "SYSTEM",
                   "help": "a name (see `nnqmc list`), an xyz file, atoms as 'He 0 0 0; H 0 0 1.4632', or - for the "
                           "text of a file on standard input"},
        "directory": {"metavar": "DIR", "help": "directory of the run"},
        "kind": {"metavar": "KIND", "choices": ("atoms", "molecules"), "help": "atoms or molecules"},
        "what": {"metavar": "WHAT", "choices": ("systems", "parts"), "default": "systems",
                 "help": "systems or parts (default: systems)"},
        "--out": {"metavar": "DIR", "help": "directory of the files (default: in runs/); what is there already is "
                  "never overwritten"},
        "--charge": {"metavar": "Q", "type": int, "help": "total charge"},
        "--spin": {"metavar": "2S", "type": int, "help": "number of spin-up less spin-down electrons"},
        "--unit": {"metavar": "U", "help": "of the coordinates: bohr or angstrom"},
        "--frame": {"metavar": "N", "type": int, "help": "which of several frames of an xyz file, from 1 on"},
        "--preset": {"metavar": "P", "help": f"{presets} (default: {DEFAULT})"},
        "--walkers": {"metavar": "N", "type": int, "help": "size of the population, from here on"},
        "--steps": {"metavar": "N", "type": int, "help": "training steps in all"},
        "--target-error": {"metavar": "HA", "type": float, "help": "evaluate to this error bar, in hartree"},
        "--max-steps": {"metavar": "N", "type": int, "help": "the most sampler steps of the evaluation"},
        "--max-time": {"metavar": "S", "type": float, "help": "seconds for the whole command; training ends early "
                       "enough to leave time for evaluation"},
        "--observe": {"metavar": "NAMES", "help": "observables to measure, with commas between them; `nnqmc list "
                      "parts` shows them"},
        "--set": {"metavar": "KEY=VALUE", "nargs": "+", "action": "extend", "default": [], "dest": "assignments",
                  "help": "any setting, such as train.burn_in=50; `nnqmc info SYSTEM` shows them all"},
        "--seed": {"metavar": "N", "type": int, "help": "decides every random number (default: that of the run, or 0)"},
        "--config": {"metavar": "FILE", "help": "settings from a TOML file, such as the config.toml of a run; they "
                     "override the preset, and options override them"},
        "--key-file": {"metavar": "FILE", "help": "sign the files of the run with the key in FILE and read none of a "
                       "run that isn't signed with it (a --config file without signature counts as yours)"},
        "--max": {"metavar": "NAME", "dest": "last", "help": "the last one, in the order of electrons "
                  "(default: Be or LiH)"},
        "--seeds": {"metavar": "N,N", "default": "0", "help": "one run for each (default: 0)"},
        "--quiet": {"action": "store_true", "help": "no progress on stderr"},
        "--no-cache": {"action": "store_true",
                       "help": "don't keep compiled programs between runs (also: NNQMC_CACHE=off)"},
    } | _places()


def _places() -> dict[str, dict[str, Any]]:
    """Return the arguments that say where a command computes."""
    return {
        "--devices": {"metavar": "N", "type": int, "help": "how many devices to spread the walkers over (default: all "
                      "that can share them evenly)"},
        "--distributed": {"action": "store_true", "help": "this is one of several processes, on one machine or many; "
                          "JAX asks the batch system (SLURM, Open MPI and others) for them, unless the next three say "
                          "it"},
        "--coordinator": {"metavar": "HOST:PORT", "help": "where the first process listens for the others"},
        "--processes": {"metavar": "N", "type": int, "help": "how many processes there are"},
        "--process": {"metavar": "I", "type": int, "help": "which of them this is, from 0 on"},
    }
