"""The campaign of crashes: a short one, and that it tells losses from survival."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A script of benchmarks/ as a module."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks, and limits the size of files")
def test_a_run_survives_kills_full_disks_torn_files_and_others_in_its_directory(tmp_path: Path) -> None:
    kinds = ["SIGKILL", "killed", "full disk", "newest checkpoints torn", "two processes"]
    cache = os.environ.get("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "cache"))
    words = [sys.executable, str(ROOT / "benchmarks" / "crashes.py"), "--kills", "2", "--others", "1", "--seed", "2",
             "--out", str(tmp_path / "out"), "--cache", cache, "--only", *kinds]
    done = subprocess.run(words, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True, capture_output=True,
                          timeout=1500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    records = json.loads((tmp_path / "out" / "crashes.json").read_text())
    assert sum(record["kills"] for record in records) >= 2 and len({record["fault"] for record in records}) >= 4
    assert "LOST" not in {record["outcome"] for record in records}


def test_the_table_counts_and_names_what_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    record = {"fault": "full disk", "outcome": "survived", "detail": "8 KiB", "kills": 0, "seconds": 2.0, "seed": 0}
    lost = record | {"outcome": "LOST", "detail": "12 KiB: train.h5: energy", "kills": 1}
    text = script("crashes", monkeypatch).report([record, record | {"outcome": "clear error"}, lost])
    assert "| full disk | 3 | 1 | 1 | 1 | 1 | 6 |" in text
    assert "- full disk: 12 KiB: train.h5: energy" in text and "3 faults, 1 processes killed, seeds 0." in text


@pytest.mark.parametrize(("code", "text", "expected"), [
    (1, "nnqmc: error: x can't be written\n", True),
    (2, "[ 0.1 s] training\nnnqmc: error: another process is at work\n", True),
    (0, "", False),
    (1, "Traceback (most recent call last):\nnnqmc: error: x\n", False),
    (1, "nnqmc: error: x\nnnqmc: error: y\n", False),
    (70, "nnqmc: error: x\n", False),
    (-9, "", False),
])
def test_a_clear_error_is_one_message_with_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, code: int, text: str, expected: bool
) -> None:
    assert script("crash_child", monkeypatch).Outcome(code, text).is_clear_error is expected
