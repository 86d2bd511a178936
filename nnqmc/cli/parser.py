"""The words of the command line. Imports nothing slow, so that `--help` answers at once."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Sequence
from typing import NoReturn

from nnqmc.errors import InputError
from nnqmc.presets import DEFAULT, PRESETS

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
  nnqmc run molecule.xyz --preset quick --set train.clip=4 optimizer.damping=1e-4
  nnqmc resume runs/LiH --steps 2000
  nnqmc bench atoms --max Be
"""


class Parser(argparse.ArgumentParser):
    """Raises InputError instead of leaving, and suggests the nearest word there is."""

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        raise InputError(f"{message}{self._suggestion(message) or '.'} See `{self.prog} --help`")

    def words(self) -> list[str]:
        """All options of this command."""
        return [word for action in self._actions for word in action.option_strings]

    def _suggestion(self, message: str) -> str:
        choice = re.match(r"argument \S+: invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if choice is None:
            return ""
        options = re.findall(r"[\w-]+", choice[2])
        return _nearest(choice[1], options)


def _nearest(word: str, options: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, options, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The arguments of a command, with `command` its name.

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
    """The parser of `nnqmc` with all its commands."""
    import nnqmc

    parser = _parser(Parser, prog="nnqmc", description="Neural-network variational Monte Carlo: from a molecule's name "
                     "or geometry to its ground-state energy with an error bar.", epilog=f"{_EXAMPLES}\n{EXIT_CODES}")
    parser.add_argument("--version", action="version", version=f"nnqmc {nnqmc.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, title="commands")
    for add in (_add_run, _add_resume, _add_evaluate, _add_report, _add_list, _add_info, _add_bench,
                _add_doctor):
        add(commands)
    return parser


def _parser(make: type | object, *args: str, **options: object) -> Parser:
    return make(*args, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,  # type: ignore
                **({"epilog": EXIT_CODES} | options))


def _command(commands: argparse._SubParsersAction, name: str, text: str) -> Parser:
    parser = _parser(commands.add_parser, name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.set_defaults(parser=parser)
    return parser


def _command_on_a_run(commands: argparse._SubParsersAction, name: str, text: str) -> Parser:
    parser = _command(commands, name, text)
    parser.add_argument("directory", metavar="DIR", help="directory of the run")
    return parser


def _add_run(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, "run", "solve a molecule: Hartree-Fock, pretraining, training, evaluation")
    parser.add_argument("system", metavar="SYSTEM", nargs="?",
                        help="a name (see `nnqmc list`), an xyz file, or atoms as 'He 0 0 0; H 0 0 1.4632'")
    parser.add_argument("--out", metavar="DIR", help="directory of the run's files (default: runs/NAME)")
    _add_system_options(parser)
    _add_settings(parser)
    parser.add_argument("--config", metavar="FILE", help="settings from a TOML file, such as the config.toml of a run; "
                        "they override the preset, and options override them")
    _add_devices(parser)
    _add_key(parser)
    _add_common(parser)


def _add_system_options(parser: Parser) -> None:
    parser.add_argument("--charge", metavar="Q", type=int, help="total charge")
    parser.add_argument("--spin", metavar="2S", type=int, help="number of spin-up less spin-down electrons")
    parser.add_argument("--unit", metavar="U", help="of the coordinates: bohr or angstrom")


def _add_settings(parser: Parser) -> None:
    presets = "; ".join(f"{name}: {preset.purpose}" for name, preset in PRESETS.items())
    parser.add_argument("--preset", metavar="P", help=f"{presets} (default: {DEFAULT})")
    parser.add_argument("--walkers", metavar="N", type=int, help="size of the population")
    parser.add_argument("--steps", metavar="N", type=int, help="training steps in all")
    parser.add_argument("--target-error", metavar="HA", type=float, help="evaluate to this error bar, in hartree")
    parser.add_argument("--max-time", metavar="S", type=float,
                        help="seconds for the whole command; training ends early enough to leave time for evaluation")
    parser.add_argument("--optimizer", metavar="O", help="spring, min_sr or adam")
    _add_assignments(parser)
    parser.add_argument("--seed", metavar="N", type=int, help="decides every random number (default: 0)")


def _add_preset(parser: Parser) -> None:
    parser.add_argument("--preset", metavar="P", help=f"one of {', '.join(PRESETS)} (default: {DEFAULT})")


def _add_assignments(parser: Parser) -> None:
    parser.add_argument("--set", metavar="KEY=VALUE", nargs="+", action="extend", default=[], dest="assignments",
                        help="any setting, such as train.clip=4; `nnqmc info SYSTEM` shows them all")


def _add_common(parser: Parser) -> None:
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")
    parser.add_argument("--no-cache", action="store_true",
                        help="don't keep compiled programs between runs (also: NNQMC_CACHE=off)")


def _add_devices(parser: Parser) -> None:
    parser.add_argument("--devices", metavar="N", type=int,
                        help="how many devices to spread the walkers over (default: all that can share them evenly)")
    parser.add_argument("--distributed", action="store_true",
                        help="this is one of several processes, on one machine or many; JAX asks the batch system "
                        "(SLURM, Open MPI and others) for them, unless the next three say it")
    parser.add_argument("--coordinator", metavar="HOST:PORT", help="where the first process listens for the others")
    parser.add_argument("--processes", metavar="N", type=int, help="how many processes there are")
    parser.add_argument("--process", metavar="I", type=int, help="which of them this is, from 0 on")


def _add_key(parser: Parser) -> None:
    parser.add_argument("--key-file", metavar="FILE", help="sign the files of the run with the key in FILE and read "
                        "none of a run that isn't signed with it (a --config file without signature counts as yours)")


def _add_resume(commands: argparse._SubParsersAction) -> None:
    parser = _command_on_a_run(commands, "resume", "complete a run from its newest checkpoint")
    parser.add_argument("--steps", metavar="N", type=int, help="training steps in all, instead of those planned")
    parser.add_argument("--walkers", metavar="N", type=int, help="size of the population from here on")
    parser.add_argument("--max-time", metavar="S", type=float, help="seconds for the whole command")
    _add_devices(parser)
    _add_key(parser)
    _add_common(parser)


def _add_evaluate(commands: argparse._SubParsersAction) -> None:
    parser = _command_on_a_run(commands, "evaluate", "evaluate the newest checkpoint of a run again")
    parser.add_argument("--target-error", metavar="HA", type=float, help="stop at this error bar, hartree")
    parser.add_argument("--max-steps", metavar="N", type=int, help="the most sampler steps")
    parser.add_argument("--walkers", metavar="N", type=int, help="size of the population, if not that of training")
    parser.add_argument("--seed", metavar="N", type=int, help="decides the walk (default: that of the run)")
    _add_devices(parser)
    _add_key(parser)
    _add_common(parser)


def _add_report(commands: argparse._SubParsersAction) -> None:
    parser = _command_on_a_run(commands, "report", "print the summary of a run and draw its figures again")
    _add_key(parser)


def _add_list(commands: argparse._SubParsersAction) -> None:
    _command(commands, "list", "list the named systems and their reference energies")


def _add_info(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, "info", "show a system, the settings that a preset chooses for it, and what a run "
                      "would take")
    parser.add_argument("system", metavar="SYSTEM", help="as for `nnqmc run`")
    _add_system_options(parser)
    _add_preset(parser)


def _add_bench(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, "bench", "run benchmark systems one after the other and compare with references")
    parser.add_argument("kind", metavar="KIND", choices=("atoms", "molecules"), help="atoms or molecules")
    parser.add_argument("--max", metavar="NAME", dest="last", help="the last one, in the order of electrons "
                        "(default: Be or LiH)")
    parser.add_argument("--seeds", metavar="N,N", default="0", help="one run for each (default: 0)")
    parser.add_argument("--out", metavar="DIR", help="directory of all runs (default: runs/bench-KIND); what is "
                        "finished there isn't computed again")
    _add_preset(parser)
    _add_assignments(parser)
    _add_common(parser)


def _add_doctor(commands: argparse._SubParsersAction) -> None:
    _command(commands, "doctor", "check this installation: versions, devices, precision, folders, and a calculation "
             "with a known answer; its output is what a bug report needs")
