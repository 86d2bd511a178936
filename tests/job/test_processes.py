"""Several processes on one run: real ones on this machine, over its loopback interface."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import nnqmc
from nnqmc.io import load_arrays, load_series
from nnqmc.io.checkpoints import list_checkpoints
from nnqmc.job.kept_evaluation import PARTIAL

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def start(*words: str) -> subprocess.Popen:
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, *map(str, words)], env=environment, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def pair(*words: str, own: tuple[tuple[str, ...], ...] = ((), ())) -> list[subprocess.Popen]:
    """Two processes of one `nnqmc` command, each with words of its `own` if need be."""
    address = ("--distributed", "--coordinator", f"127.0.0.1:{free_port()}", "--processes", "2", "--process")
    return [start("-m", "nnqmc", *words, *own[index], *address, str(index)) for index in range(2)]


def small(*words: str) -> list[subprocess.Popen]:
    """Two processes of tests/support/two_processes.py."""
    port = free_port()
    return [start(ROOT / "tests/support/two_processes.py", port, str(index), *words) for index in range(2)]


@pytest.mark.ci
def test_what_the_first_knows_all_know_and_all_decide_alike() -> None:
    ran = [(process, *process.communicate(timeout=300)) for process in small()]
    assert [process.returncode for process, _, _ in ran] == [0, 0], ran
    first, second = (json.loads(out.splitlines()[-1]) for _, out, _ in ran)
    for found in (first, second):
        assert found["value"] == {"own": 0} and found["exact"] and found["pieces"] and found["plain"] == 0
        assert 200 < found["steps"] < 500, "the error bar of the first process decides"
        assert found["highest"] == [1, 0] and found["wishes"] == [True, False] and found["signal"] == "SIGUSR1"
        assert found["same"][0] == "nothing"
        assert found["same"][1].startswith("InputError: not all processes of this run have the same settings")
    assert first["steps"] == second["steps"]
    assert (first["error"], second["error"]) == ("InputError: said by the first", "InputError: ")


def test_the_other_process_ends_with_a_clear_error_when_one_dies() -> None:
    survivor, dead = small("die")
    out, _ = survivor.communicate(timeout=300)
    assert dead.wait(60) == 9
    is_told = out.startswith("LostProcessError: another process of this run has ended")
    assert (survivor.returncode, is_told) == (1, True) or survivor.returncode == -6, (survivor.returncode, out)


@pytest.mark.parametrize("where", [(), ("elsewhere",)])
def test_the_other_process_ends_with_a_clear_error_when_the_first_makes_a_mistake(where: tuple[str, ...]) -> None:
    mistaken, other = small("mistake", *where)
    _, err = mistaken.communicate(timeout=300)
    assert mistaken.returncode == 1 and "KeyError: 'not foreseen'" in err
    out, _ = other.communicate(timeout=120)
    ends = (r"^LostProcessError: (the first process of this run has ended by an error of its own \(KeyError\)|"
            "another process of this run has ended)")  # gone before it was heard
    ended = (other.returncode, bool(re.search(ends, out, re.MULTILINE))) == (1, True)
    assert ended or other.returncode == -6, (other.returncode, out)


@pytest.mark.parametrize("setting", [pytest.param("train.steps", marks=pytest.mark.ci), "evaluate.max_steps"])
def test_processes_with_different_settings_are_refused_before_anything_is_written(setting: str, tmp_path: Path) -> None:
    own = (("--set", f"{setting}=20"), ("--set", f"{setting}=30"))
    processes = pair("run", "H", "--out", str(tmp_path / "run"), "--set", "pretrain.steps=0", own=own)
    said = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [2, 2], said
    assert all("not all processes of this run have the same settings" in err for _, err in said)
    assert not (tmp_path / "run").exists()


@pytest.mark.ci
def test_two_processes_give_the_numbers_of_one(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    processes = pair("run", "--config", str(finished / "config.toml"), "--out", str(out))
    said = [process.communicate(timeout=1000) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert "on 2 devices of 2 processes" in said[0][1] and "\nHe   E = " in f"\n{said[0][0]}"
    words = re.findall(r"^(?:nnqmc|He |\[ *[\d.]+ s\]).*", "\n".join(said[1]), re.MULTILINE)
    assert not words, "only the first process talks"
    assert re.search(r"^\[ *[\d.]+ s\]", said[0][1], re.MULTILINE)
    for name in ("train.h5", "evaluate.h5"):
        one, two = (load_series(path / name)[0]["energy"] for path in (finished, out))
        np.testing.assert_allclose(two, one, rtol=2e-3, atol=2e-3)  # one walker's energy: large terms in float32
    same = {"step", "sampler.per_walker.waiting", "sampler.per_walker.log_weight"}
    one, two = (load_arrays(path / "checkpoint-0000004.h5")[0] for path in (finished, out))
    assert one.keys() == two.keys() and all(np.array_equal(one[name], two[name]) for name in same & one.keys())
    moved = np.abs(two["sampler.per_walker.electrons"] - one["sampler.per_walker.electrons"]).max(axis=(1, 2))
    assert (moved < 0.01).mean() > 0.9, "rounding may let a move be accepted here and refused there, now and then"
    learnt = [name for name in one if name.startswith("params")]
    assert learnt
    for name in learnt:
        np.testing.assert_allclose(two[name], one[name], atol=5e-3, err_msg=name)


@pytest.mark.parametrize("index", [pytest.param(0, marks=pytest.mark.ci), 1], ids=["coordinator", "other"])
def test_one_process_goes_on_when_another_is_killed(index: int, finished: Path, tmp_path: Path) -> None:
    """The first process coordinates, writes all files and talks; without it the other has to see that by itself."""
    out = Path(shutil.copytree(finished, tmp_path / "run"))
    processes = pair("resume", str(out), "--steps", "1000000")
    survivor, killed = processes[1 - index], processes[index]
    deadline = time.monotonic() + 1000
    while not list_checkpoints(out)[-1].stem.endswith(("5", "6", "7", "8", "9")):
        assert survivor.poll() is None and killed.poll() is None and time.monotonic() < deadline, survivor.communicate()
        time.sleep(0.1)
    killed.kill()
    _, err = survivor.communicate(timeout=120)
    assert survivor.returncode in (1, -6), err
    assert "another process of this run has ended" in err or "another task died" in err
    killed.communicate()

    assert "Traceback" not in err
    step = int(re.search(r"(\d+)\.h5", list_checkpoints(out)[-1].name)[1])
    result = nnqmc.resume(shutil.copytree(out, tmp_path / "copy"), steps=step + 1, progress=False)
    assert result.steps == step + 1
    assert load_series(tmp_path / "copy" / "train.h5")[0]["step"].tolist() == list(range(1, step + 2))


def test_an_evaluation_of_two_processes_that_is_stopped_goes_on_with_two(finished: Path, tmp_path: Path) -> None:
    out = shutil.copytree(finished, tmp_path / "run")
    for name in ("result.json", "evaluate.h5"):
        (out / name).unlink()
    config = (out / "config.toml").read_text()
    for old, new in (("max_steps = 20\n", "max_steps = 100000\n"), ("target_error = 1.0\n", "target_error = 1e-9\n")):
        assert old in config
        config = config.replace(old, new)
    (out / "config.toml").write_text(config)
    stopped = pair("resume", str(out))
    deadline = time.monotonic() + 500
    while not (out / PARTIAL).exists():
        ended = [process.communicate() for process in stopped if process.poll() is not None]
        assert not ended and time.monotonic() < deadline, ended
        time.sleep(0.02)
    stopped[1].send_signal(signal.SIGUSR1)
    said = [process.communicate(timeout=300) for process in stopped]
    assert [process.returncode for process in stopped] == [3, 3], said
    known = load_arrays(out / PARTIAL)[1]
    resumed = pair("resume", str(out), "--max-time", "1")
    said = [process.communicate(timeout=500) for process in resumed]
    assert [process.returncode for process in resumed] == [3, 3], said
    assert f"the evaluation goes on at step {known['steps']} of 100000" in said[0][1]
    assert len(load_series(out / "evaluate.h5")[0]["energy"]) == known["steps"] + 10
