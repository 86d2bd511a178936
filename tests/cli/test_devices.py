"""The options that say where a command computes."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from nnqmc.cli.parser import parse

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs/devices.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", [("run", "He"), ("resume", "runs/he"), ("evaluate", "runs/he")], ids=lambda c: c[0])
@pytest.mark.parametrize(("options", "message"), [
    (("--devices", "0"), "0 devices were asked for, and there"),
    (("--devices", "many"), "invalid int value: 'many'"),
    (("--process", "1"), "--process 1 without --distributed: give --distributed"),
    (("--distributed", "--process", "1"), "--process 1: give --distributed with all of --coordinator"),
    (("--distributed", "--coordinator", "h:1", "--processes", "2", "--process", "2"), "I is from 0 to N - 1"),
    (("--distributed", "--coordinator", "here", "--processes", "2", "--process", "1"), "--coordinator HOST:PORT"),
], ids=lambda value: " ".join(value) if isinstance(value, tuple) else "")
def test_what_can_t_be_is_refused_before_anything_is_done(
    command: tuple, options: tuple, message: str, nnqmc_says: Callable
) -> None:
    outcome = nnqmc_says(*command, *options)
    assert outcome.code == 2 and message in outcome.err


def test_the_commands_of_the_document_are_commands() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)
    lines = [line.rstrip(" &") for block in blocks for line in block.splitlines()]
    assert len(lines) == 5 and all(line.startswith("nnqmc ") for line in lines)
    for line in lines:
        parse(shlex.split(line, comments=True)[1:])


def test_the_batch_script_of_the_document_is_one(tmp_path: Path) -> None:
    """bash reads it, and what it starts are commands, first and when it is requeued."""
    if (bash := shutil.which("bash")) is None:
        pytest.skip("needs bash")
    (tmp_path / "job.sh").write_text(re.search(r"```bash\n(.*?)```", DOCUMENT, re.DOTALL)[1], encoding="utf-8")
    for name, text in (("srun", 'echo "$@" >>calls; exit 3'), ("scontrol", 'echo "scontrol $@" >>calls')):
        (tmp_path / name).write_text(f"#!{bash}\n{text}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": str(tmp_path), "SLURM_JOB_ID": "17"}
    assert subprocess.run([bash, "job.sh"], cwd=tmp_path, env=environment, timeout=60).returncode == 3
    (tmp_path / "runs/n2").mkdir(parents=True)
    (tmp_path / "runs/n2/config.toml").touch()
    assert subprocess.run([bash, "job.sh"], cwd=tmp_path, env=environment, timeout=60).returncode == 3
    first, requeue, second, _ = (tmp_path / "calls").read_text(encoding="utf-8").splitlines()
    assert requeue == "scontrol requeue 17"
    for line, command in ((first, "run"), (second, "resume")):
        words = shlex.split(line)
        arguments = parse(words[words.index("nnqmc") + 1:])
        assert arguments.command == command and arguments.distributed
