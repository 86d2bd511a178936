"""Devices and the number of walkers: chosen once, said, and free to change when a run is resumed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import nnqmc
from nnqmc.config import Layer, resolve
from nnqmc.errors import InputError
from nnqmc.io import load_arrays, load_series
from nnqmc.job import RunDirectory
from nnqmc.job.build import build, state_template
from nnqmc.job.devices import devices_for, devices_text, with_walkers
from nnqmc.job.progress import Reporter
from nnqmc.parallel import n_devices, over_devices
from nnqmc.system import molecule

ROOT = Path(__file__).resolve().parents[2]


class Notes(Reporter):
    """What a person would have read."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of the run of four steps."""
    return Path(shutil.copytree(finished, tmp_path / "copy"))


@pytest.mark.skipif(jax.device_count() > 1, reason="for one device")
def test_on_one_device_there_is_no_mesh_and_nothing_to_say() -> None:
    with devices_for(7):
        assert jax.sharding.get_mesh().empty and n_devices() == 1
        assert devices_text(7) == ""


@pytest.mark.parametrize("number", [0, -1, 1000])
def test_devices_that_aren_t_there_are_refused(number: int) -> None:
    with pytest.raises(InputError, match=rf"{number} devices were asked for, and there"), over_devices(number):
        pass


def test_a_checkpoint_comes_back_with_the_walkers_it_has(copy: Path) -> None:
    opened = RunDirectory.open(copy)
    before = opened.load_state(state_template(opened.config, build(opened.config))).state
    opened.config["train"]["walkers"] = 8
    after = opened.load_state(state_template(opened.config, build(opened.config)))
    assert after.devices == 1 and after.state.sampler.walkers.electrons.shape == (32, 2, 3)
    np.testing.assert_array_equal(before.sampler.walkers.electrons, after.state.sampler.walkers.electrons)


def test_the_form_of_a_state_with_other_walkers_is_that_of_a_run_with_them(finished: Path) -> None:
    config = RunDirectory.open(finished).config
    of_32 = state_template(config, build(config))
    config["train"]["walkers"] = 48
    shapes = [[(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)]
              for tree in (with_walkers(of_32, 48), state_template(config, build(config)), of_32)]
    assert shapes[0] == shapes[1] != shapes[2]


def test_as_many_atoms_as_walkers_are_not_taken_for_walkers() -> None:
    forms = {}
    for walkers in (2, 3):
        config = resolve(molecule("H2"), [Layer("test", {"train": {"walkers": walkers}})])
        forms[walkers] = state_template(config, build(config))
    shapes = [[(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)]
              for tree in (with_walkers(forms[2], 3), forms[3])]
    assert shapes[0] == shapes[1]


@pytest.mark.slow
@pytest.mark.ci
def test_a_run_goes_on_with_another_number_of_devices_and_says_so(copy: Path) -> None:
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": "2", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    for steps, devices in ((5, 2), (6, 1)):
        ran = subprocess.run([sys.executable, "-m", "nnqmc", "resume", copy, "--steps", str(steps), "--devices",
                              str(devices)], env=environment, capture_output=True, text=True, timeout=500)
        assert ran.returncode == 0, ran.stderr
        said = re.search(r"resuming at step (\d) of (\d), (.*)", ran.stderr)
        expected = (f"on {place} (the checkpoint was written on {before})"
                    for place, before in (("2 devices", 1), ("1 of 2 devices", 2)))
        assert said.groups() == (str(steps - 1), str(steps), tuple(expected)[steps - 5])
    assert load_series(copy / "train.h5")[0]["step"].tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("walkers", [48, 16])
def test_a_run_goes_on_with_another_number_of_walkers_and_says_so(walkers: int, copy: Path, tmp_path: Path) -> None:
    again, said = Path(shutil.copytree(copy, tmp_path / "again")), Notes()
    nnqmc.resume(copy, steps=5, walkers=walkers, progress=said)
    assert any(note.startswith(f"{walkers} walkers instead of the 32 of the checkpoint: ") for note in said.notes)
    electrons = load_arrays(copy / "checkpoint-0000005.h5")[0]["sampler.per_walker.electrons"]
    assert electrons.shape == (walkers, 2, 3)
    assert len({walker.tobytes() for walker in electrons}) == walkers, "copies have not parted"
    assert load_series(copy / "train.h5")[0]["step"].tolist() == [1, 2, 3, 4, 5]
    assert RunDirectory.open(copy).config["train"]["walkers"] == walkers
    nnqmc.resume(again, steps=5, walkers=walkers, progress=False)
    repeated = load_arrays(again / "checkpoint-0000005.h5")[0]
    assert all(np.array_equal(array, repeated[name]) for name, array in
               load_arrays(copy / "checkpoint-0000005.h5")[0].items())
