"""Readers of text from files and streams: limited in size, in UTF-8, UTF-16 or an 8-bit encoding."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Any

from nnqmc.errors import InputError

MAX_FILE_BYTES = 10_000_000

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_NO_TEXT = frozenset(map(chr, (*range(9), *range(14, 27), *range(28, 32))))


def read_text(path: Path) -> str:
    """Read a text file of atoms.

    Raises:
        InputError: no such file, a folder, too large, not readable or not text.
    """
    try:
        path = path.expanduser()
        if path.is_dir():
            raise InputError(f"{str(path)!r} is a folder; give the path of an xyz file in it.")
        if not path.is_file():
            raise InputError(f"no such file: {str(path)!r}. Check the path (relative to {str(Path.cwd())!r}).")
        with path.open("rb") as file:
            return _decoded(file.read(MAX_FILE_BYTES + 1), repr(str(path)))
    except InputError:
        raise
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"can't read {str(path)[:200]!r}: {error}. Give the path of a readable xyz file.") from error


def read_stream(stream: Any) -> str:
    """Read all text from an open file or from standard input.

    Args:
        stream: an object with a method `read` that gives text or bytes.

    Raises:
        InputError: it can't be read, is too large or not text.
    """
    try:
        content = getattr(stream, "buffer", stream).read(MAX_FILE_BYTES + 1)
        content = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        return _decoded(content, "the text")
    except InputError:
        raise
    except (OSError, ValueError, AttributeError, TypeError) as error:
        name = getattr(stream, "name", type(stream).__name__)
        raise InputError(f"can't read from {str(name)[-200:]}: {error}. Give an open file with atoms.") from error


def _decoded(content: bytes, name: str) -> str:
    """Return the text of a file, whatever program has written it."""
    if len(content) > MAX_FILE_BYTES:
        raise InputError(f"{name} is larger than {MAX_FILE_BYTES // 10**6} MB; give a file of one molecule.")
    encoding = next((encoding for mark, encoding in _MARKS if content.startswith(mark)), "utf-8")
    for start, wide in ((1, "utf-16-le"), (0, "utf-16-be")):  # without a mark: every other byte of digits is zero
        if set(content[start:8:2]) == {0} and 0 not in content[1 - start : 8 : 2]:
            encoding = wide
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise InputError(f"{name} is not a text file; an xyz file is allowed ({error.reason}).") from error
        text = content.decode("latin-1")  # comments of older programs; symbols and numbers are the same in all
    if bad := sorted(_NO_TEXT & set(text)):
        raise InputError(f"{name} is not a text file; an xyz file is allowed (it holds the character {bad[0]!r}).")
    return text
