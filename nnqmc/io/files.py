"""Whole files are written atomically here, and read with a limit."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nnqmc.errors import CheckpointError, InputError

TEMPORARY = re.compile(r"\..+\.tmp-\d+-[0-9a-f]{8}(\.[^.]*)?")
"""The names of files that are being written."""


def as_path(value: Any, what: str) -> Path:
    """Return a path that a person gave, and refuse what is none.

    Args:
        value: text or a path.
        what: what the path should be of, such as "the directory of a run".

    Raises:
        InputError: it is neither text nor a path of text.
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

    Args:
        path: the file to write or replace; its directory must exist.

    Yields:
        The path to write to.

    Raises:
        CheckpointError: if the operating system refuses, for example because the disk is full or read-only.
        InputError: if `path` can't be the name of a file.
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
    _flush_directory(target.parent)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file as UTF-8, as `atomic_write` does."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))


def _flush_directory(directory: Path) -> None:
    """Make a rename last through a power cut, where the file system can do that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_stale_temporaries(directory: str | os.PathLike[str], age: float = 3600.0) -> None:
    """Remove what killed writers left in a directory; what can't be removed stays without an error.

    Args:
        directory: where to look, not deeper.
        age: only temporaries last changed at least this many seconds ago, since a younger one may be in use.
    """
    with contextlib.suppress(OSError):
        for path in Path(directory).iterdir():
            with contextlib.suppress(OSError):
                if TEMPORARY.fullmatch(path.name) and time.time() - path.lstat().st_mtime >= age:
                    path.unlink()


def read_file(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """Return all bytes of a regular file of limited size; anything else in its place (a pipe, a device) is refused.

    Raises:
        CheckpointError: if it is missing, unreadable, not a regular file, or larger.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # a pipe must not block
    try:
        with open(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise CheckpointError(f"{path} isn't a regular file, and only regular files are read. Name another.")
            if status.st_size > max_bytes:
                raise CheckpointError(f"{path} has {status.st_size} bytes, and at most {max_bytes} are read here. "
                                      "Restore it from a copy; if it is truly the file of nnqmc that you mean, read it "
                                      "with a larger `max_bytes`.")
            return file.read(status.st_size)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(f"{path} can't be read: {reason}. Check the name and your permissions.") from error


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a directory while the block runs, as far as its file system can.

    Args:
        path: the file in that directory which is locked; both are made if need be, and no link is followed.

    Raises:
        InputError: another process holds the lock, or the directory can't be written to.
    """
    directory = path.parent
    try:
        directory.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        file = open(os.open(path, flags, 0o666), "rb+", buffering=0)
    except OSError as error:
        raise InputError(f"{directory} can't be written to: {error.strerror}. Give another directory") from error
    with file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # not a POSIX system
            pass
        except BlockingIOError as error:
            raise InputError(f"another process is at work in {directory}: wait for it, or give another directory"
                             ) from error
        except OSError as error:
            logging.getLogger("nnqmc").warning("%s can't be locked (%s): let no other process work in it", directory,
                                               error.strerror or error)
        yield
