"""Bad input: exit code 2, one clear message on stderr, no traceback, and nothing written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nnqmc.cli import main
from nnqmc.cli.parser import make_parser
from nnqmc.errors import CheckpointError, InputError, Interrupted, NumericalError, SCFError

ROOT = Path(__file__).resolve().parents[2]

REFUSALS = [
    ("", "required: COMMAND"),
    ("rnu LiH", "did you mean 'run'?"),
    ("run", "no SYSTEM given"),
    ("run Lih2", "did you mean 'LiH'"),
    ("run LiH --wakers 3", "did you mean '--walkers'? See `nnqmc run --help`"),
    ("run LiH --walkers=x", "invalid int value: 'x'"),
    ("run LiH --spin 1", "spin=1 is impossible for 4 electrons"),
    ("run LiH --charge 9", "without electrons"),
    ("run LiH --walkers 0", "train.walkers = 0"),
    ("run LiH --walkers -5", "train.walkers = -5"),
    ("run LiH --walkers 99999999999", "whole number from 2 to 1000000"),
    ("run LiH --walkers 1000000", "of memory"),
    ("run LiH --steps -1", "train.steps = -1"),
    ("run LiH --target-error 0", "evaluate.target_error"),
    ("run LiH --target-error nan", "evaluate.target_error"),
    ("run LiH --max-time -1", "max_time"),
    ("run LiH --seed -1", "seed = -1"),
    ("run LiH --preset quik", "did you mean 'quick'"),
    ("run LiH --optimizer sprig", "did you mean 'spring'"),
    ("run LiH --unit bohr", "leave unit out"),
    ("run LiH --set objective.clipp=3", "did you mean 'objective.clip'"),
    ("run LiH --set train.steps", "SECTION.KEY=VALUE"),
    ("run LiH --set walkers=3", "write train.walkers"),
    ("run --set train.steps=3 LiH", "write SYSTEM before --set"),
    ("run missing.xyz", "no such file"),
    ("run LiH --config missing.toml", "can't be read"),
    ("resume nowhere", "holds no run"),
    ("evaluate nowhere", "holds no run"),
    ("report nowhere", "holds no run"),
    ("info Foo", "unknown name 'Foo'"),
    ("bench atom", "did you mean 'atoms'"),
    ("bench atoms --max Uu", "H, He, Li, Be"),
    ("bench atoms --seeds 1,x", "--seeds"),
]


@pytest.mark.parametrize(("words", "message"), REFUSALS, ids=[words for words, _ in REFUSALS])
def test_bad_input_is_refused_in_one_message(words: str, message: str, nnqmc_says: Callable, tmp_path: Path) -> None:
    outcome = nnqmc_says(*words.split())
    assert outcome.code == 2
    assert message in outcome.err and outcome.err.count("nnqmc: error: ") == 1
    assert outcome.out == "" and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("atoms", "options", "message"),
    [
        ("H 0 0 0; H 0 0 0", ("--unit", "bohr"), "0.0000 bohr apart"),
        ("H 0 0 0; H 0 0 1.4", (), "--unit on the command line"),
        ("H 0 0 0; H 0 0 1.4", ("--unit", "feet"), "feet"),
        ("H 0 0; H 0 0 1.4", ("--unit", "bohr"), "expected 'symbol x y z'"),
        ("Xx 0 0 0; H 0 0 1.4", ("--unit", "bohr"), "Xx"),
    ],
)
def test_atoms_that_cant_be(atoms: str, options: tuple, message: str, nnqmc_says: Callable) -> None:
    outcome = nnqmc_says("run", atoms, *options)
    assert outcome.code == 2 and message in outcome.err


def test_an_xyz_file_that_cant_be_read(nnqmc_says: Callable, tmp_path: Path) -> None:
    (tmp_path / "bad.xyz").write_bytes(b"2\n\nH 0 0 0\n\xff\xfe")
    outcome = nnqmc_says("run", "bad.xyz")
    assert outcome.code == 2 and "bad.xyz" in outcome.err


def test_other_people_s_files_are_left_alone(nnqmc_says: Callable, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "thesis.tex").write_text("precious")
    outcome = nnqmc_says("run", "LiH", "--out", "here")
    assert outcome.code == 2 and "holds other files (thesis.tex)" in outcome.err
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (InputError("bad"), 2, "nnqmc: error: bad\n"),
        (SCFError("no convergence"), 1, "nnqmc: error: no convergence\n"),
        (NumericalError("not finite"), 1, "nnqmc: error: not finite\n"),
        (CheckpointError("damaged"), 1, "nnqmc: error: damaged\n"),
        (Interrupted("stopped at step 3"), 3, "nnqmc: stopped at step 3\n"),
        (KeyboardInterrupt(), 3, "stopped at once"),
        (MemoryError(), 1, "out of memory: use fewer --walkers"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), 1, "out of memory: use fewer --walkers"),
        (OSError(28, "No space left on device"), 1, "No space left"),
    ],
)
def test_every_failure_has_its_exit_code(
    error: BaseException, code: int, words: str, nnqmc_says: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(arguments: object) -> None:
        raise error

    monkeypatch.setattr("nnqmc.cli.commands.COMMANDS", {"list": fail})
    outcome = nnqmc_says("list")
    assert outcome.code == code and words in outcome.err


def test_our_own_mistakes_show_their_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnqmc.cli.commands.COMMANDS", {"list": lambda arguments: 1 / 0})
    assert main(["list"]) == 1
    words = capsys.readouterr().err
    assert "ZeroDivisionError" in words and "please report" in words


@pytest.mark.skipif(os.name != "posix", reason="needs a terminal that can be closed")
def test_a_terminal_that_is_gone_does_not_change_the_exit_code(finished: Path) -> None:
    ends = [os.openpty(), os.openpty()]
    for master, _ in ends:
        os.close(master)
    done = subprocess.run([sys.executable, "-m", "nnqmc", "resume", str(finished)], stdin=subprocess.DEVNULL,
                          stdout=ends[0][1], stderr=ends[1][1], cwd=ROOT, timeout=300, check=False)
    for _, slave in ends:
        os.close(slave)
    assert done.returncode == 0


def test_every_command_has_help_with_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("run", "resume", "evaluate", "report", "list", "info", "bench", "doctor", "watch"):
        with pytest.raises(SystemExit) as stop:
            main([command, "--help"])
        assert stop.value.code == 0 and "exit codes:" in capsys.readouterr().out
    assert "exit codes:" in make_parser().format_help()


def test_the_module_is_the_command_line() -> None:
    done = subprocess.run([sys.executable, "-m", "nnqmc", "run", "LiH", "--set", "train.stepps=3"], cwd=ROOT,
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("nnqmc: error: ") and "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.ci
def test_a_process_that_is_told_to_stop_exits_with_three_and_can_be_resumed(tmp_path: Path) -> None:
    """SIGUSR1 and then SIGTERM to the process itself, during training; each leaves a checkpoint to go on from."""
    import signal
    import time

    tiny = ["--walkers", "32", "--steps", "1000000", "--target-error", "1", "--set", "wavefunction.layers=1",
            "wavefunction.hidden_one=8", "wavefunction.n_determinants=1", "pretrain.steps=5",
            "train.checkpoint_steps=20"]
    last = 0
    for number, words in ((signal.SIGUSR1, ["run", "He", *tiny, "--out"]), (signal.SIGTERM, ["resume"])):
        process = subprocess.Popen([sys.executable, "-m", "nnqmc", *words, str(tmp_path / "a")], cwd=ROOT, text=True,
                                   stderr=subprocess.PIPE)
        deadline = time.monotonic() + 500
        while not any(int(path.stem[11:]) > last for path in (tmp_path / "a").glob("checkpoint-*.h5")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(number)
        error = process.communicate(timeout=300)[1]
        assert process.returncode == 3 and "Traceback" not in error
        assert f"stopped by {number.name} at step" in error and f"`nnqmc resume {tmp_path / 'a'}` goes on" in error
        last = int(sorted((tmp_path / "a").glob("checkpoint-*.h5"))[-1].stem[11:])


@pytest.mark.slow
@pytest.mark.ci
def test_a_killed_run_resumes_to_the_same_numbers(tmp_path: Path) -> None:
    """kill -9 in the middle of training, then resume: bit by bit what an undisturbed run gives."""
    import time

    import numpy as np

    from nnqmc.io import load_arrays

    tiny = ["--walkers", "32", "--target-error", "1", "--set", "wavefunction.layers=1", "wavefunction.hidden_one=8",
            "wavefunction.n_determinants=1", "pretrain.steps=5", "evaluate.max_steps=20", "train.checkpoint_steps=20"]
    command = [sys.executable, "-m", "nnqmc", "run", "He", "--steps", "300", *tiny, "--out"]
    environment = os.environ | {"NNQMC_CACHE": "off"}
    process = subprocess.Popen([*command, str(tmp_path / "a")], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not any(int(path.stem[11:]) > 0 for path in (tmp_path / "a").glob("checkpoint-*.h5")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -9
    assert not (tmp_path / "a" / "checkpoint-0000300.h5").exists()
    for last in (["resume", str(tmp_path / "a")], [*command[3:], str(tmp_path / "b")]):
        subprocess.run([sys.executable, "-m", "nnqmc", *last], cwd=ROOT, env=environment, check=True,
                       capture_output=True, timeout=300)
    for name in ("checkpoint-0000300.h5", "train.h5", "evaluate.h5"):
        first, second = load_arrays(tmp_path / "a" / name)[0], load_arrays(tmp_path / "b" / name)[0]
        assert first.keys() == second.keys()
        assert all(np.array_equal(first[key], second[key], equal_nan=True) for key in first)
