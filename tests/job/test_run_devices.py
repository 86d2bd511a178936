"""Devices and the number of walkers: chosen once, said, and free to change when a run is resumed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nnqmc
from nnqmc.config import Layer, resolve
from nnqmc.errors import InputError
from nnqmc.io import SeriesLog, load_arrays, load_series
from nnqmc.io.leaves import specs_of
from nnqmc.job import RunDirectory
from nnqmc.job.build import Components, build, state_template
from nnqmc.job.progress import Reporter
from nnqmc.methods import init_state
from nnqmc.parallel import BY_WALKER, EVERYWHERE, devices_for, devices_text, n_devices, over_devices
from nnqmc.parallel.states import spread
from nnqmc.samplers import resized
from nnqmc.system import molecule
from nnqmc.typing import SamplerState, TrainState
from nnqmc.wavefunctions import init_params

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"wavefunction": {"layers": 1, "hidden_one": 4, "hidden_two": 2, "n_determinants": 1}, "train": {"walkers": 4}}


class Marked(NamedTuple):
    """Walkers with an array of their own that has as many columns as there are walkers."""

    electrons: jax.Array
    log_weight: jax.Array
    square: jax.Array


@dataclass(frozen=True)
class Misleading:
    """A sampler that moves nothing, and shares arrays whose leading axis is as long as the first population."""

    n_walkers: int

    def init(self, walkers, system):
        square = jnp.broadcast_to(walkers.electrons[:, 0, :1], (walkers.electrons.shape[0], self.n_walkers))
        return SamplerState(Marked(*walkers, square), {"table": jnp.eye(self.n_walkers), "list": jnp.arange(4.0)})

    def step(self, key, log_density, state):
        return state, {"acceptance": jnp.ones(())}

    def freeze(self, state):
        return state

    def resize(self, state, n_walkers):
        return resized(state, n_walkers)


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
    template = partial(state_template, opened.config, build(opened.config))
    before = opened.load_state(template).state
    opened.config["train"]["walkers"] = 8
    after = opened.load_state(template)
    assert after.devices == 1 and after.state.sampler.walkers.electrons.shape == (32, 2, 3)
    np.testing.assert_array_equal(before.sampler.walkers.electrons, after.state.sampler.walkers.electrons)


def is_place(leaf) -> bool:
    return isinstance(leaf, jax.sharding.PartitionSpec)


def forms(tree) -> dict:
    return specs_of(tree)


@pytest.mark.parametrize("before", [2, 3, 32], ids="{} walkers".format)
def test_chains_made_longer_or_shorter_have_the_form_of_a_run_with_as_many_walkers(before: int) -> None:
    """Two walkers are as many as there are atoms and electrons, three as there are coordinates."""
    config = resolve(molecule("H2"), [Layer("test", {"train": {"walkers": before}})])
    parts = build(config)
    chains = state_template(config, parts).sampler
    for after in (2, 3, 48):
        resized_form = jax.eval_shape(partial(parts.sampler.resize, n_walkers=after), chains)
        assert forms(resized_form) == forms(state_template(config, parts, after).sampler)


@pytest.fixture
def misleading(tmp_path: Path) -> tuple[RunDirectory, Components, TrainState]:
    """The directory, the parts and the state of a run of four walkers, whose shapes don't say what is shared."""
    config = resolve(molecule("H2"), [Layer("test", SMALL)], {"sampler": "Misleading"})
    parts = build(config, {"sampler": Misleading(4)})
    electrons = jnp.arange(24.0).reshape(4, 2, 3)
    params = init_params(parts.wavefunction, jax.random.key(0), parts.system)
    state = init_state(jax.random.key(1), parts.system, params, electrons, parts.sampler, parts.optimizer)
    return RunDirectory(tmp_path / "run", config), parts, state


def test_what_is_shared_is_never_taken_for_walkers(misleading: tuple) -> None:
    _, parts, state = misleading
    more = parts.sampler.resize(state.sampler, 6)
    np.testing.assert_array_equal(more.per_walker.square, np.tile([[0], [6], [12], [18], [0], [6]], 4))
    np.testing.assert_array_equal(more.shared["table"], np.eye(4))
    with over_devices(1):
        places = jax.tree.map(lambda leaf: leaf.sharding.spec, spread(state))
        assert set(jax.tree.leaves(places.sampler.per_walker, is_leaf=is_place)) == {BY_WALKER}
        others = places._replace(sampler=places.sampler.shared)
        assert set(jax.tree.leaves(others, is_leaf=is_place)) == {EVERYWHERE}


def test_a_sampler_of_any_shapes_comes_back_with_the_walkers_that_were_written(misleading: tuple) -> None:
    directory, parts, state = misleading
    directory.path.mkdir()
    many = state._replace(sampler=parts.sampler.resize(state.sampler, 7))
    directory.save_state(many, SeriesLog(), {})
    found = directory.load_state(partial(state_template, directory.config, parts)).state
    assert jax.tree.structure(found) == jax.tree.structure(many)
    for ours, written in zip(jax.tree.leaves(found.sampler), jax.tree.leaves(many.sampler)):
        np.testing.assert_array_equal(ours, written)


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
@pytest.mark.parametrize("walkers", [pytest.param(48, marks=pytest.mark.ci), 16])
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
