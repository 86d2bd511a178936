"""What importing does: no device is touched, no JAX setting changed, and `--help` answers at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# With a platform that doesn't exist, whatever touches a device raises.
NO_SIDE_EFFECT = """
import importlib, pkgutil
import jax

before = dict(jax.config.values)
import nnqmc

for found in pkgutil.walk_packages(nnqmc.__path__, "nnqmc."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
changed = {name: (old, jax.config.values.get(name)) for name, old in before.items()
           if jax.config.values.get(name) != old}
if changed:
    raise SystemExit(f"importing nnqmc changed JAX settings: {changed}")
try:
    jax.devices()
except RuntimeError:
    pass
else:
    raise SystemExit("the probe is blunt: devices were there all the time")
"""

HELP = """
import sys

sys.argv = ["nnqmc", "--help"]
from nnqmc.cli import main

try:
    code = main()
except SystemExit as stop:
    code = stop.code
if code:
    raise SystemExit(f"--help ended with {code}")
slow = sorted({"jax", "flax", "optax", "pyscf", "scipy", "h5py", "matplotlib", "ase"} & set(sys.modules))
if slow:
    raise SystemExit(f"--help imported {slow}")
"""


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a new interpreter at the root of the project."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_importing_every_module_touches_no_device_and_changes_no_jax_setting() -> None:
    done = run_python(NO_SIDE_EFFECT, JAX_PLATFORMS="no_such_platform")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("effect", ["jax.devices()", "jax.numpy.zeros(3)", "jax.config.update('jax_enable_x64', True)"])
def test_the_probe_notices_a_device_and_a_setting(effect: str) -> None:
    code = NO_SIDE_EFFECT.replace("import nnqmc\n", f"import nnqmc\n{effect}\n", 1)
    assert run_python(code, JAX_PLATFORMS="no_such_platform").returncode != 0


def test_help_answers_without_importing_anything_slow() -> None:
    done = run_python(HELP)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout.lower()
