"""A stranger supplies the directory of a run: one clear error, nothing executed, followed, or touched outside."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import h5py
import numpy as np
import pytest

import nnqmc
from nnqmc.cli import main
from nnqmc.errors import CheckpointError, InputError
from nnqmc.io import load_arrays
from nnqmc.io.container import HEADER, SEAL_BYTES, seal, write_container
from nnqmc.job import RunDirectory
from nnqmc.job.progress import Reporter

FILES = ("checkpoint-0000004.h5", "scf.h5", "train.h5", "evaluate.h5")


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A finished run without its result, so that resume reads everything else."""
    path = tmp_path / "run"
    shutil.copytree(finished, path)
    (path / "result.json").unlink()
    return path


def rewrite(path: Path, change: Callable[[dict, dict], object]) -> None:
    """Change attributes and leaves and write the seal anew, as somebody with this code can."""
    arrays, attributes = load_arrays(path)
    change(attributes, arrays)
    write_container(path, arrays, attributes)


def forge(path: Path, edit: Callable[[h5py.File], object]) -> None:
    with h5py.File(path, "r+") as file:
        edit(file)
    body = path.read_bytes()[SEAL_BYTES:]
    path.write_bytes(seal(body) + body)


def only_newest(path: Path) -> Path:
    for old in sorted(path.glob("checkpoint-*.h5"))[:-1]:
        old.unlink()
    return path / FILES[0]


def leaf(arrays: dict, end: str) -> str:
    return next(name for name in arrays if name.endswith(end))


# --- HDF5 files -------------------------------------------------------------------------------------------------------


def external(file: h5py.File) -> None:
    name = next(name for name in file if name != HEADER)
    del file[name]
    file[name] = h5py.ExternalLink("/etc/passwd", "/x")


def stored_outside(file: h5py.File) -> None:
    name = next(name for name in file if name != HEADER)
    shape, dtype = file[name].shape, file[name].dtype
    del file[name]
    file.create_dataset(name, shape=shape or (1,), dtype=dtype, external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def objects(file: h5py.File) -> None:
    name = next(name for name in file if name != HEADER)
    del file[name]
    file.create_dataset(name, data=["import os"], dtype=h5py.string_dtype())


@pytest.mark.parametrize("edit", [external, stored_outside, objects])
@pytest.mark.parametrize("name", FILES)
def test_every_file_of_a_run_is_read_with_the_same_caution(name: str, edit: Callable, copy: Path) -> None:
    forge(copy / name, edit)
    with pytest.raises(CheckpointError, match=r"is refused"):
        load_arrays(copy / name)
    directory = RunDirectory.open(copy)
    if name == "scf.h5":
        assert directory.load_mean_field() is None
    elif not name.startswith("checkpoint"):
        with pytest.raises(CheckpointError, match=r"is refused"):
            directory.load_series(name)
    else:
        only_newest(copy)
        with pytest.raises(CheckpointError, match=r"None of the 1 checkpoints"):
            nnqmc.resume(copy, progress=False)


@pytest.mark.parametrize("seconds", ["long", ["a"], {"total": "x"}, {"total": -1.0}, {"total": float("nan")},
                                     {"total": None}, {str(i): 1.0 for i in range(101)}], ids=repr)
def test_attributes_of_a_checkpoint_that_are_out_of_range_are_refused(seconds: object, copy: Path) -> None:
    rewrite(copy / FILES[0], lambda attributes, arrays: attributes.update(seconds=seconds))
    with pytest.raises(CheckpointError, match=r"0000004\.h5: seconds = "):
        nnqmc.resume(copy, progress=False)


@pytest.mark.parametrize("name", ["walkers", "devices"])
@pytest.mark.parametrize("number", [0, -1, 2**40, 1.5, True, "many", None], ids=repr)
def test_numbers_of_walkers_and_devices_that_can_t_be_are_refused(name: str, number: object, copy: Path) -> None:
    rewrite(copy / FILES[0], lambda attributes, arrays: attributes.update({name: number}))
    with pytest.raises(CheckpointError, match=rf"0000004\.h5: {name} = "):
        nnqmc.resume(copy, progress=False)


def test_a_run_of_the_version_before_is_refused_in_one_sentence(copy: Path) -> None:
    raw = only_newest(copy).read_bytes()
    (copy / FILES[0]).write_bytes(raw.replace(b"seal 2,", b"seal 1,", 1))
    with pytest.raises(CheckpointError, match=r"0000004\.h5 was written by nnqmc 0\.1 \(format 1\), and this version"):
        nnqmc.resume(copy, progress=False)


@pytest.mark.parametrize("walkers", [31, 33, 10**6])
def test_another_number_of_walkers_than_the_arrays_have_is_refused(walkers: int, copy: Path) -> None:
    rewrite(copy / FILES[0], lambda attributes, arrays: attributes.update(walkers=walkers))
    with pytest.raises(CheckpointError, match=r"holds something else than what is needed"):
        nnqmc.resume(copy, progress=False)


@pytest.mark.parametrize("step", [-1, 3, 2**31 - 1])
def test_a_checkpoint_that_holds_another_step_than_it_says_is_refused(step: int, copy: Path) -> None:
    rewrite(copy / FILES[0], lambda attributes, arrays: arrays.update(step=np.asarray(step, np.int32)))
    with pytest.raises(CheckpointError, match=rf"says step 4 and holds step {step}"):
        nnqmc.resume(copy, progress=False)


def test_a_renamed_checkpoint_is_passed_over(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    only_newest(copy).rename(copy / "checkpoint-0000009.h5")
    with pytest.raises(CheckpointError, match=r"None of the 1"):
        nnqmc.resume(copy, progress=False)
    assert "step = 9 is needed" in caplog.text


@pytest.mark.parametrize("change", [
    lambda attributes, arrays: arrays.pop(leaf(arrays, "kernel")),
    lambda attributes, arrays: arrays.update(extra=np.ones(3)),
    lambda attributes, arrays: arrays.update({leaf(arrays, "kernel"): np.ones((2, 2), np.float32)}),
    lambda attributes, arrays: arrays.update({leaf(arrays, "kernel"): arrays[leaf(arrays, "kernel")].astype("f8")}),
], ids=["missing", "extra", "shape", "dtype"])
def test_other_names_shapes_and_types_than_the_configuration_s_are_refused(change: Callable, copy: Path) -> None:
    rewrite(copy / FILES[0], change)
    with pytest.raises(CheckpointError, match=r"holds something else than what is needed"):
        nnqmc.resume(copy, progress=False)


def test_a_checkpoint_far_larger_than_the_state_is_not_read(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    with open(only_newest(copy), "r+b") as file:
        file.truncate(2**31)
    tracemalloc.start()
    with pytest.raises(CheckpointError, match=r"None of the 1"):
        nnqmc.resume(copy, progress=False)
    assert tracemalloc.get_traced_memory()[1] < 2**28
    tracemalloc.stop()
    assert "has 2147483648 bytes, and at most" in caplog.text


@pytest.mark.parametrize(("change", "words"), [
    (lambda arrays: arrays.pop("rejected"), r"the shape of rejected is None"),
    (lambda arrays: arrays.update(energy=np.ones((4, 2))), r"the shape of energy is \(4, 2\)"),
    (lambda arrays: arrays.update(rejected=np.full(4, np.nan)), r"numbers besides 0 and 1"),
    (lambda arrays: arrays.update(step=np.array([1, 2, 2, 3])), r"no growing steps"),
    (lambda arrays: arrays.update(step=np.ones(4)), r"no growing steps"),
], ids=["missing", "axes", "nan", "twice", "float"])
def test_a_series_that_no_training_writes_is_refused(change: Callable, words: str, copy: Path) -> None:
    rewrite(copy / "train.h5", lambda attributes, arrays: change(arrays))
    with pytest.raises(CheckpointError, match=words):
        nnqmc.resume(copy, progress=False)


def test_a_series_that_ends_early_is_said_to(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    rewrite(copy / "train.h5", lambda attributes, arrays: arrays.update({k: v[:2] for k, v in arrays.items()}))
    assert nnqmc.resume(copy, steps=5, progress=False).steps == 5
    assert load_arrays(copy / "train.h5")[0]["step"].tolist() == [1, 2, 5]
    assert "ends at step 2: the learning curve has a gap up to step 4" in caplog.text


def enlarge(arrays: dict, primitives: int, functions: int) -> None:
    """A mean field of a basis that large, consistent and finite."""
    arrays.update(exponents=np.ones(primitives), primitive_centres=np.zeros((primitives, 3)),
                  contraction=np.zeros((primitives, functions)), function_centres=np.zeros((functions, 3)),
                  factors=np.zeros((1, functions, 3), np.int32), up_coefficients=np.zeros((functions, 1)),
                  down_coefficients=np.zeros((functions, 1)))


def test_a_mean_field_of_a_large_basis_is_read(copy: Path) -> None:
    rewrite(copy / "scf.h5", lambda attributes, arrays: enlarge(arrays, 1000, 1000))
    assert RunDirectory.open(copy).load_mean_field().exponents.shape == (1000,)


@pytest.mark.parametrize("change", [
    lambda arrays: enlarge(arrays, 1001, 1),
    lambda arrays: enlarge(arrays, 1, 1001),
    lambda arrays: arrays.update(exponents=np.full_like(arrays["exponents"], np.inf)),
    lambda arrays: arrays.update(exponents=-arrays["exponents"]),
    lambda arrays: arrays.update(exponents=arrays["exponents"][0]),
    lambda arrays: arrays.update(factors=np.ones((1000, *arrays["factors"].shape[1:]), np.int32)),
    lambda arrays: arrays.update(factors=arrays["factors"] + 2**20),
    lambda arrays: arrays.update(up_coefficients=np.ones((3, 7))),
    lambda arrays: arrays.update(energy=np.asarray(1)),
    lambda arrays: arrays.update(energy=np.asarray(1.0, np.float32)),
    lambda arrays: arrays.update(populations=-arrays["populations"]),
    lambda arrays: arrays.pop("contraction"),
    lambda arrays: arrays.update(more=np.ones(2)),
])
def test_a_mean_field_that_cant_be_is_computed_again(
    change: Callable, copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert RunDirectory.open(copy).load_mean_field() is not None
    rewrite(copy / "scf.h5", lambda attributes, arrays: change(arrays))
    assert RunDirectory.open(copy).load_mean_field() is None
    assert "Hartree-Fock is done again" in caplog.text


# --- text files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("old", "new", "words"), [
    ('name = "He"', 'name = "He"\nsource = "/etc/passwd"', "has system.source"),
    ('name = "He"', 'name = "\\u001b]0;owned\\u0007"', "control characters"),
    ('name = "He"', 'name = "He\\n        not to be trusted: no"', "is not a name"),
    ('basis = "cc-pvdz"', 'basis = "../../basis.dat"', "is not the name of a basis set"),
    ("seed = 3", f"seed = 0x{'f' * 10_000}", "more than 64 bits"),
    ("seed = 3", f"seed = {'9' * 10_000}", "isn't a TOML file"),
    ("seed = 3", f"seed = {'[' * 10_000}", "isn't a TOML file"),
    ("seed = 3", "seed = 3\ncustom = 5", "custom = 5"),
    ("seed = 3", "seed = 3\ncustom = {wavefunction = {path = 'x'}}", "holds a description"),
    ("seed = 3", "seed = 3\ncustom = {module = 'os'}", "holds a description"),
    ("seed = 3", "seed = 3\nimport = 'os'", "unknown section or setting 'import'"),
    ("layers = 1", "layers = 1000000000", "wavefunction.layers = 1000000000"),
    ("walkers = 32", "walkers = 1000000", "of memory"),
    ("sweeps = ", "sweeps = 1000000000", "sampler.sweeps"),
    ("atoms = [", "atoms = [[0, 0, 0], ", "of the same length"),
    ("0.0", "nan", "finite"),
], ids=lambda text: text[:40])
def test_a_configuration_with_tricks_is_refused(old: str, new: str, words: str, copy: Path) -> None:
    text = (copy / "config.toml").read_text()
    assert old in text
    (copy / "config.toml").write_text(text.replace(old, new, 1))
    (copy / "scf.h5").unlink()
    for path in copy.glob("checkpoint-*.h5"):
        path.unlink()
    with pytest.raises(InputError, match=words):
        nnqmc.resume(copy, progress=False)


def test_a_configuration_too_large_or_endless_is_refused(copy: Path) -> None:
    (copy / "config.toml").write_text("#" * 1_000_001)
    with pytest.raises(InputError, match="larger than 1 MB"):
        nnqmc.resume(copy, progress=False)
    assert main(["run", "--config", "/dev/zero"]) == 2
    (copy / "config.toml").unlink()
    os.mkfifo(copy / "config.toml")
    with pytest.raises(InputError, match="holds no run"):
        nnqmc.resume(copy, progress=False)


@pytest.mark.parametrize("change", [
    lambda plain: plain.update(seconds={"total": "x"}),
    lambda plain: plain.update(seconds={"total": float("nan")}),
    lambda plain: plain.update(seconds=[1]),
    lambda plain: plain.update(performance={"matrix_peak": "x"}),
    lambda plain: plain.update(performance=[1]),
    lambda plain: plain.update(settings=5),
    lambda plain: plain["settings"].update(evaluate=5),
    lambda plain: plain["settings"]["evaluate"].update(target_error="x"),
    lambda plain: plain.update(reference={"energy": "x", "uncertainty": 0, "kind": "exact", "source": ""}),
    lambda plain: plain.update(reference=[]),
    lambda plain: plain.update(versions=["x"]),
    lambda plain: plain.update(notes=5),
    lambda plain: plain.update(steps="many"),
    lambda plain: plain.update(system="\x1b[2J"),
    lambda plain: plain.update(terms={"\x1b[2J": plain["estimate"]}),
    lambda plain: plain["estimate"].update(value="x"),
    lambda plain: plain["estimate"].update(n_samples=float("inf")),
    lambda plain: plain["estimate"].update(value=1.79e308, error=1e308),
    lambda plain: plain["estimate"].update(value=-1e101),
    lambda plain: plain.update(steps=float("inf")),
    lambda plain: plain.update(excluded=float("-inf")),
    lambda plain: plain["settings"].update(system=[]),
    lambda plain: plain["settings"].update(system=None),
    lambda plain: plain.update(n_samples=10**30),
    lambda plain: plain.clear(),
])
def test_a_result_that_no_run_writes_is_refused(
    change: Callable, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished, tmp_path / "run")
    path = tmp_path / "run" / "result.json"
    plain = json.loads(path.read_text())
    change(plain)
    path.write_text(json.dumps(plain))
    with pytest.raises(CheckpointError, match=r"result\.json can't be used"):
        RunDirectory.open(tmp_path / "run").load_result()
    assert main(["report", str(tmp_path / "run")]) == 1
    captured = capsys.readouterr()
    assert "result.json can't be used" in captured.err and "Traceback" not in captured.err
    assert "\x1b" not in captured.err and captured.out == ""


@pytest.mark.parametrize(("old", "new"), [('"steps": 4', '"steps": 1e999'), ('"system": {', '"system": [], "x": {')])
def test_a_result_that_can_t_be_used_is_said_by_resume_too(
    old: str, new: str, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished, tmp_path / "run")
    text = (tmp_path / "run" / "result.json").read_text()
    assert old in text
    (tmp_path / "run" / "result.json").write_text(text.replace(old, new))
    assert main(["resume", str(tmp_path / "run"), "--steps", "0", "--quiet"]) == 2
    error = capsys.readouterr().err
    assert "result.json can't be used" in error and "is at step 4 already" in error and "Traceback" not in error


def test_a_result_too_large_too_deep_or_no_file_is_refused(copy: Path) -> None:
    for content in ("[" * 10**6, " " * (10**7 + 1), "1" * 10**6, "\ud800".encode("utf-8", "surrogatepass")):
        (copy / "result.json").write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(CheckpointError, match=r"result\.json"):
            RunDirectory.open(copy).load_result()
    (copy / "result.json").unlink()
    os.mkfifo(copy / "result.json")
    with pytest.raises(CheckpointError, match="regular file"):
        RunDirectory.open(copy).load_result()


# --- the directory itself ---------------------------------------------------------------------------------------------


def test_nothing_outside_is_touched_through_links(copy: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    directory = RunDirectory.open(copy)
    for name in ("energy.png", "blocking.png", "config.toml", "scf.h5"):
        mean_field = directory.load_mean_field() if name == "scf.h5" else None
        (copy / name).unlink()
        (copy / name).symlink_to(precious)
        if mean_field is not None:
            directory.save_mean_field(mean_field)
    directory.save_config()
    nnqmc.job.report(copy)
    assert precious.read_text() == "mine"
    assert not any((copy / name).is_symlink() for name in ("energy.png", "blocking.png", "config.toml", "scf.h5"))


def test_a_new_run_doesn_t_wait_for_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "config.toml")
    Thread(target=pipe.write_text, args=("nnqmc = '1'\nsystem = 'H'\n",), daemon=True).start()
    with pytest.raises(InputError, match="holds other files"):
        RunDirectory(tmp_path, {}).check_free()
    os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))  # lets the writer go


def test_the_lock_is_not_made_elsewhere(copy: Path, tmp_path: Path) -> None:
    (copy / ".lock").unlink()
    (copy / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="can't be written to"):
        nnqmc.resume(copy, progress=False)
    assert not (tmp_path / "elsewhere").exists()


def test_names_with_formulas_are_drawn_as_they_are(copy: Path) -> None:
    text = (copy / "config.toml").read_text()
    (copy / "config.toml").write_text(text.replace('name = "He"', r'name = "$\\input{/etc/passwd}$"'))
    (copy / "energy.png").unlink()
    nnqmc.job.report(copy)
    assert (copy / "energy.png").stat().st_size > 1000


def test_messages_hold_nothing_that_a_terminal_obeys(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "\x1b[2Jx").mkdir()
    assert main(["report", str(tmp_path / "\x1b[2Jx")]) == 2
    logging.getLogger("nnqmc").debug("")
    assert "\x1b" not in capsys.readouterr().err


def test_more_walkers_than_fit_are_refused_in_evaluation_too(copy: Path) -> None:
    with pytest.raises(InputError, match="of memory"):
        nnqmc.job.reevaluate(copy, walkers=10**6, progress=Reporter())
