"""What a person sees while waiting: a live line in a terminal, now and then a plain line elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from nnqmc.statistics import Estimate, format_with_error

_WINDOW = 50
"""Training steps that the shown energy is averaged over."""

_CLIPPED_WARNING = 0.02
"""The share of clipped local energies from which it is shown."""


class Reporter:
    """Says nothing; the base of those that do."""

    def stage(self, title: str, total: int | None = None) -> None:
        """Announce what begins now, and how many steps it has."""

    def update(self, done: int, text: Callable[[], str]) -> None:
        """Tell how far the stage is; `text` is called only if it will be shown."""

    def note(self, text: str) -> None:
        """Say something once."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class PlainReporter(Reporter):
    """Lines on stderr, the first at once, then every few seconds, less often in a long run."""

    def __init__(self, interval: float = 5.0) -> None:
        self._interval = interval
        self._started = time.monotonic()
        self._next = 0.0
        self._total: int | None = None

    def stage(self, title: str, total: int | None = None) -> None:
        """Announce what begins now, and how many steps it has."""
        self._total = total
        self._next = 0.0
        self._write(title)

    def update(self, done: int, text: Callable[[], str]) -> None:
        """Tell how far the stage is, if it is time for a line or the stage is complete."""
        elapsed = time.monotonic() - self._started
        if elapsed < self._next and done != self._total:
            return
        self._next = elapsed + min(max(self._interval, 0.05 * elapsed), 60.0)
        total = "" if self._total is None else f"/{self._total}"
        self._write(f"  {done}{total}  {text()}")

    def note(self, text: str) -> None:
        """Say something once."""
        self._write(text)

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a full disk or a closed terminal there is no reason to end a run
            print(f"[{time.monotonic() - self._started:6.1f} s] {text}", file=sys.stderr, flush=True)


class _Forgiving:
    """A stream that swallows what can't be written: a terminal that is gone is no reason to end a run."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


class LiveReporter(Reporter):
    """One line that is redrawn, with a bar; what has ended stays above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(file=_Forgiving(sys.stderr), highlight=False)
        self._live = Live("", console=self._console, refresh_per_second=8, transient=True)
        self._title, self._total = "", None
        self._started = time.monotonic()
        self._drawn = 0.0
        self._line = ""
        self._live.start()
        self._console.show_cursor(True)  # so that it is there after the process was killed

    def stage(self, title: str, total: int | None = None) -> None:
        """Announce what begins now, and how many steps it has."""
        self._keep()
        self._title, self._total, self._started, self._line = title, total, time.monotonic(), ""
        self._draw(None)

    def update(self, done: int, text: Callable[[], str]) -> None:
        """Redraw, at most ten times a second."""
        if time.monotonic() - self._drawn < 0.1 and done != self._total:
            return
        self._line = text()
        self._draw(done)

    def note(self, text: str) -> None:
        """Say something once, above the live line."""
        self._console.print(text, markup=False)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._keep()
        self._live.stop()

    def _keep(self) -> None:
        from rich.text import Text

        if self._title:
            took = f"{time.monotonic() - self._started:.1f} s"
            self._console.print(Text(f"{self._title}  {took}  {self._line}".rstrip(), "dim"))
            self._title = ""

    def _draw(self, done: int | None) -> None:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.spinner import Spinner
        from rich.table import Table
        from rich.text import Text

        self._drawn = time.monotonic()
        line = Table.grid(padding=(0, 1))
        if done is None or not self._total:
            line.add_row(Spinner("dots"), Text(self._title))
        else:
            line.add_row(Text(self._title), ProgressBar(self._total, done, width=24), Text(f"{done}/{self._total}"))
        self._live.update(Group(line, Text(f"  {self._line}")) if self._line else line)


def make_reporter(progress: bool | Reporter = True) -> Reporter:
    """Live in a terminal, plain lines elsewhere, nothing if `progress` is False; a Reporter stays what it is."""
    if isinstance(progress, Reporter):
        return progress
    if not progress:
        return Reporter()
    return LiveReporter() if sys.stderr.isatty() else PlainReporter()


@contextlib.contextmanager
def reporting(progress: bool | Reporter = True) -> Iterator[Reporter]:
    """A reporter that is closed at the end, whatever happens; one that was handed in is left open."""
    reporter = make_reporter(progress)
    try:
        yield reporter
    finally:
        if reporter is not progress:
            reporter.close()


class TrainingMeter:
    """Turns the statistics of training steps into one line of text.

    Args:
        n_steps: steps in all.
        n_walkers: size of the population.
        reference: energy to compare with, in hartree, or None.
        throughput: from the seconds of a step, what is done in a second, in words; "" if that isn't known.
    """

    def __init__(self, n_steps: int, n_walkers: int, reference: float | None = None,
                 throughput: Callable[[float], str] | None = None) -> None:
        self._n_steps, self._n_walkers, self._reference = n_steps, n_walkers, reference
        self._throughput = throughput
        self._recent: deque[tuple[float, float]] = deque(maxlen=_WINDOW)
        self._times: deque[float] = deque(maxlen=_WINDOW)
        self._rejected = self._done = 0
        self._shares = dict.fromkeys(("excluded", "reseeded"), 0.0)
        self._last: Mapping[str, float] = {}

    def add(self, done: int, stats: Mapping[str, float]) -> None:
        """Take note of one step."""
        self._done, self._last = done, stats
        self._times.append(time.monotonic())
        self._rejected += int(stats.get("rejected", 0.0) > 0)
        self._shares = {name: share + stats.get(name, 0.0) for name, share in self._shares.items()}
        if np.isfinite(stats["energy"]):
            self._recent.append((stats["energy"], stats["variance"]))

    def text(self) -> str:
        """Energy over the last steps with its error, distance to the reference, and how the walk and the clock do."""
        parts = [self._energy(), f"variance {self._last['variance']:.3g}"]
        parts.append(f"acceptance {self._last.get('acceptance', float('nan')):.2f}")
        parts += self._warnings()
        if len(self._times) > 1:
            per_step = (self._times[-1] - self._times[0]) / (len(self._times) - 1)
            rate = "" if self._throughput is None else self._throughput(per_step)
            parts.append(f"{1e3 * per_step:.0f} ms/step" + (f" ({rate})" if rate else ""))
            parts.append(f"{duration(per_step * (self._n_steps - self._done))} left")
        return "  ".join(parts)

    def _energy(self) -> str:
        if not self._recent:
            return "no finite energy yet"
        energies, variances = np.array(self._recent).T
        mean, n = float(energies.mean()), len(energies)
        error = float(np.sqrt(max(variances.mean() / self._n_walkers, energies.var()) / n))
        text = f"E = {format_with_error(mean, error)} Ha"
        if self._reference is None:
            return text
        return f"{text}  {1e3 * (mean - self._reference):+.1f} mHa from reference"

    def _warnings(self) -> list[str]:
        found = [f"rejected {self._rejected}"] if self._rejected else []
        found += [f"{name} {share * self._n_walkers:.0f}" for name, share in self._shares.items() if share > 0.0]
        for name, limit in (("clipped", _CLIPPED_WARNING), ("stuck", 0.01), ("bad_proposals", 0.01)):
            if (share := self._last.get(name, 0.0)) > limit:
                found.append(f"{name.replace('_', ' ')} {share:.1%}")
        return found


def evaluation_text(energy: Estimate, target: float | None, reference: float | None,
                    faults: Mapping[str, float] | None = None) -> str:
    """One line on a running evaluation; of the `faults`, by name, those that aren't zero are shown in percent."""
    text = f"E = {energy} Ha"
    if reference is not None:
        text += f"  {1e3 * (energy.value - reference):+.2f} mHa from reference"
    text += f"  error {1e3 * energy.error:.2g} mHa"
    if target is not None:
        text += f" (target {1e3 * target:.2g})"
    shown = {name.replace("_", " "): share for name, share in (faults or {}).items() if share > 0.0}
    words = [f"{name} {100.0 * share:.2g}%" for name, share in shown.items()]
    return "  ".join([text, f"tau {energy.tau:.2g}", *words])


def duration(seconds: float) -> str:
    """Seconds as a person says them: '42 s', '3 min 20 s', '2 h 5 min'."""
    seconds = round(max(seconds, 0.0))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"
