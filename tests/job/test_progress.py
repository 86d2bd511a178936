"""What is shown while waiting: true numbers, warnings that can't be missed, and not too many lines."""

from __future__ import annotations

import io
import sys
import types

import pytest

from nnqmc.job.progress import PlainReporter, Reporter, TrainingMeter, evaluation_text, reporting
from nnqmc.statistics import Estimate


def stats(**values: float) -> dict[str, float]:
    usual = {"energy": -1.0, "variance": 0.01, "acceptance": 0.5, "rejected": 0.0, "clipped": 0.0, "excluded": 0.0}
    return usual | values


def test_the_energy_is_that_of_the_last_steps() -> None:
    meter = TrainingMeter(200, 100, reference=-2.0)
    for step in range(1, 101):
        meter.add(step, stats(energy=5.0 if step <= 50 else -1.9))
    text = meter.text()
    assert "E = -1.900(1) Ha" in text and "+100.0 mHa from reference" in text and "acceptance 0.50" in text


def test_a_quiet_walk_has_no_warnings() -> None:
    meter = TrainingMeter(10, 100)
    meter.add(1, stats(clipped=0.01))
    assert not any(word in meter.text() for word in ("rejected", "excluded", "clipped", "stuck"))


@pytest.mark.parametrize(
    ("values", "words"),
    [({"rejected": 1.0}, "rejected 1"), ({"excluded": 0.01}, "excluded 1"), ({"clipped": 0.05}, "clipped 5%"),
     ({"stuck": 0.5}, "stuck 50%"), ({"energy": float("nan")}, "no finite energy yet")],
)
def test_what_is_wrong_is_shown(values: dict, words: str) -> None:
    meter = TrainingMeter(10, 100)
    meter.add(1, stats(**values))
    assert words in meter.text()


def test_what_was_wrong_once_stays_in_sight() -> None:
    meter = TrainingMeter(10, 100)
    for step, faults in enumerate(({"excluded": 0.02, "reseeded": 0.01}, {"excluded": 0.01}, {}), 1):
        meter.add(step, stats(**faults))
    assert "excluded 3  reseeded 1" in meter.text()


def test_a_running_evaluation_shows_what_is_wrong() -> None:
    energy = Estimate(-1.0, 0.001, 0.1, 1.5, 1.0, 10)
    text = evaluation_text(energy, None, None, {"excluded": 0.02, "reseeded": 0.0, "bad_proposals": 0.001})
    assert "excluded 2%" in text and "bad proposals 0.1%" in text and "reseeded" not in text


def test_the_throughput_is_that_of_the_time_of_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((0.0, 0.5, 1.0))
    monkeypatch.setattr("nnqmc.job.progress.time.monotonic", lambda: next(clock))
    meter = TrainingMeter(10, 100, throughput=lambda seconds: f"{100 / seconds:.0f} walkers/s")
    for step in (1, 2, 3):
        meter.add(step, stats())
    assert "500 ms/step (200 walkers/s)" in meter.text()


def test_a_running_evaluation_shows_error_and_target() -> None:
    text = evaluation_text(Estimate(-1.0, 0.001, 0.1, 1.5, 1.0, 10), 0.0005, -1.002)
    assert "error 1 mHa (target 0.5)" in text and "+2.00 mHa from reference" in text


def test_plain_lines_are_few(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = PlainReporter()
    reporter.stage("training", 1000)
    for step in range(1, 1001):
        reporter.update(step, lambda: "text")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and "training" in lines[0] and "1/1000" in lines[1] and "1000/1000" in lines[2]


class Terminal(io.StringIO):
    """A terminal that keeps what is written on it."""

    def isatty(self) -> bool:
        return True


class Gone(Terminal):
    """A terminal that was closed, and how often somebody tried to write on it."""

    refused = 0

    def write(self, text: str) -> int:
        self.refused += 1
        raise OSError(5, "Input/output error")

    def flush(self) -> None:
        raise OSError(5, "Input/output error")


class WriteOnly:
    """The least that counts as a stream."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)


def closed() -> io.StringIO:
    stream = Terminal()
    stream.close()
    return stream


def use(reporter: Reporter) -> list[str]:
    """Do everything that a run does with a reporter, and return the texts that it asked for."""
    asked = []

    def text(step: int) -> str:
        asked.append(f"E = -{step} Ha")
        return asked[-1]

    reporter.stage("compiling [red]")
    reporter.note("something [bold]worth[/bold] noting \x1b[2J")
    reporter.stage("training", 2)
    for step in (1, 2):
        reporter.update(step, lambda step=step: text(step))
    return asked


def test_the_live_display_leaves_one_line_per_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with reporting() as reporter:
        use(reporter)
    shown = terminal.getvalue()
    for words in ("something [bold]worth[/bold] noting ?[2J\n", "compiling [red]  0 s\n",
                  "training  0 s  2/2  E = -2 Ha\n", "\x1b[?25h"):
        assert words in shown


def test_silence_and_the_choice_of_reporter(capsys: pytest.CaptureFixture[str]) -> None:
    with reporting(False) as silent:
        use(silent)
    assert capsys.readouterr().err == ""
    with reporting() as plain:
        use(plain)
    assert "2/2  E = -2 Ha" in capsys.readouterr().err and isinstance(plain, PlainReporter)
    mine = Reporter()
    with reporting(mine) as reporter:
        assert reporter is mine


@pytest.mark.parametrize("stream", [None, closed(), Gone(), object(), WriteOnly()], ids=lambda s: type(s).__name__)
def test_a_terminal_that_is_gone_ends_no_run(stream: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", stream)
    with reporting() as reporter:
        assert use(reporter)[-1] == "E = -2 Ha", "the last line was written, as far as that is possible"
    assert not isinstance(stream, Gone) or stream.refused > 1
    if isinstance(stream, WriteOnly):
        assert "something [bold]worth[/bold] noting ?[2J" in stream.text and "2/2  E = -2 Ha" in stream.text


def test_a_full_disk_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "wb", buffering=0) as full:
        stream = io.TextIOWrapper(full, write_through=True)
        with pytest.raises(OSError, match="No space left"):
            stream.write("anything")
        monkeypatch.setattr("sys.stderr", stream)
        with reporting() as reporter:
            assert use(reporter)[-1] == "E = -2 Ha"


def test_a_notebook_gets_one_output_that_is_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    display = pytest.importorskip("IPython.display")
    drawn = []
    handle = types.SimpleNamespace(update=lambda data, raw: drawn.append(data))
    monkeypatch.setattr(display, "display", lambda *_, **options: handle if options["display_id"] else None)
    stream = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
    monkeypatch.setattr(sys, "stderr", stream)
    with reporting(True) as reporter:
        reporter.stage("training", 1000)
        for step in range(1, 1001):
            reporter.update(step, lambda: "E = <-1>")
        assert drawn[-1]["text/html"].startswith('<progress value="1000" max="1000">') and len(drawn) < 10
        reporter.note("a note")
        reporter.stage("evaluating")
    assert stream.getvalue() == ""
    html = drawn[-1]["text/html"]
    assert "training  0 s  1000/1000  E = &lt;-1&gt;" in html and "progress" not in html
    assert drawn[-1]["text/plain"].splitlines()[0] == "a note" and "evaluating  0 s" in drawn[-1]["text/plain"]
