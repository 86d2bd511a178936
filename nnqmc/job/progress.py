"""What a person sees while a run is at work: a live display in a terminal, and a line now and then elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from html import escape

import numpy as np

from nnqmc.messages import TolerantStream, duration, printable, say
from nnqmc.statistics import Estimate, format_with_error


class Reporter:
    """Shows nothing; the base class of those that do."""

    def stage(self, title: str, total: int | None = None) -> None:
        """Announce the stage that begins, and its number of steps if that is known."""

    def update(self, done: int, text: Callable[[], str]) -> None:
        """Report the number of steps done of a known total; `text` is called only if its result will be shown."""

    def note(self, text: str) -> None:
        """Show a message once."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class PlainReporter(Reporter):
    """Writes lines to stderr: the first step of a stage, then one every few seconds, and the last step."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._next, self._total = 0.0, None

    def stage(self, title: str, total: int | None = None) -> None:
        """Write the title of the stage that begins."""
        self._next, self._total = 0.0, total
        self.note(title)

    def update(self, done: int, text: Callable[[], str]) -> None:
        """Write a line if it is time for one or the stage is complete; lines become rarer in a long run."""
        elapsed = time.monotonic() - self._started
        if elapsed >= self._next or done == self._total:
            self._next = elapsed + min(max(5.0, 0.05 * elapsed), 60.0)
            self.note(f"  {done}/{self._total}  {text()}")

    def note(self, text: str) -> None:
        """Write a message with the seconds since the start."""
        say(f"[{time.monotonic() - self._started:6.1f} s] {text}")


class LiveReporter(Reporter):
    """Redraws a bar and a line of numbers in a terminal; each stage that has ended leaves one line above them."""

    def __init__(self) -> None:
        from rich.console import Console, Group
        from rich.live import Live
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.text import Text

        self._console = Console(file=TolerantStream(sys.stderr), highlight=False, emoji=False, markup=False)
        self._bars = Progress(TextColumn("{task.description}", markup=False), BarColumn(24), TimeElapsedColumn())
        self._numbers = Text()
        self._live = Live(Group(self._bars, self._numbers), console=self._console, refresh_per_second=8, transient=True)
        self._drawn = 0.0
        self._live.start()
        self._console.show_cursor(True)  # so that it is there after the process was killed

    def stage(self, title: str, total: int | None = None) -> None:
        """Begin a new bar; it moves to and fro if the number of steps isn't known."""
        self._keep()
        self._bars.add_task(printable(title), total=total)

    def update(self, done: int, text: Callable[[], str]) -> None:
        """Redraw, at most ten times a second unless the stage is complete."""
        task, now = self._bars.tasks[-1], time.monotonic()
        if now - self._drawn >= 0.1 or done == task.total:
            self._drawn = now
            self._bars.update(task.id, completed=done)
            self._numbers.plain = f"  {done}/{task.total}  {text()}"

    def note(self, text: str) -> None:
        """Show a message above the bar."""
        self._console.print(printable(text))

    def close(self) -> None:
        """Leave the last stage as a line, and the terminal as it was."""
        self._keep()
        self._live.stop()

    def _keep(self) -> None:
        """Turn the bar of the stage that has ended into a line."""
        for task in self._bars.tasks:
            self.note(f"{task.description}  {duration(task.elapsed)}{self._numbers.plain}")
            self._bars.remove_task(task.id)
        self._numbers.plain = ""


class NotebookReporter(Reporter):
    """Shows one bar in a notebook, which is redrawn in place; each stage that has ended leaves one line above it."""

    def __init__(self) -> None:
        from IPython.display import display

        self._lines: list[str] = []
        self._title, self._total, self._numbers, self._done = "", None, "", 0
        self._begun = self._drawn = time.monotonic()
        self._shown = display({"text/plain": ""}, raw=True, display_id=True)

    def stage(self, title: str, total: int | None = None) -> None:
        """Begin a new bar; it moves to and fro if the number of steps isn't known."""
        self._keep()
        self._title, self._total, self._begun = title, total, time.monotonic()
        self._draw()

    def update(self, done: int, text: Callable[[], str]) -> None:
        """Redraw, at most twice a second unless the stage is complete."""
        if time.monotonic() - self._drawn >= 0.5 or done == self._total:
            self._done, self._numbers = done, f"  {done}/{self._total}  {text()}"
            self._draw()

    def note(self, text: str) -> None:
        """Show a message above the bar."""
        self._lines.append(text)
        self._draw()

    def close(self) -> None:
        """Leave the last stage as a line."""
        self._keep()
        self._draw()

    def _keep(self) -> None:
        """Turn the stage that has ended into a line."""
        if self._title:
            self._lines.append(f"{self._title}  {duration(time.monotonic() - self._begun)}{self._numbers}")
        self._title, self._numbers, self._done = "", "", 0

    def _draw(self) -> None:
        """Replace what is shown."""
        self._drawn, lines = time.monotonic(), list(map(printable, (*self._lines, self._title + self._numbers)))
        value = "" if self._total is None else f' value="{self._done}" max="{self._total}"'
        bar = f"<progress{value}></progress> " if self._title else ""
        html = "<br>".join([*map(escape, lines[:-1]), bar + escape(lines[-1])])
        self._shown.update({"text/plain": "\n".join(lines).rstrip(), "text/html": html}, raw=True)


def reporting(progress: bool | Reporter = True) -> contextlib.AbstractContextManager[Reporter]:
    """Return a context manager of the reporter: the one given, the usual one for True, or a silent one for False."""
    if isinstance(progress, Reporter):
        return contextlib.nullcontext(progress)
    loud = LiveReporter if TolerantStream(sys.stderr).isatty() else PlainReporter
    loud = NotebookReporter if type(sys.stderr).__module__.startswith("ipykernel") else loud
    return contextlib.closing(loud() if progress else Reporter())


class TrainingMeter:
    """Turns the statistics of training steps into one line of text.

    Args:
        n_steps: the number of training steps in all.
        n_walkers: the size of the population.
        reference: an energy to compare with, in hartree, or None.
        throughput: returns what is done in a second, in words, from the seconds of a step; "" if that isn't known.
    """

    def __init__(self, n_steps: int, n_walkers: int, reference: float | None = None,
                 throughput: Callable[[float], str] = lambda seconds: "") -> None:
        self._n_steps, self._n_walkers, self._reference = n_steps, n_walkers, reference
        self._throughput, self._done = throughput, 0
        self._recent: deque[tuple[float, float, float]] = deque(maxlen=50)
        self._faults = {"rejected": 0.0, "excluded": 0.0, "reseeded": 0.0}
        self._last: Mapping[str, float] = {}

    def add(self, done: int, stats: Mapping[str, float]) -> None:
        """Take note of the statistics of one step; `done` is its number."""
        self._done, self._last = done, stats
        self._recent.append((time.monotonic(), stats["energy"], stats["variance"]))
        for name in self._faults:  # steps that were rejected, but walkers that were excluded or reseeded
            self._faults[name] += stats.get(name, 0.0) * (1 if name == "rejected" else self._n_walkers)

    def text(self) -> str:
        """Return the mean energy of the last 50 steps with its error, warnings, the speed and the time that is left."""
        times, energies, variances = np.array(self._recent).T
        finite = np.isfinite(energies)
        parts = [self._energy(energies[finite], variances[finite]), f"variance {self._last['variance']:.3g}"]
        parts.append(f"acceptance {self._last.get('acceptance', float('nan')):.2f}")
        parts += [f"{name} {count:.0f}" for name, count in self._faults.items() if count > 0.0]
        parts += _fractions(self._last, {"clipped": 0.02, "stuck": 0.01, "bad_proposals": 0.01})
        if len(times) > 1:
            seconds = (times[-1] - times[0]) / (len(times) - 1)
            speed = self._throughput(seconds)
            parts.append(f"{1e3 * seconds:.0f} ms/step" + (f" ({speed})" if speed else ""))
            parts.append(f"{duration(seconds * (self._n_steps - self._done))} left")
        return "  ".join(parts)

    def _energy(self, energies: np.ndarray, variances: np.ndarray) -> str:
        """Return the mean of the energies with its error in words."""
        if not energies.size:
            return "no finite energy yet"
        mean = float(energies.mean())
        error = float(np.sqrt(max(variances.mean() / self._n_walkers, energies.var()) / energies.size))
        text = f"E = {format_with_error(mean, error)} Ha"
        return text if self._reference is None else f"{text}  {1e3 * (mean - self._reference):+.1f} mHa from reference"


def evaluation_text(energy: Estimate, target: float | None, reference: float | None,
                    faults: Mapping[str, float] | None = None) -> str:
    """Return one line on a running evaluation; all energies are in hartree, and `faults` are fractions by name."""
    compared = "" if reference is None else f"  {1e3 * (energy.value - reference):+.2f} mHa from reference"
    aim = "" if target is None else f" (target {1e3 * target:.2g})"
    line = f"E = {energy} Ha{compared}  error {1e3 * energy.error:.2g} mHa{aim}  tau {energy.tau:.2g}"
    return "  ".join([line, *_fractions(faults or {}, dict.fromkeys(faults or {}, 0.0))])


def _fractions(found: Mapping[str, float], limits: Mapping[str, float]) -> list[str]:
    """Return in percent the fractions that are above their limits."""
    return [f"{name.replace('_', ' ')} {100.0 * found[name]:.2g}%" for name, limit in limits.items()
            if found.get(name, 0.0) > limit]
