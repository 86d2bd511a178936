"""`Job`: what every stage of a run needs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from nnqmc.config import Config
from nnqmc.cost.forecast import Forecast
from nnqmc.errors import Interrupted
from nnqmc.io import SeriesLog
from nnqmc.job.build import Components, n_sweeps, state_template
from nnqmc.job.compilation import Programs
from nnqmc.job.directory import RunDirectory
from nnqmc.job.progress import Reporter
from nnqmc.job.stopping import Stop
from nnqmc.system import Reference
from nnqmc.typing import TrainState


@dataclass
class Job:
    """Holds the configuration, its objects, where files go, whom to tell and when to stop.

    Attributes:
        config: the complete configuration.
        components: the objects made from it.
        programs: compiled in the background.
        directory: of the run's files; None keeps everything in memory.
        reporter: shows a person how the run goes.
        stop: knows signals and the time limit.
        reference: the published energy to compare with, or None.
        seconds: wall time of the stages so far, earlier commands included.
        earlier: seconds in all before this command.
        forecast: what to expect of the run, once it is known.
        parts: seconds of the two parts of a training step, once they are measured.
        hartree_fock: energy in hartree of the mean field that the run started from, once it is known.
    """

    config: Config
    components: Components
    programs: Programs
    directory: RunDirectory | None
    reporter: Reporter
    stop: Stop
    reference: Reference | None
    seconds: dict[str, float] = field(default_factory=dict)
    earlier: float = 0.0
    forecast: Forecast | None = None
    parts: tuple[float, ...] = ()
    hartree_fock: float | None = None
    _running: dict[str, float] = field(default_factory=dict)

    @property
    def sweeps(self) -> int:
        """Return the moves of all walkers in one training step."""
        return self.config["train"]["walkers"] * n_sweeps(self.components.sampler)

    @property
    def reference_energy(self) -> float | None:
        """Return the published energy in hartree, or None."""
        return None if self.reference is None else self.reference.energy

    def template(self, n_walkers: int) -> TrainState:
        """Return the form of the training state with so many walkers."""
        return state_template(self.config, self.components, n_walkers)

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the time of the block to `seconds[name]`."""
        self._running[name] = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.all_seconds()[name]
            del self._running[name]

    def all_seconds(self) -> dict[str, float]:
        """Return the seconds of all stages, also of those that are running, and the total of all commands."""
        now = {name: self.seconds.get(name, 0.0) + time.monotonic() - begun for name, begun in self._running.items()}
        now = self.seconds | now | {"total": self.earlier + self.stop.elapsed}
        return {name: max(value, 0.0) for name, value in now.items()}

    def save(self, state: TrainState, log: SeriesLog) -> None:
        """Write series and checkpoint, where there is a directory."""
        if self.directory is not None:
            self.directory.save_state(state, log, self.all_seconds())

    def leave_if_asked(self, where: str, so_far: Callable[[], Any] = lambda: None) -> None:
        """Raise Interrupted, with the Result that `so_far` returns or None, if a signal came, to any process."""
        self.stop.agree()
        if not self.stop.signal:
            return
        if (result := so_far()) is None:
            kept = "nothing was kept: pass out= to keep checkpoints"
        else:
            kept = "error.result has what there is so far, and with out= a run can be resumed"
        if self.directory is not None:
            kept = f"`nnqmc resume {self.directory.path}` goes on"
        error = Interrupted(f"stopped by {self.stop.signal} {where}; {kept}")
        error.result = result
        raise error
