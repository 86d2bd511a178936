"""The words on the command line that show runs. Imports nothing slow, so that `--help` answers at once."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

VIEWS: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType({
    "report": ("print the summary of a run and draw its figures again, or compare several runs", (
        "directories", "--html", "--key-file")),
    "watch": ("show the learning curve of a run in progress until it ends", (
        "directory", "--once", "--every", "--key-file")),
})
"""What each command does, and the arguments it takes, as in `nnqmc.cli.parser`."""

VIEW_ARGUMENTS: Mapping[str, Mapping[str, Any]] = MappingProxyType({
    "directories": {"metavar": "DIR", "type": str, "nargs": "+", "help": "directory of a run, or several"},
    "--html": {"metavar": "FILE", "type": str, "nargs": "?", "const": "",
               "help": "write a self-contained page, after the directories (default: report.html in the run's "
                       "directory, or in the working directory for several runs)"},
    "--once": {"action": "store_true", "help": "show it once and end"},
    "--every": {"metavar": "S", "type": float, "default": 2.0, "help": "seconds between two looks (default: 2)"},
})
"""The arguments that only these commands have, with the keywords that describe them to argparse."""
