"""The number of devices changes nothing but the order of sums."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def found() -> dict:
    """What tests/support/step_over_devices.py finds on four simulated devices."""
    return printed("step_over_devices.py", 4)


def printed(script: str, n_devices: int) -> dict:
    """What a script of tests/support prints on simulated devices."""
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": str(n_devices), "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, ROOT / "tests" / "support" / script], env=environment, capture_output=True,
                         text=True, timeout=500)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("devices", ["2", "4"])
def test_walk_energies_gradient_and_update_are_those_of_one_device(devices: str, found: dict) -> None:
    one, many = found["None"], found[devices]
    assert many["per device"] == 16 // int(devices)
    for name in ("walk", "energies", "gradient", "direction", "params"):
        scale = np.abs(one[name]).max()
        assert scale > 0.0, name
        np.testing.assert_allclose(many[name], one[name], atol=1e-4 * scale, err_msg=name)


@pytest.mark.slow
def test_every_method_follows_the_same_gradient_on_two_devices() -> None:
    for name, runs in printed("methods_over_devices.py", 2).items():
        one, two = runs["None"], runs["2"]
        assert two["per device"] == 8
        for number in ("walk", "params", "energy"):
            np.testing.assert_allclose(two[number], one[number], rtol=1e-4, atol=1e-4, err_msg=f"{name}: {number}")


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("devices", ["2", "4"])
def test_walkers_that_are_born_and_die_do_so_on_several_devices_too(devices: str, found: dict) -> None:
    one, many = found["branching, None"], found[f"branching, {devices}"]
    assert many["branchings"] == one["branchings"] > 1 and many["age"] == one["age"]
    for name in ("electrons", "electrons after growth", "trial energy"):
        np.testing.assert_allclose(many[name], one[name], atol=1e-4, err_msg=name)
    assert many["rows per device"] == [16 // int(devices)] and many["copies of what is shared"] == int(devices)
    assert many["rows per device after growth"] == 32 // int(devices)


@pytest.mark.slow
@pytest.mark.ci
def test_chunks_are_taken_without_a_message_between_devices(found: dict) -> None:
    ours, along_the_whole_axis = found["messages"]
    assert ours == 0 < along_the_whole_axis


@pytest.mark.slow
@pytest.mark.ci
def test_by_default_as_many_devices_are_used_as_can_share_the_walkers(found: dict) -> None:
    assert found["automatic"] == {"16": 4, "18": 3, "17": 1}
