"""Decides when a run stops: at Ctrl-C, SIGTERM, SIGUSR1 and SIGHUP, and at a limit of time."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from nnqmc.parallel.processes import highest

_FOR_EVALUATION = 0.15
"""The share of a limited time that training leaves to the evaluation."""

_ANNOUNCEMENTS = ("SIGUSR1", "SIGHUP")
"""The signals by which batch systems announce the end of the time, and terminals that they close; they may repeat."""


@dataclass
class Stop:
    """Knows whether to stop, and why.

    Attributes:
        max_time: seconds for everything, or None.
        started: `time.monotonic()` when the seconds began to count; now by default.
        signal: name of the signal that asked to stop, or "", as of the last `agree`.
        heard: name of the signal that came to this process, or "".
        reserve: seconds that the evaluation needs besides its share, since it has to be compiled.
    """

    max_time: float | None = None
    started: float = field(default_factory=time.monotonic)
    signal: str = ""
    reserve: float = 0.0
    heard: str = ""

    def agree(self, *wishes: bool) -> list[bool]:
        """Return each wish as true if any process has it; a signal that any process heard becomes known to all.

        All processes have to ask at the same point of the run, and then do the same.
        """
        number, *found = highest(signal.Signals[self.heard] if self.heard else 0, *wishes)
        self.signal = signal.Signals(number).name if number else ""
        return [bool(wish) for wish in found]

    @property
    def elapsed(self) -> float:
        """Return the seconds since the start."""
        return max(time.monotonic() - self.started, 0.0)

    @property
    def is_training_time_over(self) -> bool:
        """Tell whether what is left of the time belongs to the evaluation."""
        if self.max_time is None:
            return False
        return self.elapsed > (1.0 - _FOR_EVALUATION) * self.max_time - min(self.reserve, 0.25 * self.max_time)

    @property
    def is_time_over(self) -> bool:
        """Tell whether all the time is used up."""
        return self.max_time is not None and self.elapsed > self.max_time


@contextlib.contextmanager
def stop_on_signals(stop: Stop, announce: Callable[[str], None]) -> Iterator[Stop]:
    """Let SIGINT, SIGTERM, SIGUSR1 and SIGHUP set `stop.heard`; a second SIGINT or SIGTERM does what it did before.

    SIGUSR1 and SIGHUP may come any number of times. Handlers are installed in the main thread only and not for signals
    that are ignored (nohup); the handlers before are restored at the end. `announce` is called at the first signal with
    a sentence for the person who pressed Ctrl-C.
    """
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, frame: Any) -> None:
        name = signal.Signals(number).name
        is_first, stop.heard = not stop.heard, stop.heard or name
        if name not in _ANNOUNCEMENTS:
            signal.signal(number, before[number])
        if is_first:
            with contextlib.suppress(RuntimeError):  # raised where the signal came in the middle of another message
                again = "" if name in _ANNOUNCEMENTS else "; once more stops at once"
                announce(f"{name}: stopping after this step{again}")

    known = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", *_ANNOUNCEMENTS) if hasattr(signal, name)]
    before = {each: signal.getsignal(each) or signal.SIG_DFL for each in known}
    before = {each: handler for each, handler in before.items() if handler is not signal.SIG_IGN}
    for each in before:
        signal.signal(each, handle)
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
