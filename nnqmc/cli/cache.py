"""Compiled programs kept between runs: a private folder for each version of the compiler and kind of processor."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import stat
from importlib.metadata import version
from pathlib import Path

CHOSEN_CACHE = "JAX_COMPILATION_CACHE_DIR"
"""The environment variable that names another folder, which JAX then uses by itself."""

_MIN_SECONDS = 0.5
"""Programs that compile faster than this aren't worth a file."""


def enable_compilation_cache(is_wanted: bool = True) -> Path | None:
    """Switch on JAX's persistent cache, unless it isn't wanted or can't be private; that harms nothing.

    NNQMC_CACHE=off switches it off, and a folder set by JAX_COMPILATION_CACHE_DIR stays.

    Returns:
        The folder, or None.
    """
    folder = None
    if is_wanted and not os.environ.get(CHOSEN_CACHE):
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            folder = cache_folder()
    if folder is not None:
        import jax

        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _MIN_SECONDS)
    return folder


def cache_folder() -> Path | None:
    """The folder for this compiler and processor, made if need be; None if it is switched off.

    Raises:
        OSError: it can't be made, or somebody else could write into it.
    """
    if os.environ.get("NNQMC_CACHE", "").lower() in ("off", "0", "no", "false"):
        return None
    path = cache_home() / f"jaxlib-{version('jaxlib')}-{processor_tag()}"
    if private_folder(path) is None:
        raise PermissionError(f"{path} isn't a folder of your own")
    return path


def cache_home() -> Path:
    """Where this user's caches of nnqmc are."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if os.path.isabs(home) else Path.home() / ".cache") / "nnqmc"


def private_folder(path: Path) -> Path | None:
    """The folder, made with its parents if need be; None if somebody else could write into it.

    What is in the cache is run as a program, so it has to be nobody else's.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in (path.parent, path):
        status = folder.lstat()
        is_own = not hasattr(os, "getuid") or status.st_uid == os.getuid()
        if not stat.S_ISDIR(status.st_mode) or not is_own:
            return None
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or folder is path:
            folder.chmod(0o700)
    return path


def processor_tag() -> str:
    """A short name for the kind of processor: programs compiled for one may not run on another."""
    found = [platform.machine(), platform.processor()]
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        found += sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
    return hashlib.sha256("\n".join(found).encode()).hexdigest()[:12]
