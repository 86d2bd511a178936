"""A reporter of progress that interrupts the run it belongs to."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from nnqmc.job.progress import Reporter


class StopAt(Reporter):
    """Sends this process a signal at one step of a stage."""

    def __init__(self, stage: str, step: int = 0, *signals: signal.Signals) -> None:
        self.title, self.wanted, self.step, self.notes = "", stage, step, []
        self.signals = signals or (signal.SIGINT,)

    def stage(self, title: str, total: int | None = None) -> None:
        self.title = title

    def update(self, done: int, text: Callable[[], str]) -> None:
        if self.title.startswith(self.wanted) and done >= self.step:
            self.wanted = "nothing"
            for each in self.signals:
                os.kill(os.getpid(), each)

    def note(self, text: str) -> None:
        self.notes.append(text)
