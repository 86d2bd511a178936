"""Compiled programs that are kept between runs, in a private folder for each compiler and kind of processor."""

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


def enable_compilation_cache(is_wanted: bool = True) -> None:
    """Switch on JAX's persistent cache for programs that take more than half a second to compile.

    Nothing happens if it isn't wanted, if NNQMC_CACHE=off, if JAX_COMPILATION_CACHE_DIR names another folder, or if
    there can't be a private folder, which does no harm.
    """
    with contextlib.suppress(OSError, RuntimeError):
        if is_wanted and not os.environ.get(CHOSEN_CACHE) and (folder := cache_folder()) is not None:
            import jax

            jax.config.update("jax_compilation_cache_dir", str(folder))
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def cache_folder() -> Path | None:
    """Return the folder for this compiler and processor, made if need be, or None if it is switched off.

    What is in it is run as a program, and so nobody else may write there.

    Raises:
        OSError: the folder can't be made, or it is somebody else's.
    """
    if os.environ.get("NNQMC_CACHE", "").lower() in ("off", "0", "no", "false"):
        return None
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    home = Path(chosen) if os.path.isabs(chosen) else Path.home() / ".cache"
    path = home / "nnqmc" / f"jaxlib-{version('jaxlib')}-{_processor_tag()}"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in (path.parent, path):
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != getattr(os, "getuid", lambda: 0)():
            raise PermissionError(f"{folder} isn't a folder of your own")
        folder.chmod(0o700)
    return path


def _processor_tag() -> str:
    """Return a short name for the kind of processor: programs compiled for one may not run on another."""
    found = [platform.machine(), platform.processor()]
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        found += sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
    return hashlib.sha256("\n".join(found).encode()).hexdigest()[:12]
