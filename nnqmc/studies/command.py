"""From the words of the command line to a study."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from nnqmc.config import parse_assignment
from nnqmc.messages import say
from nnqmc.studies import all as functions
from nnqmc.studies.words import STUDIES

_DIRECT = ("out", "charge", "spin", "unit", "preset", "seed", "max_time", "progress", "started", "warm_steps", "atoms",
           "bond", "points", "forces", "sizes", "steps", "walkers", "target_error", "key_file", "observe")
"""The arguments of a command that its function has under the same name."""

_DONE, _FAILED, _STOPPED = 0, 1, 3


def do(arguments: Namespace) -> int:
    """Do the study of a command, print what it found, and return the exit code: 0 done, 1 failed, or 3 stopped early.

    A study has failed if one of its runs has and the others went on.
    """
    settings: dict[str, Any] = {}
    for text in getattr(arguments, "assignments", ()):
        for name, value in parse_assignment(text).items():
            settings[name] = settings.get(name, {}) | value if isinstance(value, dict) else value
    given = {name: value for name in _DIRECT if (value := getattr(arguments, name, None)) is not None}
    if "--max-time" not in STUDIES[arguments.command][1]:
        given.pop("started", None)
    sources = [getattr(arguments, word) for word in STUDIES[arguments.command][1][:2] if not word.startswith("--")]
    found = getattr(functions, arguments.command)(*sources, **{**settings, **given})
    print(found, flush=True)
    if not getattr(found, "complete", True):
        say("nnqmc: stopped by the time limit; the same command goes on")
        return _STOPPED
    return _FAILED if getattr(found, "failed", ()) else _DONE
