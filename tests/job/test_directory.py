"""Who may write to a directory, and what is done about files that aren't what they should be."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

import nnqmc
from nnqmc.config import Layer, resolve
from nnqmc.errors import CheckpointError, InputError
from nnqmc.io import load_arrays
from nnqmc.job import RunDirectory, default_directory
from nnqmc.system import molecule


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run without its result, so that resume has something to do."""
    path = tmp_path / "run"
    shutil.copytree(finished, path)
    (path / "result.json").unlink()
    return path


def newest(path: Path) -> Path:
    return sorted(path.glob("checkpoint-*.h5"))[-1]


def config(**values: dict) -> dict:
    return resolve(molecule("He"), [Layer("test", values)])


def test_a_directory_with_a_run_is_not_overwritten(finished: Path) -> None:
    before = {path.name: path.read_bytes() for path in finished.iterdir()}
    opened = RunDirectory.open(finished)
    with pytest.raises(InputError, match=r"holds this run already: `nnqmc resume"):
        RunDirectory(finished, opened.config).check_free()
    with pytest.raises(InputError, match=r"holds another run"):
        RunDirectory(finished, config()).check_free()
    assert {path.name: path.read_bytes() for path in finished.iterdir()} == before


def test_a_directory_with_other_files_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match=r"holds other files \(thesis\.tex\)"):
        RunDirectory(tmp_path, config()).check_free()
    with pytest.raises(InputError, match=r"Not a directory\. Give another directory"):
        RunDirectory(tmp_path / "thesis.tex", config()).check_free()
    (tmp_path / "thesis.tex").rename(tmp_path / "config.toml")
    with pytest.raises(InputError, match=r"other files"):
        RunDirectory(tmp_path, config()).check_free()


def test_a_run_that_never_got_to_a_checkpoint_may_be_started_again(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path, config())
    with directory.lock():
        directory.save_config()
    again = RunDirectory(tmp_path, config(scf={"basis": "sto-3g"}))
    again.check_free()
    again.save_config()
    assert RunDirectory.open(tmp_path).config["scf"]["basis"] == "sto-3g"


def test_two_processes_dont_share_a_directory(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path, config())
    with directory.lock(), pytest.raises(InputError, match=r"another process is at work"), directory.lock():
        pass
    with directory.lock():
        pass


def test_a_file_system_without_locks_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOTSUP, "not supported here")

    directory = RunDirectory(tmp_path, config())
    monkeypatch.setattr("fcntl.flock", refuse)
    with directory.lock():
        assert "can't be locked (not supported here)" in caplog.text


@pytest.mark.parametrize(
    ("name", "directory"),
    [("LiH", "LiH"), ("H-", "H-"), ("Li+", "Li+"), ("../../etc", "etc"), ("a b/c", "a_b_c"), ("...", "run"),
     ("-x", "x")],
)
def test_default_directories_stay_below_runs(name: str, directory: str) -> None:
    assert default_directory(name) == Path("runs") / directory


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda path: None, r"holds no run"),
        (lambda path: path.mkdir(), r"holds no run"),
        (lambda path: (path.mkdir(), (path / "config.toml").write_text("x")), r"isn't a TOML file"),
        (lambda path: (path.mkdir(), (path / "config.toml").write_text("seed = 1")), r"\[system\] needs source"),
    ],
)
def test_what_is_no_run_cant_be_resumed(prepare, message: str, tmp_path: Path) -> None:
    prepare(tmp_path / "run")
    with pytest.raises(InputError, match=message):
        nnqmc.resume(tmp_path / "run", progress=False)


def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(
    copy: Path, caplog: pytest.LogCaptureFixture, finished: Path
) -> None:
    data = newest(copy).read_bytes()
    newest(copy).write_bytes(data[: len(data) // 2])
    result = nnqmc.resume(copy, progress=False)
    assert "passed over" in caplog.text
    assert result.steps == 4 and result.energy == RunDirectory.open(finished).load_result().energy


def test_when_all_checkpoints_are_damaged_nothing_is_computed(copy: Path) -> None:
    for path in copy.glob("checkpoint-*.h5"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"None of the 3 checkpoints"):
        nnqmc.resume(copy, progress=False)


def test_a_checkpoint_of_another_network_is_refused(copy: Path) -> None:
    text = (copy / "config.toml").read_text()
    (copy / "config.toml").write_text(text.replace("hidden_one = 8", "hidden_one = 16"))
    with pytest.raises(CheckpointError, match=r"belongs to another configuration"):
        nnqmc.resume(copy, progress=False)


def test_a_checkpoint_that_isnt_ours_is_refused(copy: Path) -> None:
    for path in copy.glob("checkpoint-*.h5"):
        path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(2000))
    with pytest.raises(CheckpointError, match=r"None of the 3"):
        nnqmc.resume(copy, progress=False)


def test_a_damaged_series_is_an_error_and_a_missing_one_a_warning(
    copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (copy / "train.h5").write_bytes(b"nonsense")
    with pytest.raises(CheckpointError, match=r"move it away"):
        nnqmc.resume(copy, progress=False)
    (copy / "train.h5").unlink()
    assert nnqmc.resume(copy, steps=5, progress=False).steps == 5
    assert load_arrays(copy / "train.h5")[0]["step"].tolist() == [5]
    assert "learning curve begins at step 4" in caplog.text


def test_fewer_steps_than_done_are_refused_and_the_plan_stays(copy: Path) -> None:
    with pytest.raises(InputError, match=r"at step 4 already"):
        nnqmc.resume(copy, steps=2, progress=False)
    assert RunDirectory.open(copy).config["train"]["steps"] == 4
