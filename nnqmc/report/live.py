"""A run in progress as a terminal shows it: its learning curve and where it stands, read without disturbing it.

Files of a run appear complete or not at all, so that a reader sees the run as it was at the last checkpoint; nothing is
locked, and nothing is written.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from nnqmc import io
from nnqmc.errors import CheckpointError, InputError, SignatureError
from nnqmc.job import Result, RunDirectory
from nnqmc.messages import duration, printable
from nnqmc.plots import CHEMICAL_ACCURACY, running_mean
from nnqmc.plots.records import record
from nnqmc.report.textplot import text_plot
from nnqmc.statistics import Estimate, estimate, signed_millihartree, training_energy

_SHORTEST, _LONGEST = 0.1, 3600.0
"""Seconds between two looks."""

_READ, _LARGEST = ("train.h5", "evaluate-partial.h5"), 2**30
"""The files that are read while a run is at work, and the largest evaluation."""

_T = TypeVar("_T")
_LOCKS = Path("/proc/locks")
_HEIGHT, _WIDTH = 14, 100
_LARGEST_SHOWN = 1e9
_TICKS = (0.0, *(sign * factor * 10.0**power for power in range(6) for factor in (1.0, 3.0) for sign in (1.0, -1.0)))


class Look(NamedTuple):
    """A run as it was at one time.

    Attributes:
        run: its directory.
        series: of the training so far.
        result: what it has found, or None.
        at_work: whether a process is seen at work on it; None where that can't be told.
        age: seconds since the series were written; nan without them.
        rate: training steps per second between the last checkpoints; nan if it isn't known.
        measured: the energy of an evaluation that isn't complete, or None.
        versions: of the files that series and measured energy are from.
    """

    run: RunDirectory
    series: Mapping[str, np.ndarray]
    result: Result | None
    at_work: bool | None
    age: float
    rate: float
    measured: Estimate | None = None
    versions: tuple[tuple[int, ...], ...] = ((), ())

    @property
    def has_ended(self) -> bool:
        """Tell whether the result belongs to the series, and no process is at work."""
        return self.result is not None and not self.at_work and self.result.steps >= self.last_step

    @property
    def last_step(self) -> int:
        """Return the last training step that is recorded; 0 without any."""
        return int(self.series["step"][-1]) if self.series else 0


def watch(directory: str | os.PathLike[str], *, once: bool = False, every: float = 2.0,
          key_file: str | os.PathLike[str] | None = None) -> None:
    """Show the learning curve of a run in the terminal again and again until the run ends, or Ctrl-C is pressed.

    Where stdout is no terminal, it is shown once.

    Args:
        directory: of the run.
        once: show it once and return.
        every: seconds between two looks.
        key_file: file with the key that the run is signed with.

    Raises:
        InputError: there is no run, or `every` is out of range.
        SignatureError: a file isn't signed as it has to be.
    """
    if not _SHORTEST <= every <= _LONGEST:
        raise InputError(f"--every {every:g}: give {_SHORTEST:g} to {_LONGEST:g} seconds")
    found = look(RunDirectory.open(directory, io.read_key(key_file)))
    is_terminal = bool(sys.stdout is not None and sys.stdout.isatty())
    if once or not is_terminal:
        print("\n".join(frame(found, _width(is_terminal), _has_braille())), flush=True)
        return
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        _watch(found, every)


def _watch(found: Look, every: float) -> None:
    """Redraw until the run ends."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(highlight=False, emoji=False, markup=False)

    def shown(each: Look) -> Text:
        return Text("\n".join(frame(each, console.width, _has_braille())), no_wrap=True, overflow="crop")

    with Live(shown(found), console=console, auto_refresh=False) as live:
        console.show_cursor(True)  # so that it is there after the process was killed
        was_at_work = found.at_work
        while not found.has_ended and not (was_at_work and not found.at_work):
            time.sleep(every)
            found = look(found.run, found)
            was_at_work = was_at_work or found.at_work
            live.update(shown(found), refresh=True)
    print(found.result if found.has_ended else f"stopped; `nnqmc resume {printable(str(found.run.path))}` goes on")


def look(run: RunDirectory, before: Look | None = None) -> Look:
    """Return a run as it is now; what can't be read at the moment is as it was before.

    Args:
        run: the directory of the run.
        before: the last look; a file that is the same as then isn't read again.

    Raises:
        SignatureError: a file isn't signed as it has to be.
    """
    at_work = _is_at_work(run.path)  # first, since a run writes its result before it ends
    before = before or Look(run, {}, None, None, math.nan, math.nan)
    versions = tuple(_version(run.path / name) for name in _READ)
    series = _anew(versions[0], before.versions[0], lambda: record(run).series("train"), before.series, {})
    measured = _anew(versions[1], before.versions[1], lambda: _measured(run), before.measured, None)
    result = before.result
    try:
        result = run.load_result()
    except SignatureError:
        raise
    except CheckpointError:
        pass
    age = time.time() - max(version[0] for version in versions if version) / 1e9 if any(versions) else math.nan
    return Look(run, series, result, at_work, max(age, 0.0), _rate(run.path), measured, versions)


def _version(path: Path) -> tuple[int, ...]:
    """Return what changes with a file, with its time first; nothing for a file that isn't there."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_mtime_ns, status.st_ino, status.st_size


def _anew(now: tuple[int, ...], before: tuple[int, ...], read: Callable[[], _T], kept: _T, nothing: _T) -> _T:
    """Return what a file holds, which is read if it has changed; what was kept where it can't be read at the moment.

    That happens on file systems that show a file before it is complete.
    """
    if now == before:
        return kept
    try:
        return read() if now else nothing
    except SignatureError:
        raise
    except CheckpointError:
        return kept


def _measured(run: RunDirectory) -> Estimate:
    """Return the energy that an evaluation which isn't complete has found so far."""
    arrays, _ = io.load_arrays(run.path / _READ[1], max_bytes=_LARGEST, secret=run.secret)
    try:
        return estimate(arrays["rows.energy"])
    except (KeyError, InputError) as error:
        raise CheckpointError(f"{run.path / _READ[1]} holds no evaluation") from error


def _is_at_work(path: Path) -> bool | None:
    """Tell whether a process of this machine holds the lock of a run; None where that can't be told.

    The list of locks is read, since to try the lock could keep a run from starting.
    """
    try:
        status = (path / ".lock").stat()
        lines = _LOCKS.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    return True if any(place in line.split() for line in lines) else None


def _rate(path: Path) -> float:
    """Return the training steps per second between the oldest and the newest checkpoint that are kept."""
    with contextlib.suppress(OSError, CheckpointError):
        times = [(int(each.stem.rpartition("-")[2]), each.stat().st_mtime) for each in io.list_checkpoints(path)]
        if len(times) > 1 and times[-1][1] > times[0][1]:
            return (times[-1][0] - times[0][0]) / (times[-1][1] - times[0][1])
    return math.nan


def frame(found: Look, width: int = _WIDTH, braille: bool = True) -> list[str]:
    """Return what a terminal shows of a run, as lines of text."""
    config, series = found.run.config, found.series
    planned, walkers = config["train"]["steps"], config["train"]["walkers"]
    lines = [f"{printable(str(config['system']['name']))}   {_stage(found)}   step {found.last_step} of {planned}"
             + ("" if math.isnan(found.age) else f"   written {duration(found.age)} ago")]
    reference = record(found.run).reference
    if series and (energy := training_energy(series, walkers)) is not None:
        distance = "" if reference is None else (
            f"   {signed_millihartree(energy.value - reference.energy, energy.error)} mHa from the reference "
            f"{reference.energy:.10g}")
        lines.append(f"E = {energy} Ha in the last {energy.n_samples // walkers} steps{distance}")
        parts = [f"variance {series['variance'][-1]:.3g}"]
        parts += [f"acceptance {series['acceptance'][-1]:.2f}"] if "acceptance" in series else []
        if found.rate > 0.0:
            parts.append(f"{found.rate:.3g} steps/s")
            if not found.has_ended and found.last_step < planned:
                parts.append(f"{duration((planned - found.last_step) / found.rate)} of training left")
        lines.append("   ".join(parts))
    if found.measured is not None and not found.has_ended:
        lines.append(f"evaluation so far: E = {found.measured} Ha")
    if found.result is not None and found.has_ended:
        lines.append(f"evaluated: {str(found.result).splitlines()[0]}")
    folded = [part for line in lines for part in textwrap.wrap(line, max(width, 20))]
    return [*folded, *_curve(found, reference, width, braille)]


def _stage(found: Look) -> str:
    """Return in words what a run is doing."""
    if found.has_ended:
        return "ended"
    if not found.series:
        return f"{'at work, ' * bool(found.at_work)}no training steps written yet"
    if found.last_step >= found.run.config["train"]["steps"]:
        return "evaluating" if found.at_work else "trained, not evaluated yet"
    return "training" if found.at_work else "not complete"


def _curve(found: Look, reference: Any, width: int, braille: bool) -> list[str]:
    """Return the running mean of the energy as lines of text."""
    if not found.series:
        return []
    energy, size = found.series["energy"], {"width": width, "height": _HEIGHT, "braille": braille}
    shift, scale = (0.0, 1.0) if reference is None else (reference.energy, 1e3)
    is_shown = np.abs(scale * (energy - shift)) < _LARGEST_SHOWN
    if not is_shown.any():
        return ["no energy can be drawn"]
    smooth = running_mean(found.series["step"][is_shown], scale * (energy[is_shown] - shift))
    if reference is None:
        ticks = [(value, f"{value:.4f}") for value in np.linspace(smooth.mean.min(), smooth.mean.max(), 4)]
        return ["energy (Ha), running mean", *text_plot(smooth.steps, smooth.mean, ticks=ticks, **size)]
    ticks = [(value, f"{value:+g}" if value else "0") for value in _TICKS]
    return ["energy - reference (mHa), running mean",
            *text_plot(smooth.steps, smooth.mean, ticks=ticks, scale=_symmetric_log, **size)]


def _symmetric_log(values: np.ndarray) -> np.ndarray:
    """Return numbers on a scale that is linear within chemical accuracy and logarithmic beyond."""
    return np.sign(values) * np.log1p(np.abs(values) / CHEMICAL_ACCURACY)


def _has_braille() -> bool:
    """Tell whether stdout can take braille characters."""
    return (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") == "utf8"


def _width(is_terminal: bool) -> int:
    """Return the number of characters in a line."""
    import shutil

    return shutil.get_terminal_size((_WIDTH, 24)).columns if is_terminal else _WIDTH
