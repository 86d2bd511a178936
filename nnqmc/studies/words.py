"""The words of the studies on the command line. Imports nothing slow, so that `--help` answers at once."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

RECIPES: Mapping[str, str] = MappingProxyType({
    "ionisation": "the energy that takes an electron away",
    "affinity": "the energy that an added electron sets free",
    "atomisation": "the energy that takes a molecule apart into neutral atoms",
    "dissociation": "the energy that breaks one bond",
    "singlet-triplet": "the energy of the triplet above the singlet",
})
"""The recipes, and what each of them gives."""

_SYSTEM = ("--out", "--charge", "--spin", "--unit")
_SETTINGS = ("--preset", "--steps", "--walkers", "--target-error", "--max-time", "--observe", "--set", "--seed",
             "--devices", "--key-file", "--quiet", "--no-cache")

STUDIES: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType({
    "curve": ("the energy along a bond, each point started from its neighbour; the same command goes on where it was "
              "stopped", ("system", "--bond", "--points", "--between", "--no-forces", *_SYSTEM, "--warm-steps",
                          *_SETTINGS)),
    "label": ("energies and forces of a list of structures, as extended xyz; what is done is skipped", (
        "structures", "--no-forces", *_SYSTEM, "--warm-steps", *_SETTINGS)),
    "recipe": ("an energy difference with its error bar, and the runs that it needs", (
        "recipe", "system", "--between", "--fragment-spins", *_SYSTEM, *_SETTINGS)),
    "scan": ("networks of growing size, and the limit that their energies lead to", (
        "system", "--sizes", *_SYSTEM, "--preset", "--steps", "--walkers", "--target-error", "--max-time", "--set",
        "--seed", "--key-file", "--quiet", "--no-cache")),
    "difference": ("the energy of the run OTHER less that of the run ONE, of the same molecule at a near geometry: by "
                   "correlated sampling where that has the smaller error bar", (
                       "one", "other", "--sampler-steps", "--seed", "--key-file", "--no-cache")),
})
"""What each study does, and the arguments it takes, as in `nnqmc.cli.parser`."""

ARGUMENTS: Mapping[str, Mapping[str, Any]] = MappingProxyType({
    "structures": {"metavar": "STRUCTURES", "type": str, "help": "an xyz file with one frame for each structure"},
    "one": {"metavar": "ONE", "type": str, "help": "directory of a complete run"},
    "other": {"metavar": "OTHER", "type": str, "help": "directory of another one, of the same atoms and electrons"},
    "--sampler-steps": {"metavar": "N", "type": int, "dest": "steps",
                        "help": "steps of the sampler (default: 400); more make the error bar smaller"},
    "recipe": {"metavar": "RECIPE", "type": str, "choices": tuple(RECIPES),
               "help": "; ".join(f"{name}: {text}" for name, text in RECIPES.items())},
    "--bond": {"metavar": ("FROM", "TO"), "type": float, "nargs": 2,
               "help": "the shortest and the longest bond, in bohr unless --unit says otherwise"},
    "--points": {"metavar": "N", "type": int, "default": 8, "help": "how many bonds, evenly spaced (default: 8)"},
    "--sizes": {"metavar": "N", "type": int, "default": 5, "help": "how many sizes, from 2 to 8 (default: 5)"},
    "--between": {"metavar": ("I", "J"), "type": int, "nargs": 2, "dest": "atoms",
                  "help": "the two atoms of the bond, counted from 1, where there are more than two"},
    "--fragment-spins": {"metavar": ("2S", "2S"), "type": int, "nargs": 2, "dest": "spins",
                         "help": "of the two fragments of a dissociation, that of the first atom of the bond first "
                         "(default: that of the ground state of an atom, otherwise the lowest one)"},
    "--no-forces": {"action": "store_false", "dest": "forces", "help": "energies alone; the evaluation is shorter"},
    "--warm-steps": {"metavar": "N", "type": int, "help": "training steps of a geometry that has a neighbour (default: "
                     "a fifth of the usual ones)"},
})
"""The arguments that only studies have, with the keywords that describe them to argparse."""


def absent(command: str, word: str) -> str:
    """Return why a study has no such option, or "" if nothing in particular is known of it."""
    if command not in STUDIES or word not in ("--distributed", "--coordinator", "--processes", "--process"):
        return ""
    return ("a study is one process, on the devices of one machine; a run of it that was begun can be spread over "
            "several by `nnqmc resume DIR/0001 --distributed`, and the study goes on from there. ")
