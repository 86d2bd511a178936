"""An evaluation that outlives its process: what is measured so far, in a file of the run, and found again."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from nnqmc.errors import CheckpointError, SignatureError
from nnqmc.io import Secret, largest_tree, load_tree, save_tree
from nnqmc.io.container import MAX_BYTES
from nnqmc.methods import EvaluationState

PARTIAL = "evaluate-partial.h5"
_SHARE_OF_TIME = 0.02
"""The largest part of the time that is spent on writing."""
_LONGER = 0.1
"""The file is written again after this part of its steps at the earliest, since it grows with them."""
_BLOCK = 10
_LARGEST = 1e12
"""Neither seconds nor lost walkers can be more."""


class _OfAnother(CheckpointError):
    """The file is of another evaluation."""


def write_partial(path: str | os.PathLike[str], progress: EvaluationState, attributes: Mapping[str, Any],
                  secret: Secret = None) -> None:
    """Write chains and rows.

    Args:
        path: the file to write or replace.
        progress: of the evaluation.
        attributes: `evaluation` says which one it is; `seconds` how long it took so far.
        secret: signs the file.

    Raises:
        CheckpointError: it can't be written; an older file is then unchanged.
    """
    known = {"steps": progress.steps, "lost": progress.lost, "reached": progress.reached}
    save_tree(path, {"chains": progress.chains, "rows": progress.rows()}, {**attributes, **known}, secret)


def read_partial(path: str | os.PathLike[str], evaluation: Mapping[str, Any], like: EvaluationState,
                 secret: Secret = None) -> tuple[EvaluationState, float] | None:
    """Chains and rows of an evaluation, and the seconds it took; None if there are none that can be used.

    A damaged file is passed over with a warning, one of another evaluation without.

    Args:
        path: the file.
        evaluation: says which one it is, with `max_steps` in its settings.
        like: the form of the chains, and one block of rows.
        secret: what it has to be signed with.

    Raises:
        SignatureError: it isn't signed with `secret`.
    """
    most = -(-evaluation["settings"]["max_steps"] // _BLOCK) * _BLOCK

    def form(steps: int) -> dict[str, Any]:
        return {"chains": like.chains, "rows": {name: np.broadcast_to(np.float64(0.0), (steps, *row.shape[1:]))
                                                for name, row in like.blocks[0].items()}}

    def checked(attributes: Mapping[str, Any]) -> dict[str, Any]:
        if attributes.get("evaluation") != evaluation:
            raise _OfAnother("")
        _check(path, attributes, most)
        return form(attributes["steps"])

    if not os.path.lexists(path):
        return None
    try:
        tree, known = load_tree(path, checked, max_bytes=min(largest_tree(form(most)), MAX_BYTES), secret=secret)
        if not np.isfinite(tree["rows"]["energy"]).all():
            raise CheckpointError(f"{path} holds energies that aren't finite.")
    except SignatureError:
        raise
    except _OfAnother:
        return None
    except CheckpointError as error:
        logging.getLogger("nnqmc").warning("%s The evaluation begins anew.", error)
        return None
    found = EvaluationState(tree["chains"], (tree["rows"],), float(known["lost"]), known["reached"])
    return found, float(known["seconds"])


def _check(path: Any, known: Mapping[str, Any], most: int) -> None:
    """Raise CheckpointError unless the attributes are such as an evaluation of at most so many steps writes."""
    def is_count(value: Any) -> bool:
        return type(value) is int and _BLOCK <= value <= most and value % _BLOCK == 0

    def is_number(value: Any) -> bool:
        return type(value) in (int, float) and 0.0 <= value <= _LARGEST

    good = is_count(known.get("steps")) and (known.get("reached") is None or is_count(known["reached"]))
    if not good or not is_number(known.get("lost")) or not is_number(known.get("seconds")):
        raise CheckpointError(f"{path} has {known!r:.200}, which no evaluation writes.")


class Keeper:
    """Keeps an evaluation at the interval of checkpoints, and less often where writing takes long.

    Args:
        directory: of the run; None keeps nothing.
        interval: `checkpoint_steps` and `checkpoint_seconds`.
        evaluation: says which one it is: everything that its numbers depend on.

    Attributes:
        seconds: that it took before.
    """

    def __init__(self, directory: Any, interval: Mapping[str, Any], evaluation: Mapping[str, Any]) -> None:
        self._directory, self._interval, self._evaluation = directory, interval, evaluation
        self._started = self._last = time.monotonic()
        self._steps, self._took, self.seconds = 0, 0.0, 0.0

    def found(self, like: EvaluationState) -> EvaluationState | None:
        """What was kept of this evaluation, if anything."""
        found = None if self._directory is None else self._directory.load_partial(self._evaluation, like)
        if found is None:
            return None
        progress, self.seconds = found
        self._steps = progress.steps
        return progress

    def is_due(self, steps: int) -> bool:
        """Whether it is time to keep what there is after so many steps."""
        since, least = time.monotonic() - self._last, self._took / _SHARE_OF_TIME
        return self._directory is not None and (
            steps - self._steps >= max(self._interval["checkpoint_steps"], _LONGER * self._steps)
            or since >= max(self._interval["checkpoint_seconds"], least))

    def keep(self, progress: EvaluationState) -> None:
        """Write it; where that fails, the evaluation goes on all the same."""
        if self._directory is None:
            return
        began = time.monotonic()
        spent = self.seconds + max(began - self._started, 0.0)
        try:
            self._directory.save_partial(progress, {"evaluation": dict(self._evaluation), "seconds": spent})
        except CheckpointError as error:
            logging.getLogger("nnqmc").warning("%s The evaluation goes on without being kept.", error)
        self._steps, self._last = progress.steps, time.monotonic()
        self._took = max(self._last - began, 0.0)
