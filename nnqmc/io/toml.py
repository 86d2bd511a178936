"""TOML of unknown origin: parsed only if its keys are short, since the parser's memory grows with their square."""

from __future__ import annotations

import re
import tomllib
from typing import Any

_COMMENT_OR_TEXT = re.compile(r"""
    \#[^\n]*+
  | \"""(?:[^"\\]|\\.|"(?!""))*+"{0,5}
  | '''(?:[^']|'(?!''))*+'{0,5}
  | "(?:[^"\\\n]|\\[^\n])*+"?
  | '[^'\n]*+'?
  """, re.VERBOSE | re.DOTALL)
_LONG_KEY = re.compile(r"(?<![\w-])(?:[\w-]++[ \t]*+\.[ \t]*+){16}")


def parse_toml(text: str) -> dict[str, Any]:
    """Return the values in TOML text.

    Raises:
        ValueError: it isn't TOML, or a key has more than 16 parts.
        RecursionError: it is nested too deeply.
    """
    if found := _LONG_KEY.search(_COMMENT_OR_TEXT.sub("x", text)):  # a text is one part of a key at most
        raise ValueError(f"a key of more than 16 parts ({found[0]:.20}...)")
    return tomllib.loads(text)
