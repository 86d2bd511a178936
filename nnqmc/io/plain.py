"""Text files of a run are checked here for what a terminal would obey or a number type can't hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LARGEST = 2**63


def forbidden_content(value: Any) -> str:
    """Return what in nested dictionaries and lists may not be there, in words; "" if everything may.

    Control characters (but for tabs and line ends) could command a terminal that shows them, and whole numbers beyond
    64 bits can't be printed or computed with in a bounded time.

    Raises:
        RecursionError: it is nested too deeply.
    """
    if isinstance(value, Mapping):
        return next(filter(None, (forbidden_content(part) for pair in value.items() for part in pair)), "")
    if isinstance(value, list | tuple):
        return next(filter(None, map(forbidden_content, value)), "")
    if isinstance(value, str) and not all(character.isprintable() or character in "\t\n\r" for character in value):
        return f"text with control characters ({value!r:.60})"
    if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        return "a whole number of more than 64 bits"
    return ""
