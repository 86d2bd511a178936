"""What nnqmc finds on this machine: versions, devices, precision, processors, memory, folders."""

from __future__ import annotations

import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from nnqmc.cli.cache import CHOSEN_CACHE, cache_folder

TESTED = MappingProxyType({
    "python": ("3.11", "3.13"),
    "jax": ("0.10", "0.12"),
    "jaxlib": ("0.10", "0.12"),
    "flax": ("0.12", "0.12"),
    "optax": ("0.2.8", "0.2.8"),
    "numpy": ("2.0", "2.5"),
    "h5py": ("3.12", "3.16"),
    "pyscf": ("2.9", "2.14"),
})
"""The oldest version that is allowed and the newest that was tested, of Python and of what the numbers depend on."""

_HDF5 = ("1.10", "2.0")
_VARIABLES = re.compile(r"(JAX|XLA|NNQMC|CUDA|NVIDIA|OMP|MKL|OPENBLAS|PYSCF|SLURM_(NTASKS|CPUS|NNODES))(_.*|$)")
_SIZE, _FLOAT32, _TF32 = 256, 1e-6, 1e-4


class Finding(NamedTuple):
    """One line of the report; `wrong` says what to do about what can't stay so, `note` about what may."""

    name: str
    text: str
    wrong: str = ""
    note: str = ""


def versions() -> Iterator[Finding]:
    """Each version against the range that was tested."""
    for name, (oldest, newest) in TESTED.items():
        try:
            found = platform.python_version() if name == "python" else version(name)
        except PackageNotFoundError:
            yield Finding(name, "missing", f"install it: pip install {name}")
            continue
        yield _compared(name, found, oldest, newest)
    from h5py.version import hdf5_version

    yield _compared("hdf5", hdf5_version, *_HDF5)


def _compared(name: str, found: str, oldest: str, newest: str) -> Finding:
    text = f"{found} (needs {oldest}, tested up to {newest})"
    if _numbers(found) < _numbers(oldest):
        return Finding(name, text, f"too old: {oldest} or newer is needed")
    is_newer = _numbers(found)[: len(_numbers(newest))] > _numbers(newest)
    return Finding(name, text, note="newer than what was tested" if is_newer else "")


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])


def devices() -> Iterator[Finding]:
    """Where JAX computes."""
    import jax

    kinds = ", ".join(f"{device.id}: {device.device_kind}{_memory_of(device)}" for device in jax.local_devices())
    idle = jax.default_backend() == "cpu" and (shutil.which("nvidia-smi") or Path("/dev/nvidia0").exists())
    yield Finding("backend", f"{jax.default_backend()}, {jax.process_count()} processes, {jax.device_count()} devices",
                  note="an NVIDIA GPU seems to be here that JAX doesn't use: pip install 'nnqmc[cuda]'" if idle else "")
    yield Finding("devices", kinds)


def _memory_of(device: object) -> str:
    stats = device.memory_stats() if device.platform != "cpu" else None  # type: ignore[attr-defined]
    return f" ({_gib(stats['bytes_limit'])})" if stats and "bytes_limit" in stats else ""


def precision() -> Iterator[Finding]:
    """What float32 products are accurate to, measured: the default may be TF32 on a GPU, "highest" must not be."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    first, second = np.random.default_rng(0).standard_normal((2, _SIZE, _SIZE)).astype(np.float32)
    exact = first.astype(np.float64) @ second.astype(np.float64)
    errors = {}
    for name in ("default", "highest"):
        product = jnp.matmul(first, second, precision=None if name == "default" else name)
        errors[name] = float(np.abs(np.asarray(product, np.float64) - exact).max() / np.abs(exact).max())
    reduced = errors["default"] > _TF32 / 2
    yield Finding("float32", f"products at 'highest' err by {errors['highest']:.1e}, at JAX's default by "
                  f"{errors['default']:.1e} ({'TF32 or less' if reduced else 'float32'})",
                  wrong="'highest' isn't float32: look for XLA_FLAGS that lower the precision"
                  if not errors["highest"] < 10 * _FLOAT32 else "")
    yield Finding("jax settings", f"x64 {'on' if jax.config.jax_enable_x64 else 'off'}, default_matmul_precision "
                  f"{jax.config.jax_default_matmul_precision}")


def machine() -> Iterator[Finding]:
    """Processors, threads, memory and disk."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("system", f"{platform.system()} {platform.release()}, {platform.machine()}")
    from nnqmc.scf.caution import import_pyscf

    import_pyscf()
    from pyscf.lib import num_threads

    yield Finding("processors", f"{os.cpu_count()}, of which {allowed} may be used; {num_threads()} OpenMP thread(s)")
    yield Finding("memory", _memory())
    free = shutil.disk_usage(".").free
    yield Finding("disk", f"{_gib(free)} free here", "make room: checkpoints can't be written" if free < 2**26 else "")
    chosen = [f"{name}={value}" for name, value in sorted(os.environ.items()) if _VARIABLES.fullmatch(name)]
    yield Finding("environment", _without_home("; ".join(chosen)) or "nothing set")


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return "not known"
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
    except (OSError, ValueError):
        return _gib(total)
    return f"{_gib(total)}, of which {_gib(min(limit, total))} may be used"


def folders() -> Iterator[Finding]:
    """Whether compiled programs can be kept and files written and read back."""
    yield _cache(os.environ.get(CHOSEN_CACHE, ""))
    text = f"written and read back in {_without_home(tempfile.gettempdir())}"
    yield Finding("files", text, "" if _is_read_back() else "what was read isn't what was written: report this")


def _cache(chosen: str) -> Finding:
    """The folder that compiled programs are kept in; `chosen` is what JAX was told to use, "" for nnqmc's own."""
    if "://" in chosen:
        return Finding("cache", f"{chosen} ({CHOSEN_CACHE}), not on this machine and not tried")
    by, advice = "", "set XDG_CACHE_HOME to a writable folder of your own, or NNQMC_CACHE=off"
    if chosen:
        by, advice = f" ({CHOSEN_CACHE})", f"set {CHOSEN_CACHE} to a writable folder of your own, or unset it"
    try:
        folder = Path(chosen) if chosen else cache_folder()
        if folder is None:
            return Finding("cache", "switched off")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return Finding("cache", _without_home(str(folder)) + by)
    except (OSError, RuntimeError) as error:
        return Finding("cache", f"none{by}", f"{_without_home(str(error))}: every run compiles anew; {advice}")


def _is_read_back() -> bool:
    import numpy as np

    from nnqmc.io import load_arrays, save_tree

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "check.h5"
        save_tree(path, {"numbers": np.arange(1000.0)}, {})
        return np.array_equal(load_arrays(path)[0]["numbers"], np.arange(1000.0))


def _without_home(text: str) -> str:
    """Nobody's name in a report that others will read."""
    home = os.path.expanduser("~")  # left as it is where there is none
    return text.replace(home, "~") if os.path.isabs(home) and len(home) > 1 else text


def _gib(size: int) -> str:
    return f"{size / 2**30:.3g} GiB"


CHECKS: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
    ("versions", versions), ("devices", devices), ("precision", precision), ("machine", machine), ("folders", folders))
"""All of them, by the name that stands in the report if one can't be made."""
