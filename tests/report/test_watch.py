"""A run in progress is shown from its files alone, whatever state they are in, and nobody is disturbed."""

from __future__ import annotations

import io
import math
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from nnqmc.errors import InputError
from nnqmc.io import save_tree
from nnqmc.job import Result, RunDirectory
from nnqmc.report import live
from nnqmc.report.textplot import text_plot
from nnqmc.statistics import Estimate
from written_runs import write_run

WRITER = """
import sys
from nnqmc.io import load_series, save_series

path = sys.argv[1]
series, attributes = load_series(path)
for n in range(1, len(series["step"]) + 1):
    save_series(path, {name: values[:n] for name, values in series.items()}, attributes)
"""


def result(energy=-8.0704, steps=40):
    return Result("LiH", Estimate(energy, 2e-4, 0.02, 1.5, 1.0, 999), steps=steps, planned_steps=steps)


def test_a_falling_curve_falls_from_the_upper_left_to_the_lower_right():
    for braille in (True, False):
        lines = text_plot([1, 50, 100], [10.0, 5.0, 0.0], width=40, height=10, ticks=[(10.0, "+10"), (0.0, "0")],
                          braille=braille)
        body = [line[5:] for line in lines[:10]]
        marks = [next(i for i, mark in enumerate(row) if mark not in " -╌") for row in body]
        assert marks == sorted(marks) and marks[0] == 0 and len(lines) == 12 and max(map(len, lines)) == 40
        assert lines[0].startswith(" +10") and lines[9].lstrip().startswith("0") and lines[11].split() == ["1", "100"]
        assert braille or "".join(lines).isascii()
    assert len(text_plot([3], [1.0], width=30, height=4, ticks=[])) == 6


def test_a_run_is_read_while_another_process_writes_it(tmp_path):
    run = RunDirectory.open(write_run(tmp_path / "lih", evaluated=False))
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(run.path / "train.h5")])
    found, counts = live.look(run), set()
    while writer.poll() is None:
        found = live.look(run, found)
        counts.add(len(found.series["step"]))
        assert list(found.series["step"]) == list(range(1, found.last_step + 1))
        time.sleep(0.01)
    assert writer.returncode == 0 and len(counts) > 1
    assert live.look(run, found).last_step == 40
    assert {path.name for path in run.path.iterdir()} == {"config.toml", "train.h5"}


def test_what_is_half_written_is_as_it_was_before(tmp_path):
    run = RunDirectory.open(write_run(tmp_path / "lih", evaluated=False))
    before = live.look(run)
    whole = (run.path / "train.h5").read_bytes()
    for raw in (whole[: len(whole) // 2], b""):
        (run.path / "train.h5").write_bytes(raw)
        after = live.look(run, before)
        assert after.last_step == 40 and "step 40 of 40" in live.frame(after)[0]
    (run.path / "train.h5").unlink()
    assert live.look(run, before).series == {}
    assert "no training steps written yet" in live.frame(live.look(run))[0]


def test_a_frame_has_energy_reference_rate_and_curve(tmp_path):
    run = RunDirectory.open(write_run(tmp_path / "lih", evaluated=False))
    run.config["train"]["steps"] = 400
    for step, age in ((20, 100.0), (40, 60.0)):
        (run.path / f"checkpoint-{step:07d}.h5").touch()
        os.utime(run.path / f"checkpoint-{step:07d}.h5", (time.time() - age,) * 2)
    text = "\n".join(live.frame(live.look(run), 80))
    for words in ("not complete   step 40 of 400", "mHa from the reference -8.07054846", "acceptance 0.40",
                  "0.5 steps/s   12 min 0 s of training left", "energy - reference (mHa)", "+30"):
        assert words in text
    assert max(map(len, text.splitlines())) <= 80
    rows = {"rows": {"energy": np.full((50, 4), -8.0651) + 1e-3 * np.random.default_rng(0).normal(size=(50, 4))}}
    save_tree(run.path / "evaluate-partial.h5", rows, {})
    assert "evaluation so far: E = -8.065" in "\n".join(live.frame(live.look(run)))


def test_a_lock_is_seen_in_the_list_of_the_system_and_never_taken(tmp_path, monkeypatch):
    path = write_run(tmp_path / "lih")
    (path / ".lock").touch()
    status = (path / ".lock").stat()
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
    line = f"1: FLOCK  ADVISORY  WRITE 7 {device}:{status.st_ino} 0 EOF"
    monkeypatch.setattr(live, "_LOCKS", tmp_path / "locks")
    (tmp_path / "locks").write_text(line)
    found = live.look(RunDirectory.open(path))
    assert found.at_work and not found.has_ended  # resumed after it had a result
    (tmp_path / "locks").write_text(line.replace(str(status.st_ino), "1"))
    found = live.look(found.run, found)
    assert found.at_work is None and found.has_ended and "ended" in live.frame(found)[0]


def test_it_is_shown_once_without_a_terminal_and_until_the_end_in_one(tmp_path, capsys, monkeypatch):
    path = write_run(tmp_path / "lih", evaluated=False)
    live.watch(path)
    assert capsys.readouterr().out.count("energy - reference (mHa)") == 1
    with pytest.raises(InputError, match=r"give 0\.1 to 3600 seconds"):
        live.watch(path, every=math.nan)
    run, terminal = RunDirectory.open(path), io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(live.time, "sleep", lambda seconds: run.save_result(result()))
    live.watch(path)
    assert "trained, not evaluated yet" in terminal.getvalue() and "E = -8.0704(2) Ha" in terminal.getvalue()

    def interrupt(seconds):
        raise KeyboardInterrupt

    (path / "result.json").unlink()
    monkeypatch.setattr(live.time, "sleep", interrupt)
    live.watch(path)
