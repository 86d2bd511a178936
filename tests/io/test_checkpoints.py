"""The newest good checkpoint is found; saving never costs one that is still needed."""

import logging
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from nnqmc.errors import CheckpointError
from nnqmc.io import from_arrays, latest_checkpoint, list_checkpoints, load_arrays, save_checkpoint


def state(step):
    return {"step": jnp.asarray(step), "key": jax.random.key(step), "x": jnp.full(3, step, jnp.float32)}


def steps(directory):
    return [int(path.stem.split("-")[1]) for path in list_checkpoints(directory)]


def damage(path):
    path.write_bytes(path.read_bytes()[:-1])


def test_the_last_few_are_kept_and_the_latest_is_loaded(tmp_path):
    for step in (0, 300, 600, 900, 1200):
        path = save_checkpoint(tmp_path, state(step), step, {"config": "abc"})
    assert path.name == "checkpoint-0001200.h5"
    assert steps(tmp_path) == [600, 900, 1200]
    assert latest_checkpoint(tmp_path) == path
    arrays, attributes = load_arrays(path, state(0))
    loaded = from_arrays(arrays, state(0))
    assert attributes == {"config": "abc", "step": 1200}
    assert int(loaded["step"]) == 1200 and jnp.all(loaded["x"] == 1200)
    assert jax.random.bits(loaded["key"]) == jax.random.bits(jax.random.key(1200))


def test_order_is_by_step_and_not_by_spelling(tmp_path):
    for step in (9_999_999, 10_000_000):
        save_checkpoint(tmp_path, state(1), step, {})
    assert steps(tmp_path) == [9_999_999, 10_000_000]


def test_without_any_checkpoint_there_is_no_latest(tmp_path):
    (tmp_path / "checkpoint-x.h5").touch()
    (tmp_path / ".checkpoint-0000001.tmp-1-00000000.h5").touch()
    assert latest_checkpoint(tmp_path) is None
    assert latest_checkpoint(tmp_path / "missing") is None


def test_damaged_newest_ones_are_passed_over_with_a_warning(tmp_path, caplog):
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, state(step), step, {})
    damage(tmp_path / "checkpoint-0000003.h5")
    (tmp_path / "checkpoint-0000009.h5").mkdir()
    with caplog.at_level(logging.WARNING, logger="nnqmc"):
        assert latest_checkpoint(tmp_path).name == "checkpoint-0000002.h5"
    assert "checkpoint-0000003.h5 is truncated" in caplog.text and "checkpoint-0000009.h5" in caplog.text


def test_if_all_are_damaged_it_is_an_error_and_not_a_new_start(tmp_path):
    damage(save_checkpoint(tmp_path, state(1), 1, {}))
    with pytest.raises(CheckpointError, match="None of the 1 checkpoints"):
        latest_checkpoint(tmp_path)


def test_a_renamed_checkpoint_is_not_taken_for_a_later_one(tmp_path):
    path = save_checkpoint(tmp_path, state(1), 1, {})
    copy = tmp_path / "checkpoint-0000005.h5"
    copy.write_bytes(path.read_bytes())
    assert latest_checkpoint(tmp_path) == path
    path.unlink()
    with pytest.raises(CheckpointError, match="step = 1, and by its name step = 5 is needed"):
        latest_checkpoint(tmp_path)


def test_a_checkpoint_of_another_molecule_is_refused(tmp_path):
    path = save_checkpoint(tmp_path, state(1), 1, {"config": "abc"})
    with pytest.raises(CheckpointError, match="another molecule, network"):
        load_arrays(path, state(0) | {"x": jnp.zeros(4)})


def test_older_ones_go_only_after_the_new_one_is_safe(tmp_path, monkeypatch):
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, state(step), step, {})
    monkeypatch.setattr(os, "replace", lambda *args: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(CheckpointError, match="No space left"):
        save_checkpoint(tmp_path, state(4), 4, {})
    assert steps(tmp_path) == [1, 2, 3]


def test_the_new_one_stays_even_beside_damaged_later_ones(tmp_path):
    for step in (4, 5, 6):
        save_checkpoint(tmp_path, state(step), step, {})
    for step in (5, 6):
        damage(tmp_path / f"checkpoint-000000{step}.h5")
    (tmp_path / "checkpoint-0000004.h5").unlink()
    for step in (1, 2, 3, 4):
        new = save_checkpoint(tmp_path, state(step), step, {})
    assert latest_checkpoint(tmp_path) == new and steps(tmp_path) == [2, 3, 4, 5, 6]


def test_a_checkpoint_that_cannot_be_removed_is_only_a_warning(tmp_path, monkeypatch, caplog):
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, state(step), step, {})
    monkeypatch.setattr(Path, "unlink", lambda *args, **kwargs: (_ for _ in ()).throw(PermissionError(13, "no")))
    save_checkpoint(tmp_path, state(4), 4, {})
    assert steps(tmp_path) == [1, 2, 3, 4] and "can't be removed" in caplog.text


def test_a_file_in_place_of_the_directory_is_a_clear_error(tmp_path):
    (tmp_path / "run").touch()
    for action in (list_checkpoints, latest_checkpoint, lambda path: save_checkpoint(path, {}, 1, {})):
        with pytest.raises(CheckpointError, match=r"directory|Not a"):
            action(tmp_path / "run")
