"""An evaluation outlives its process: what is measured so far is kept in a file of the run, and found again."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nnqmc.errors import CheckpointError, InputError
from nnqmc.io import from_arrays, largest_tree, load_arrays, pass_over, plain_attributes, save_tree
from nnqmc.methods import EvaluationState
from nnqmc.parallel.processes import from_first, gathered

PARTIAL = "evaluate-partial.h5"
_SHARE_OF_TIME, _LONGER = 0.02, 0.1
"""Writing takes at most this share of the time, and waits for at least this share of the steps, since files grow."""
_BLOCK, _LARGEST, _MAX_BYTES = 10, 1e12, 2**32
"""Steps are counted in blocks; the most seconds and lost walkers, and the largest file, that are read."""


class Keeper:
    """Keeps an evaluation at the interval of checkpoints, and less often where writing takes long.

    All processes of a run have to call `found` and `keep` at the same point.

    Args:
        directory: of the run, with `path` and `secret`; None keeps nothing.
        interval: `checkpoint_steps` and `checkpoint_seconds`.
        evaluation: says which one it is: everything that its numbers depend on, `observables` and `settings` with
            `max_steps` among it. The attribute `seconds` has the time that it took before.
    """

    def __init__(self, directory: Any, interval: Mapping[str, Any], evaluation: Mapping[str, Any]) -> None:
        self._directory, self._interval, self._evaluation = directory, interval, plain_attributes(evaluation)
        self._started = self._last = time.monotonic()
        self._steps, self._took, self.seconds = 0, 0.0, 0.0

    def found(self, like: EvaluationState) -> EvaluationState | None:
        """Return what was kept of this evaluation; None, with a warning if there is a file, if nothing can be used.

        The form of the chains, and one block of rows, are given by `like`. The same evaluation of other observables is
        an InputError, and a wrong signature a SignatureError.
        """
        if self._directory is None or (arrays := from_first(lambda: self._read(like))) is None:
            return None
        kept = from_arrays(arrays, _tree(like.chains, like.blocks[0]))
        self._steps, self.seconds = len(kept["rows"]["energy"]), float(kept["seconds"])
        return EvaluationState(kept["chains"], (kept["rows"],), float(kept["lost"]), int(kept["reached"]) or None)

    def _read(self, like: EvaluationState) -> dict[str, np.ndarray] | None:
        """Return the arrays of the evaluation in the file, or None if they can't be used."""
        path, most = self._directory.path / PARTIAL, -(-self._evaluation["settings"]["max_steps"] // _BLOCK) * _BLOCK
        if not os.path.lexists(path):
            return None

        def form(attributes: Mapping[str, Any]) -> dict[str, Any]:
            _check_evaluation(path, attributes.get("evaluation"), self._evaluation)
            steps = attributes.get("steps")
            if type(steps) is not int or not _BLOCK <= steps <= most or steps % _BLOCK:
                raise CheckpointError(f"{path} has {steps!r:.40} steps, which no evaluation writes.")
            return _tree(like.chains, {name: np.broadcast_to(np.float64(0.0), (steps, *row.shape[1:]))
                                       for name, row in like.blocks[0].items()})

        try:
            largest = min(largest_tree(form({"evaluation": self._evaluation, "steps": most})), _MAX_BYTES)
            arrays, _ = load_arrays(path, form, max_bytes=largest, secret=self._directory.secret)
            good = 0 <= arrays["reached"] <= most and arrays["reached"] % _BLOCK == 0
            good = good and all(0.0 <= arrays[name] <= _LARGEST for name in ("lost", "seconds"))
            if not good or not np.isfinite(arrays["rows.energy"]).all():
                raise CheckpointError(f"{path} holds numbers that no evaluation writes.")
            return arrays
        except CheckpointError as error:
            pass_over(error, "The evaluation begins anew.")
            return None

    def is_due(self, steps: int) -> bool:
        """Return whether it is time to keep what there is after so many steps."""
        since, least = time.monotonic() - self._last, self._took / _SHARE_OF_TIME
        return self._directory is not None and (
            steps - self._steps >= max(self._interval["checkpoint_steps"], _LONGER * self._steps)
            or since >= max(self._interval["checkpoint_seconds"], least))

    def keep(self, progress: EvaluationState) -> None:
        """Write what there is; where that fails, the evaluation goes on all the same."""
        if self._directory is None:
            return
        began, path, secret = time.monotonic(), self._directory.path / PARTIAL, self._directory.secret
        seconds = self.seconds + max(began - self._started, 0.0)
        tree = _tree(gathered(progress.chains), progress.rows(), progress.lost, progress.reached or 0, seconds)
        known = {"evaluation": self._evaluation, "steps": progress.steps}
        try:
            from_first(lambda: save_tree(path, tree, known, secret))
        except CheckpointError as error:
            pass_over(error, "The evaluation goes on without being kept.")
        self._steps, self._last = progress.steps, time.monotonic()
        self._took = max(self._last - began, 0.0)


def _tree(chains: Any, rows: Mapping[str, np.ndarray], lost: float = 0.0, reached: int = 0, seconds: float = 0.0
          ) -> dict[str, Any]:
    """Return what a file holds of an evaluation."""
    return {"chains": chains, "rows": rows, "lost": np.float64(lost), "reached": np.int64(reached),
            "seconds": np.float64(seconds)}


def _check_evaluation(path: Path, found: Any, wanted: Mapping[str, Any]) -> None:
    """Raise what there is to say of a file that is of another evaluation."""
    found = found if isinstance(found, Mapping) else {}
    other = sorted(name for name in wanted.keys() | found.keys() if found.get(name) != wanted.get(name))
    if other == ["observables"]:
        kept, asked = (f"{known.get('observables')!r:.200}" for known in (found, wanted))
        raise InputError(f"{path} keeps an evaluation of the observables {kept}, and {asked} are asked for: ask for "
                         "the same ones to go on with it, or remove that file to begin anew")
    if other:
        raise CheckpointError(f"{path} is of another evaluation ({', '.join(other):.200} differ).")
