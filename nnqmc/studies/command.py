"""From the words of the command line to a study."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterable
from types import MappingProxyType
from typing import Any

from nnqmc.config import Layer, parse_assignment
from nnqmc.config.resolve import TOP, check_sections
from nnqmc.config.schema import check as check_setting
from nnqmc.messages import say
from nnqmc.studies import all as functions
from nnqmc.studies.words import STUDIES

_DIRECT = ("out", "charge", "spin", "unit", "preset", "seed", "max_time", "progress", "started", "warm_steps", "atoms",
           "spins", "bond", "points", "forces", "sizes", "steps", "walkers", "target_error", "key_file", "observe")
"""The arguments of a command that its function has under the same name."""

_SECTION = MappingProxyType({"steps": "train", "walkers": "train", "target_error": "evaluate", "observe": "evaluate"})
"""The options that stand for a setting of a section, which wins over them where --set gives it, and that section."""

_DONE, _FAILED, _STOPPED = 0, 1, 3


def do(arguments: Namespace) -> int:
    """Do the study of a command, print what it found, and return the exit code: 0 done, 1 failed, or 3 stopped early.

    A study has failed if one of its runs has and the others went on.
    """
    settings = _assigned(getattr(arguments, "assignments", ()))
    given = {name: value for name in _DIRECT if (value := getattr(arguments, name, None)) is not None
             and name not in settings.get(_SECTION.get(name), ())}
    if "--max-time" not in STUDIES[arguments.command][1]:
        given.pop("started", None)
    sources = [getattr(arguments, word) for word in STUDIES[arguments.command][1][:2] if not word.startswith("--")]
    if getattr(arguments, "system", None) == "-":
        sources[-1] = sys.stdin
    found = getattr(functions, arguments.command)(*sources, **{**given, **settings})
    print(found, flush=True)
    if not getattr(found, "complete", True):
        say("nnqmc: stopped by the time limit; the same command goes on")
        return _STOPPED
    return _FAILED if getattr(found, "failed", ()) else _DONE


def _assigned(assignments: Iterable[str]) -> dict[str, Any]:
    """Return what --set gives, {section: {key: value}} with preset, seed and max_time; refuse any other name."""
    settings: dict[str, Any] = {}
    for text in assignments:
        given = parse_assignment(text)
        check_sections(Layer("--set", given))
        for name, value in given.items():
            settings[name] = check_setting(name, TOP[name], value) if name in TOP else settings.get(name, {}) | value
    return settings
