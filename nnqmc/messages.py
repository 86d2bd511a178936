"""Text for people: quantities in words, and streams that can't break a program, whatever has become of them."""

from __future__ import annotations

import contextlib
import sys
from typing import Any


class TolerantStream:
    """A text stream that drops what can't be written, since no run should end because a terminal is gone.

    Args:
        stream: where the text goes; it may be None, closed, or an object that has a method `write` and no other.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write the text if that is possible, and return its length in any case."""
        with contextlib.suppress(AttributeError, OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream if that is possible."""
        with contextlib.suppress(AttributeError, OSError, ValueError):
            self._stream.flush()

    def isatty(self) -> bool:
        """Return whether the stream is a terminal that somebody may be looking at."""
        with contextlib.suppress(AttributeError, OSError, ValueError):
            return bool(self._stream.isatty())
        return False


def tolerant_stdout() -> contextlib.AbstractContextManager[Any]:
    """Return a context in which a stdout that is missing, closed or no more than a method `write` is tolerated."""
    stdout = TolerantStream(sys.stdout)
    with contextlib.suppress(AttributeError, OSError, ValueError):
        sys.stdout.isatty()
        stdout = sys.stdout
    return contextlib.redirect_stdout(stdout)


def say(text: str) -> None:
    """Print a line on stderr as far as that is possible, without anything that a terminal would obey."""
    print(printable(text), file=TolerantStream(sys.stderr), flush=True)


def printable(text: str) -> str:
    """Return the text with ? for every control character: file names and their contents may be a stranger's."""
    return "".join(character if character.isprintable() or character in "\t\n" else "?" for character in text)


def counted(number: int, noun: str) -> str:
    """Return a number of things in words, such as '1 electron' or '2 electrons'."""
    return f"{number} {noun}{'s' if number != 1 else ''}"


def duration(seconds: float) -> str:
    """Return a time in words, such as '42 s', '3 min 20 s' or '2 h 5 min'."""
    seconds = round(max(seconds, 0.0))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


def gibibytes(size: float) -> str:
    """Return a number of bytes in GiB with three digits, such as '1.54 GiB'."""
    return f"{size / 2**30:.3g} GiB"


def rough_duration(seconds: float) -> str:
    """Return an estimated time as text of one or two digits: '40 s', '2 min', '3.5 h' or '12 days'."""
    for size, unit in ((86400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 1.5 * size:
            count = seconds / size
            return f"{count:.0f} {unit}" if count >= 10 or unit == "min" else f"{round(2 * count) / 2:g} {unit}"
    return f"{10 * max(round(seconds / 10), 1)} s" if seconds >= 10 else f"{max(round(seconds), 1)} s"


def millihartree(energy: float) -> str:
    """Return an energy in hartree as text in millihartree, such as '0.35 mHa'."""
    return f"{1e3 * energy:.2g} mHa"
