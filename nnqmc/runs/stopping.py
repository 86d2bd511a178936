"""When to stop: Ctrl-C and SIGTERM, and a limit of time."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

_FOR_EVALUATION = 0.15
"""The share of a limited time that training leaves to evaluation."""


@dataclass
class Stop:
    """Whether to stop, and why.

    Attributes:
        max_time: seconds for everything, or None.
        started: `time.monotonic()` when the seconds began to count.
        signal: name of the signal that asked to stop, or "".
        reserve: seconds that evaluation needs besides its share, since it has to be compiled.
    """

    max_time: float | None = None
    started: float = field(default_factory=time.monotonic)
    signal: str = ""
    reserve: float = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    @property
    def is_training_time_over(self) -> bool:
        """Whether what is left of the time belongs to evaluation."""
        if self.max_time is None:
            return False
        return self.elapsed > (1.0 - _FOR_EVALUATION) * self.max_time - min(self.reserve, 0.25 * self.max_time)

    @property
    def is_time_over(self) -> bool:
        """Whether all the time is used up."""
        return self.max_time is not None and self.elapsed > self.max_time


@contextlib.contextmanager
def stop_on_signals(stop: Stop, announce: Callable[[str], None]) -> Iterator[Stop]:
    """Let the first SIGINT or SIGTERM set `stop.signal`; the second one does what it did before.

    Handlers are installed in the main thread only and not for signals that are ignored (nohup); what was there before
    is restored at the end.

    Args:
        stop: gets the signal's name.
        announce: called with a sentence for the person who pressed Ctrl-C.
    """
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, frame: Any) -> None:
        stop.signal = signal.Signals(number).name
        restore()
        announce(f"{stop.signal}: stopping after this step; once more stops at once")

    def restore() -> None:
        for each, handler in before.items():
            signal.signal(each, handler)

    before = {each: signal.getsignal(each) or signal.SIG_DFL for each in (signal.SIGINT, signal.SIGTERM)}
    before = {each: handler for each, handler in before.items() if handler is not signal.SIG_IGN}
    for each in before:
        signal.signal(each, handle)
    try:
        yield stop
    finally:
        restore()
