"""What every test runs under: enforced shapes and types, quick compilation, and GPU tests that know when to skip.

- `NNQMC_TYPECHECK=0` switches the enforcement of annotations off. One function or class is left out by decorating it
  with `typing.no_type_check`.
- Programs are compiled without optimisation, which takes a fifth of the time. If `XLA_FLAGS` is set it is left alone:
  `XLA_FLAGS= pytest` compiles as nnqmc does for everybody, and so do the tests on the second Python of `.ci/run`.
- Generated inputs (hypothesis) are the same in every run; `NNQMC_TEST_INPUTS=random` searches on.
- `NNQMC_TEST_CACHE=0` switches the compilation cache off; it lies in `.pytest_cache` and may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args, get_type_hints, runtime_checkable

import hypothesis
import jaxtyping
import pytest
from jaxtyping import jaxtyped

ROOT = Path(__file__).resolve().parents[1]

TINY = MappingProxyType({
    "wavefunction": {"layers": 1, "hidden_one": 8, "hidden_two": 4, "n_determinants": 1, "slater_functions": False},
    "pretrain": {"steps": 5},
    "train": {"burn_in": 5, "walkers": 32, "steps": 4, "checkpoint_steps": 1},
    "evaluate": {"max_steps": 20, "burn_in": 5, "target_error": 1.0},
    "progress": False,
})
"""Settings for `solve` that take seconds; all tests use the same, so that programs are compiled once."""

LONGEST = ("test_crashes.py", "test_devices.py", "test_processes.py", "test_examples.py", "test_run_devices.py",
           "test_solve.py", "test_three_laplacians.py", "test_extending.py", "test_commands.py", "test_trained.py")
"""These files are tested first and in this order: no process waits at the end for another that still has one of them,
and of two processes only one compiles the tiny run, which the other then finds compiled."""


def _is_on(variable: str) -> bool:
    return os.environ.get(variable, "1") not in ("0", "false", "no", "off")


_checks: dict[tuple, Callable[..., Any]] = {}


def typecheck(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` with its annotations enforced at every call.

    An integer is accepted where a float is asked for. Protocols count as satisfied by whatever has their methods. The
    constructors are left alone: JAX rebuilds dataclasses that are pytrees with placeholders in place of arrays.
    """
    if function.__name__ == "__init__":
        return function
    from beartype import BeartypeConf, beartype

    for value in list(vars(sys.modules[function.__module__]).values()):
        if isinstance(value, type) and value.__dict__.get("_is_protocol") and value.__module__.startswith("nnqmc"):
            runtime_checkable(value)
    return beartype(function, conf=BeartypeConf(is_pep484_tower=True, violation_type=jaxtyping.TypeCheckError))


def _typecheck_once(stub: Callable[..., Any]) -> Callable[..., Any]:
    """`typecheck` of what jaxtyping has checked in place of a function: names and annotations without a body.

    A function within a function is made anew whenever the outer one is called, with the same annotations as before.
    """
    code = stub.__code__
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    key = (stub.__module__, stub.__qualname__, code.co_varnames, counts, code.co_code, *stub.__annotations__.items())
    if key not in _checks:
        _checks[key] = typecheck(stub)
    return _checks[key]


def _is_of_arrays(hint: Any) -> bool:
    return type(hint).__module__.startswith("jaxtyping") or any(map(_is_of_arrays, get_args(hint)))


def _speaks_of_arrays(function: Callable[..., Any]) -> bool:
    try:
        return any(map(_is_of_arrays, get_type_hints(function, include_extras=True).values()))
    except Exception:  # a name that is defined further down
        return True


def enforced(function: Any = None, *, typechecker: Any = None) -> Callable[..., Any]:
    """`function` with its annotations enforced; the import hook decorates every function of nnqmc with this.

    Where annotations name axes, jaxtyping compares those of all arrays of a call, which takes 0.1 ms. The functions
    that are called most have no arrays in their annotations: beartype checks these alone, in a hundredth of the time.
    """
    if function is None:
        return partial(enforced, typechecker=typechecker)
    if not inspect.isfunction(function):
        return function
    if "<locals>" not in function.__qualname__ and not _speaks_of_arrays(function):
        return typecheck(function)
    return jaxtyped(function, typechecker=_typecheck_once)


def _repeat_generated_inputs() -> None:
    hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
    hypothesis.settings.register_profile("random", deadline=None)
    hypothesis.settings.load_profile(os.environ.get("NNQMC_TEST_INPUTS", "repeatable"))


def _use_one_core_per_worker() -> None:
    """Under `pytest -n`: one core for each process, so that XLA's threads don't compete."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker.startswith("gw") and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker[2:]) % len(cores)]})


def _compile_quickly() -> None:
    """Let XLA compile without optimising, in all processes of the tests, where there is no GPU and the flags are known.

    XLA ends a process with a flag that it doesn't know, so another process tries them.
    """
    quick = {"XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"}
    trial = "import jax; raise SystemExit(jax.default_backend() != 'cpu')"
    if subprocess.run([sys.executable, "-c", trial], env=os.environ | quick, capture_output=True).returncode == 0:
        os.environ |= quick


def _cache_compilations() -> None:
    """Let JAX keep compiled functions between processes and runs, apart for each version and kind of machine."""
    machine = [platform.machine(), platform.processor()]
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        machine += sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
    versions = [platform.python_version(), version("jax"), version("jaxlib")]
    key = hashlib.sha256("\n".join(versions + machine).encode()).hexdigest()[:16]
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".pytest_cache" / "d" / f"jax-{key}"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")


# Jobs in the background of a script start with Ctrl-C ignored, which nnqmc respects; the tests need it heard.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_repeat_generated_inputs()
_use_one_core_per_worker()
if "XLA_FLAGS" not in os.environ and "jax" not in sys.modules:
    _compile_quickly()
if _is_on("NNQMC_TEST_CACHE") and "jax" not in sys.modules:
    _cache_compilations()
if _is_on("NNQMC_TYPECHECK"):
    if any(name == "nnqmc" or name.startswith("nnqmc.") for name in sys.modules):
        raise pytest.UsageError("nnqmc was imported before tests/conftest.py, so its annotations can't be enforced")
    jaxtyping.jaxtyped = enforced
    jaxtyping.install_import_hook("nnqmc", None)


def _has_gpu() -> bool:
    import jax

    try:
        return bool(jax.devices("gpu"))
    except RuntimeError:
        return False


@pytest.fixture
def double_precision() -> Iterator[None]:
    """JAX computes in float64; a file that always needs it says `pytestmark = pytest.mark.usefixtures(...)`."""
    import jax

    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def tiny() -> dict:
    return dict(TINY)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run of four steps that nothing disturbed; don't write to it."""
    import nnqmc

    out = tmp_path_factory.mktemp("runs") / "he"
    nnqmc.solve("He", out=out, seed=3, **TINY)
    return out


def pytest_configure(config: pytest.Config) -> None:
    """Leave pytest-xdist no order of its own: it has the files with few tests last, and these may be the longest."""
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first."""
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(LONGEST)))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a GPU where there is none."""
    if item.get_closest_marker("gpu") and not _has_gpu():
        pytest.skip("needs a GPU, and JAX sees none")
