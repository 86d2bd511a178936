"""The batch script of docs/cluster.md, word for word, with stand-ins for nnqmc and the batch system."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from nnqmc.cli.parser import EXIT_CODES

ROOT = Path(__file__).resolve().parents[1]
BASH = shutil.which("bash")
NNQMC = """#!/bin/bash
echo "$@" >>calls
trap 'echo saved >>calls; sleep 0.3; exit 3' USR1
[[ -e quick ]] && exit "$(<quick)"
touch started
for ((i = 0; i < 600; i++)); do sleep 0.1; done
"""
SCONTROL = """#!/bin/bash
echo "scontrol $@" >>calls
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    if BASH is None:
        pytest.skip("needs bash")
    script = re.search(r"```bash\n(#!/bin/bash\n#SBATCH.*?)```", (ROOT / "docs/cluster.md").read_text(), re.DOTALL)[1]
    for name, text in (("job.sh", script), ("nnqmc", NNQMC), ("scontrol", SCONTROL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def submit(place: Path) -> subprocess.Popen:
    environment = {"PATH": f"{place}:{os.environ['PATH']}", "SLURM_JOB_ID": "17"}
    return subprocess.Popen([BASH, "job.sh"], cwd=place, env=environment)


def calls(place: Path) -> list[str]:
    return (place / "calls").read_text().splitlines()


def test_a_job_whose_time_ends_saves_and_requeues(place: Path) -> None:
    job = submit(place)
    deadline = time.monotonic() + 60
    while not (place / "started").exists():
        assert job.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    job.send_signal(signal.SIGUSR1)
    assert job.wait(60) == 3
    assert calls(place) == ["run LiH --out runs/lih --steps 20000", "saved", "scontrol requeue 17"]


@pytest.mark.parametrize(("code", "requeues"), [(0, False), (1, False), (2, False), (3, True)])
def test_only_exit_code_three_requeues(code: int, requeues: bool, place: Path) -> None:
    (place / "quick").write_text(str(code))
    (place / "runs/lih").mkdir(parents=True)
    (place / "runs/lih/config.toml").touch()
    assert submit(place).wait(60) == code
    assert calls(place) == ["resume runs/lih"] + ["scontrol requeue 17"] * requeues


def test_the_documents_and_the_help_know_the_same_codes() -> None:
    codes = re.findall(r"^  (\d)  ", EXIT_CODES, re.MULTILINE)
    for name in ("docs/commands.md", "docs/cluster.md"):
        assert re.findall(r"^\| (\d) \| ", (ROOT / name).read_text(), re.MULTILINE) == codes
