"""Whole files are written atomically here, read with a limit, locked, and searched for what a terminal would obey."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nnqmc.errors import CheckpointError, InputError

TEMPORARY = re.compile(r"\..+\.tmp-\d+-[0-9a-f]{8}(\.[^.]*)?")
"""The names of files that are being written."""

_STALE = 3600.0
"""Seconds after which nobody is writing to a temporary file any more."""


def as_path(value: Any, what: str) -> Path:
    """Return a path that a person gave; anything but text or a path of text is an InputError.

    The message says by `what` of which thing the path should be, such as "the directory of a run".
    """
    if isinstance(value, str | os.PathLike) and isinstance(os.fspath(value), str):
        return Path(value)
    raise InputError(f"{value!r:.60} was given as {what}: give a path, as text or as a pathlib.Path")


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Replace a file in one step: write to the temporary path that this context manager gives.

    The temporary file lies in the same directory, is called `.NAME.tmp-PID-RANDOM.SUFFIX` and keeps the suffix. On a
    normal exit it is flushed to the disk and renamed to `path`; on any exception, KeyboardInterrupt included, it is
    removed and `path` is as it was. A killed process can leave it behind: see `remove_stale_temporaries`.

    Raises:
        CheckpointError: the operating system refuses, for example because the disk is full or read-only, or there is no
            such directory.
        InputError: `path` can't be the name of a file.
    """
    target = Path(path)
    if not target.name or "\0" in str(path):
        raise InputError(f"{str(path)!r} isn't the name of a file; give one.")
    temporary = target.with_name(f".{target.stem}.tmp-{os.getpid()}-{secrets.token_hex(4)}{target.suffix}")
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise CheckpointError(
                f"{target} can't be written: {error.strerror or error}. Whatever had that name before is unchanged. "
                "Make sure that the directory exists, is writable and has free space, or choose another one."
            ) from error
        raise
    with contextlib.suppress(OSError):  # lets the renaming last through a power cut, where the file system can do that
        directory = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def write_file(path: str | os.PathLike[str], *parts: bytes) -> None:
    """Write bytes to a file, one part after the other, as `atomic_write` does."""
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        file.writelines(parts)


def remove_stale_temporaries(directory: str | os.PathLike[str]) -> None:
    """Remove what killed writers left in a directory an hour ago or before; what can't be removed stays."""
    with contextlib.suppress(OSError):
        for path in Path(directory).iterdir():
            with contextlib.suppress(OSError):
                if TEMPORARY.fullmatch(path.name) and time.time() - path.lstat().st_mtime >= _STALE:
                    path.unlink()


def read_file(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """Return all bytes of a regular file; a larger or unreadable one, a pipe or a device is a CheckpointError."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:  # a pipe must not block
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise CheckpointError(f"{path} isn't a regular file, and only regular files are read. Name another.")
            if status.st_size > max_bytes:
                raise CheckpointError(f"{path} has {status.st_size} bytes, and at most {max_bytes} are read here. "
                                      "Restore it from a copy.")
            return file.read(status.st_size)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(f"{path} can't be read: {reason}. Check the name and your permissions.") from error


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a directory while the block runs, as far as its file system can.

    What is locked is the file `path` in it; both are made if need be, and no link is followed. Where another process
    holds the lock, or nothing can be written, an InputError is raised.
    """
    directory = path.parent
    try:
        directory.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        file = open(os.open(path, flags, 0o666), "rb+", buffering=0)
    except OSError as error:
        raise InputError(f"{directory} can't be written to: {error.strerror}. Give another directory") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"another process is at work in {directory}: wait for it, or give another directory"
                             ) from error
        except OSError as error:
            logging.getLogger("nnqmc").warning("%s can't be locked (%s): let no other process work in it", directory,
                                               error.strerror or error)
        yield


def forbidden_content(value: Any) -> str:
    """Return in words what may not be in nested dictionaries and lists that were read; "" if everything may.

    Control characters (but for tabs and line ends) could command a terminal that shows them, and whole numbers beyond
    64 bits can't be printed or computed with in a bounded time. What is nested too deeply is a RecursionError.
    """
    if isinstance(value, Mapping):
        return forbidden_content([*value.keys(), *value.values()])
    if isinstance(value, list | tuple):
        return next(filter(None, map(forbidden_content, value)), "")
    if isinstance(value, str) and not all(character.isprintable() or character in "\t\n\r" for character in value):
        return f"text with control characters ({value!r:.60})"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "a whole number of more than 64 bits"
    return ""
