"""`nnqmc doctor`: what nnqmc finds on this machine and whether it computes right, in lines for a bug report."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nnqmc.cli.cache import CHOSEN_CACHE, cache_folder
from nnqmc.errors import NnqmcError
from nnqmc.messages import gibibytes
from nnqmc.parallel.surroundings import check_devices
from nnqmc.parallel.threads import processors, threads
from nnqmc.version import VERSION

TESTED = MappingProxyType({
    "python": ("3.11", "3.13"),
    "jax": ("0.10", "0.12"),
    "jaxlib": ("0.10", "0.12"),
    "flax": ("0.12", "0.12"),
    "optax": ("0.2.8", "0.2.8"),
    "numpy": ("2.0", "2.5"),
    "h5py": ("3.12", "3.16"),
    "pyscf": ("2.9", "2.14"),
    "hdf5": ("1.10", "2.0"),
})
"""The oldest version that works and the newest that was tested, of Python and of what the numbers depend on."""

_VARIABLES = re.compile(r"(JAX|XLA|NNQMC|CUDA|NVIDIA|OMP|MKL|OPENBLAS|PYSCF|SLURM_(NTASKS|CPUS|NNODES))(_.*|$)")
_HIGHEST_ERROR, _TF32_ERROR = 1e-5, 5e-5
"""The relative errors above which matrix products aren't float32, and above which they are TF32 or less."""


class Finding(NamedTuple):
    """One line of the report; `wrong` says what to do about a fault, and `note` what else a reader should know."""

    name: str
    text: str
    wrong: str = ""
    note: str = ""

    def __str__(self) -> str:
        mark = "WRONG" if self.wrong else "note" if self.note else "ok"
        advice = f"\n{'':22}{self.wrong or self.note}" if self.wrong or self.note else ""
        return f"{mark:<6} {self.name:<14} {self.text}{advice}"


def doctor(arguments: Namespace) -> int:
    """Print all findings, and return 1 if something is wrong, which the last line names."""
    home = os.path.expanduser("~")  # it names a person, and others will read the report
    is_installed = {"site-packages", "dist-packages"}.intersection(Path(__file__).parts)
    print(f"nnqmc {VERSION}, {'installed' if is_installed else 'from a source tree'}, {sys.implementation.name}")
    wrong = []
    for finding in findings():
        print(str(finding).replace(home, "~") if os.path.isabs(home) and len(home) > 1 else finding, flush=True)
        wrong += [finding.name] if finding.wrong else []
    print(f"\nWRONG: {', '.join(wrong)}" if wrong else "\nall right")
    return 1 if wrong else 0


def findings() -> Iterator[Finding]:
    """Make all checks; one that breaks is itself a finding."""
    for check in (versions, devices, precision, machine, folders, hydrogen):
        try:
            yield from check()
        except Exception as error:  # a report is wanted most where something breaks in a way nobody thought of
            kind = "" if isinstance(error, NnqmcError) else f"{type(error).__name__}: "
            yield Finding(check.__name__, "broken", " ".join(f"{kind}{error}".split())[:500])


def versions() -> Iterator[Finding]:
    """Compare each version with the range that was tested."""
    for name, (oldest, newest) in TESTED.items():
        try:
            text = _version(name)
        except PackageNotFoundError:
            yield Finding(name, "missing", f"install it: pip install {name}")
            continue
        found, least, most = (tuple(map(int, re.findall(r"\d+", each)[:3])) for each in (text, oldest, newest))
        yield Finding(name, f"{text} (needs {oldest}, tested up to {newest})",
                      f"too old: {oldest} or newer is needed" if found < least else "",
                      "newer than what was tested" if found[:len(most)] > most else "")


def _version(name: str) -> str:
    """Return the version of Python, of the HDF5 library or of a package."""
    if name == "hdf5":
        from h5py.version import hdf5_version

        return hdf5_version
    return platform.python_version() if name == "python" else version(name)


def devices() -> Iterator[Finding]:
    """Report where JAX computes."""
    from nnqmc.cost.machine import device_memory

    check_devices()
    names = [device.device_kind + (f" ({gibibytes(memory)})" if (memory := device_memory(device)) else "")
             for device in jax.local_devices()]
    idle = jax.default_backend() == "cpu" and (shutil.which("nvidia-smi") or Path("/dev/nvidia0").exists())
    yield Finding("devices", f"{jax.default_backend()}: {', '.join(names)}", note="an NVIDIA GPU seems to be here that "
                  "JAX doesn't use: pip install 'nnqmc[cuda]'" if idle else "")


def precision() -> Iterator[Finding]:
    """Measure the error of float32 matrix products, which may be TF32 by default on a GPU, but not at "highest"."""
    check_devices()
    first, second = np.random.default_rng(0).standard_normal((2, 256, 256)).astype(np.float32)
    exact = first.astype(np.float64) @ second.astype(np.float64)
    default, highest = (float(np.abs(np.asarray(jnp.matmul(first, second, precision=name), np.float64) - exact).max()
                              / np.abs(exact).max()) for name in (None, "highest"))
    kind = "TF32 or less" if default > _TF32_ERROR else "float32"
    advice = "'highest' isn't float32: look for XLA_FLAGS that lower the precision"
    yield Finding("float32", f"products at 'highest' err by {highest:.1e}, at JAX's default by {default:.1e} ({kind})",
                  "" if highest < _HIGHEST_ERROR else advice)


def machine() -> Iterator[Finding]:
    """Report the system, processors, memory, disk and those environment variables that matter."""
    from nnqmc.cost.machine import host_memory

    yield Finding("system", f"{platform.system()} {platform.release()}, {platform.machine()}")
    yield Finding("processors", f"{os.cpu_count()}, of which {processors()} may be used, by {threads()} threads of XLA")
    memory = host_memory()
    yield Finding("memory", f"{gibibytes(memory)} may be used" if memory < 2**62 else "not known")
    free = shutil.disk_usage(".").free
    yield Finding("disk", f"{gibibytes(free)} free here",
                  "make room: checkpoints can't be written" if free < 2**26 else "")
    chosen = [f"{name}={value}" for name, value in sorted(os.environ.items()) if _VARIABLES.fullmatch(name)]
    yield Finding("environment", "; ".join(chosen) or "nothing set")


def folders() -> Iterator[Finding]:
    """Try whether compiled programs can be kept, and files written and read back."""
    from nnqmc.io import load_arrays, save_tree

    yield _cache()
    numbers = np.arange(1000.0)
    with tempfile.TemporaryDirectory() as folder:
        save_tree(Path(folder) / "check.h5", {"numbers": numbers}, {})
        is_same = np.array_equal(load_arrays(Path(folder) / "check.h5")[0]["numbers"], numbers)
    yield Finding("files", f"written and read back in {tempfile.gettempdir()}",
                  "" if is_same else "what was read isn't what was written: report this")


def _cache() -> Finding:
    """Try the folder for compiled programs, the one that JAX was told to use or nnqmc's own."""
    chosen = os.environ.get(CHOSEN_CACHE, "")
    if "://" in chosen:
        return Finding("cache", f"{chosen}, not on this machine and not tried")
    try:
        folder = Path(chosen) if chosen else cache_folder()
        if folder is None:
            return Finding("cache", "switched off")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return Finding("cache", str(folder))
    except (OSError, RuntimeError) as error:
        name, off = (CHOSEN_CACHE, "unset it") if chosen else ("XDG_CACHE_HOME", "set NNQMC_CACHE=off")
        return Finding("cache", "none", f"{error}: every run compiles anew; set {name} to a writable folder of your "
                       f"own, or {off}")


def hydrogen() -> Iterator[Finding]:
    """Compute the hydrogen atom and compare it with its exact answer."""
    for name, found, exact, tolerance in hydrogen_atom():
        is_right = abs(found - exact) <= tolerance  # nothing is right about a nan
        yield Finding(f"H {name}", f"{found:.6f} (exact: {exact:g})", "" if is_right else "wrong numbers: report this")


def hydrogen_atom() -> Iterator[tuple[str, float, float, float]]:
    """Compute the hydrogen atom; yield names, the numbers found, their exact values and tolerances, in hartree.

    The wavefunction exp(-a r) is exact at a = 1 and compiles faster than a network. A tolerance is the largest
    difference that is due to rounding, noise or the basis.
    """
    from flax import linen as nn

    from nnqmc.job import solve
    from nnqmc.scf import hartree_fock
    from nnqmc.system import molecule
    from nnqmc.typing import Electrons, SignedLog, System

    class Exponential(nn.Module):
        @nn.compact
        def __call__(self, electrons: Electrons, system: System) -> SignedLog:
            radius = jnp.linalg.norm(electrons[0])
            exponent = self.param("exponent", nn.initializers.constant(0.7), ())
            return SignedLog(jnp.ones_like(radius), -exponent * radius)

    yield "Hartree-Fock", float(hartree_fock(molecule("H")).energy), -0.5, 2e-3
    result = solve("H", wavefunction=Exponential(), optimizer={"learning_rate": 0.5}, pretrain={"steps": 0},
                   walkers=256, steps=30, evaluate={"target_error": None, "max_steps": 100}, progress=False)
    attraction = result.terms["electron_nucleus"]
    yield "energy", result.energy.value, -0.5, 1e-4
    yield "variance", result.energy.variance, 0.0, 1e-4
    yield "attraction", attraction.value, -1.0, 6.0 * min(attraction.error, 0.1) + 1e-3
