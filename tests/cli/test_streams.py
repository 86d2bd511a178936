"""A command is complete and exits with 0 whatever has become of stdout and stderr."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import nnqmc
from nnqmc.cli import main
from nnqmc.job import report

ROOT = Path(__file__).resolve().parents[2]


class WriteOnly:
    """The least that counts as a stream."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)


class Gone:
    """A terminal that is gone: it has all methods, and each of them fails."""

    def write(self, text: str) -> int:
        raise OSError(5, "input/output error")

    def flush(self) -> None:
        raise OSError(5, "input/output error")

    def isatty(self) -> bool:
        raise ValueError("closed")


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


STREAMS = (lambda: None, closed, WriteOnly)
CLOSED = "import sys; sys.stdout.close(); sys.stderr.close(); sys.stdin.close(); import nnqmc; "


@pytest.fixture
def outcome(monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Call a command with streams as stdout and stderr; returns its exit code and what was written to the first."""

    def call(out: object, err: object, *words: str) -> tuple[int, str | None]:
        with monkeypatch.context() as streams:  # in the test itself: pytest sets streams of its own before it
            streams.setattr("sys.stdout", out)
            streams.setattr("sys.stderr", err)
            return main(list(words)), getattr(out, "text", None)

    return call


def test_a_run_is_complete(outcome: Callable, tiny_words: tuple[str, ...], tmp_path: Path) -> None:
    assert outcome(None, closed(), "run", "He", "--out", str(tmp_path / "he"), *tiny_words)[0] == 0
    assert report(tmp_path / "he")[1].complete


@pytest.mark.parametrize("make", STREAMS, ids=["nothing", "closed", "write only"])
def test_reports_and_lists_are_complete(make: Callable, outcome: Callable, finished: Path) -> None:
    out = str(finished)
    for words, said in ((("list",), "H2O"), (("report", out), "R-hat"), (("resume", out), "He   E")):
        code, text = outcome(make(), make(), *words)
        assert code == 0 and (text is None or said in text)


@pytest.mark.parametrize("make", STREAMS, ids=["nothing", "closed", "write only"])
def test_bad_input_keeps_its_exit_code(make: Callable, outcome: Callable) -> None:
    stream = make()
    code, text = outcome(stream, stream, "run", "LiH", "--walkers", "0")
    assert code == 2 and (text is None or text.count("nnqmc: error: ") == 1)


@pytest.mark.slow
def test_a_run_needs_no_terminal_that_answers(monkeypatch: pytest.MonkeyPatch, tiny: dict) -> None:
    with monkeypatch.context() as streams:
        streams.setattr("sys.stdout", WriteOnly())
        streams.setattr("sys.stderr", Gone())
        assert nnqmc.solve("He", seed=3, **(tiny | {"progress": True})).steps == 4


def test_streams_may_be_closed_before_anything_is_imported(finished: Path) -> None:
    """JAX asks stdout whether it is a terminal as soon as it is imported."""
    code = f"{CLOSED} assert nnqmc.resume({str(finished)!r}).steps == 4"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=300, check=False, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_messages_never_go_to_stdout(outcome: Callable) -> None:
    assert outcome(WriteOnly(), None, "run", "LiH", "--walkers", "0") == (2, "")


def test_python_needs_no_streams_either(monkeypatch: pytest.MonkeyPatch, finished: Path) -> None:
    for make in STREAMS:
        with monkeypatch.context() as streams:
            streams.setattr("sys.stdout", make())
            streams.setattr("sys.stderr", make())
            assert nnqmc.resume(finished).complete
            assert float(nnqmc.hartree_fock(nnqmc.molecule("H")).energy) == pytest.approx(-0.4993, abs=1e-4)


@pytest.mark.skipif(os.name != "posix", reason="needs streams that a shell has closed")
def test_streams_that_a_shell_has_closed(finished: Path) -> None:
    """Nothing that a library writes to the numbers 1 and 2 may end in a file of the run."""
    command = f'"{sys.executable}" -m nnqmc resume "{finished}" <&- >&- 2>&-'
    assert subprocess.run(["sh", "-c", command], cwd=ROOT, timeout=300, check=False).returncode == 0
    code = "import os; from nnqmc.cli.program import console; import nnqmc.cli.program as p\n" \
           "def main(): raise SystemExit(sum(os.readlink(f'/proc/self/fd/{n}') == '/dev/null' for n in (0, 1, 2)))\n" \
           "p.main = main; console()"
    if Path("/proc/self/fd").exists():
        done = subprocess.run(["sh", "-c", f'"{sys.executable}" -c "$0" <&- >&- 2>&-', code], cwd=ROOT, check=False)
        assert done.returncode == 3
