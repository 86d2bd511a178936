"""The folder in which runs are disturbed, an undisturbed run to compare with, and the comparison."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from crash_child import Child, Fault, Outcome, call, killed_at

from nnqmc.io import load_arrays
from nnqmc.io.checkpoints import list_checkpoints
from nnqmc.job.kept_evaluation import PARTIAL

STEPS = 40
SETTINGS = ("H", "--walkers", "16", "--steps", str(STEPS), "--target-error", "1", "--seed", "3", "--set",
            "wavefunction.layers=1", "wavefunction.hidden_one=4", "wavefunction.hidden_two=2",
            "wavefunction.n_determinants=1", "pretrain.steps=25", "train.burn_in=5", "train.checkpoint_steps=5",
            "evaluate.max_steps=200", "evaluate.burn_in=5")
"""The smallest run that has every part: eight checkpoints and an evaluation that is stored repeatedly, within seconds.
"""

STAGES = {
    "start": "", "Hartree-Fock": "Hartree-Fock in the basis", "pretraining": "pretraining on the",
    "compiling": "compiling the training step", "training": "] training", "evaluation": "compiling the evaluation",
    "end": "] evaluating",
}
"""The stages of a run, by the words that announce them."""


class Reference(NamedTuple):
    """An undisturbed run: its directory, the seconds of each stage, and how often it accesses a file."""

    directory: Path
    seconds: dict[str, float]
    file_events: int


class Arena:
    """A folder in which runs are disturbed.

    Args:
        folder: holds the directories of the runs; its contents are overwritten.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        call(run_words(folder / "first"))  # compiles
        counted = call(run_words(folder / "counted"), killed_at(folder / "counted", 0))
        child, seconds = Child(run_words(folder / "undisturbed")), {}
        for here, there in zip(STAGES, [*list(STAGES.values())[1:], "no such words"], strict=True):
            seconds[here] = _seconds_until(child, there)
        outcome = child.end()
        if outcome.code or counted.code:
            raise SystemExit(f"the undisturbed run failed:\n{outcome.text}\n{counted.text}")
        self.reference = Reference(folder / "undisturbed", seconds, int(counted.text.split("file events: ")[1]))
        for name in ("first", "counted"):
            if found := self.differences(folder / name):
                raise SystemExit(f"two undisturbed runs differ: {found}")
        self._half_way()

    def _half_way(self) -> None:
        """Make directories as a kill leaves them, in the middle of training and after Hartree-Fock."""
        child = Child(run_words(self.folder / "half"))
        while not (self.folder / "half" / f"checkpoint-{STEPS // 2:07d}.h5").exists():
            if not child.watch(0.002):
                raise SystemExit(f"too quick:\n{child.text}")
        child.send(9)
        child.end()
        child = Child(run_words(self.folder / "early"))
        child.wait_for("pretraining on the")
        child.send(9)
        child.end()

    def copy(self, name: str) -> Path:
        """Return a fresh copy of the directory `half`, `early` or `undisturbed`."""
        path = self.fresh()
        shutil.copytree(self.folder / name, path)
        return path

    def fresh(self) -> Path:
        """Return the path of a directory that doesn't exist yet."""
        shutil.rmtree(self.folder / "run", ignore_errors=True)
        return self.folder / "run"

    def settle(self, directory: Path, fault: Fault | None = None, newest: int | None = None) -> str:
        """Resume a run to its end and compare it with the undisturbed one; return what was lost, or "" if nothing was.

        Args:
            directory: of the run.
            fault: a fault that stays while the run is resumed.
            newest: the step from which the run has to continue; that of its newest checkpoint by default.
        """
        steps, measured = checkpoint_steps(directory), evaluation_steps(directory)
        newest = newest if newest is not None else steps[-1] if steps else None
        is_complete = (directory / "result.json").exists()
        outcome = call(["resume", str(directory)], fault)
        if outcome.is_clear_error and outcome.code == 2 and not (directory / "config.toml").exists():
            outcome = call(run_words(directory))  # killed before it had written anything
        if outcome.code:
            return f"resume ended with {outcome.code}: {outcome.message}"
        if newest is not None and not is_complete and f"resuming at step {newest} of {STEPS}" not in outcome.text:
            return f"it didn't go on from step {newest}"
        goes_on = f"the evaluation goes on at step {measured} of" in outcome.text
        if measured and newest == STEPS and not is_complete and not goes_on:
            return f"the evaluation didn't go on from step {measured}"
        return self.differences(directory)

    def differences(self, directory: Path, without: Sequence[str] = ()) -> str:
        """Return what differs bitwise from the undisturbed run, or "" if nothing does.

        The last checkpoint, the series, the evaluation and the result are compared.
        """
        found = []
        try:
            for name in (f"checkpoint-{STEPS:07d}.h5", "train.h5", "evaluate.h5"):
                if name not in without:
                    found += _differences(name, self.reference.directory / name, directory / name)
            ours, theirs = (_numbers(path) for path in (self.reference.directory, directory))
            skipped = ["notes", "trend"] if "train.h5" in without else []  # what is said of training is of its series
            found += [f"result.json: {key}" for key in ours if ours[key] != theirs.get(key) and key not in skipped]
        except Exception as error:  # whatever it is, the numbers aren't there
            found.append(f"{type(error).__name__}: {error}")
        return "; ".join(found)


def run_words(directory: Path) -> list[str]:
    """Return the words of the `nnqmc run` command that all runs here use."""
    return ["run", *SETTINGS, "train.checkpoint_seconds=1e9", "--out", str(directory)]


def checkpoint_steps(directory: Path) -> list[int]:
    """Return the steps of the checkpoints in a directory."""
    return [int(path.stem.rpartition("-")[2]) for path in list_checkpoints(directory)]


def evaluation_steps(directory: Path) -> int:
    """Return the number of steps of an interrupted evaluation, or 0 if there is none."""
    path = directory / PARTIAL
    return load_arrays(path)[1]["steps"] if path.exists() else 0


def is_intact(outcome: Outcome, before: dict[str, bytes], directory: Path) -> bool:
    """Return whether a command ended in one clear error message and left every file unchanged."""
    return outcome.is_clear_error and before == contents(directory)


def contents(directory: Path) -> dict[str, bytes]:
    """Return the contents of all files by name."""
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir()) if path.is_file()}


def mount(folder: Path, options: str) -> bool:
    """Mount or remount a file system in memory; return False if that isn't allowed."""
    words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def unmount(folder: Path) -> None:
    """Unmount the file system in memory."""
    subprocess.run(["umount", str(folder)], capture_output=True, check=False)


def _seconds_until(child: Child, words: str) -> float:
    import time

    started = time.monotonic()
    child.wait_for(words)
    return time.monotonic() - started


def _differences(name: str, first: Path, second: Path) -> list[str]:
    one, two = load_arrays(first)[0], load_arrays(second)[0]
    keys = [key for key in one.keys() | two.keys()
            if key not in one or key not in two or not np.array_equal(one[key], two[key], equal_nan=True)]
    return [f"{name}: {', '.join(sorted(keys)[:3])}"] if keys else []


def _numbers(directory: Path) -> dict[str, Any]:
    """Return all values of result.json except times."""
    plain = json.loads((directory / "result.json").read_text(encoding="utf-8"))
    return {key: value for key, value in plain.items() if key not in ("seconds", "performance", "versions")}
