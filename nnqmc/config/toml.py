"""TOML of unknown origin: parsed only if its keys are short, since the parser's memory grows with their square."""

from __future__ import annotations

import re
import tomllib
from typing import Any

_MOST_PARTS = 16
_PART = r"""(?:[\w-]++ | "(?:[^"\\\n]|\\[^\n])*+"? | '[^'\n]*+'?)"""
_TOKEN = re.compile(rf"""
    \#[^\n]*+
  | \"""(?:[^"\\]|\\.|"(?!""))*+"{{0,5}}
  | '''(?:[^']|'(?!''))*+'{{0,5}}
  | (?P<long>{_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{_MOST_PARTS},}}+)
  | {_PART}
  | [^\w"'\#-]++
  """, re.VERBOSE | re.DOTALL)
"""Comments, texts of several lines, keys of too many parts, other words and texts, and what lies between them."""


def parse_toml(text: str) -> dict[str, Any]:
    """Return the values in TOML text.

    Raises:
        ValueError: it isn't TOML, or a key has more than 16 parts.
        RecursionError: it is nested too deeply.
    """
    found = next((token for token in _TOKEN.finditer(text) if token["long"]), None)
    if found is not None:
        line = text.count("\n", 0, found.start()) + 1
        raise ValueError(f"a key of more than {_MOST_PARTS} parts (at line {line}: {found[0]:.20}...)")
    return tomllib.loads(text)
