"""Checkpoints are kept in a directory, the last three of them, and the newest good one is found again."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnqmc.errors import CheckpointError, SignatureError
from nnqmc.io.container import load_arrays, save_tree
from nnqmc.io.files import remove_stale_temporaries
from nnqmc.io.signing import Secret
from nnqmc.typing import PyTree

_FILE_NAME = re.compile(r"checkpoint-(\d{7,18})\.h5", re.ASCII)
_KEPT = 3
_LOGGER = logging.getLogger("nnqmc")


def save_checkpoint(
    directory: str | os.PathLike[str], tree: PyTree, step: int, attributes: Mapping[str, Any], secret: Secret = None
) -> Path:
    """Write `checkpoint-STEP.h5` and return its path, and only then remove all but the last three up to this step.

    Checkpoints of later steps, left from a run that went further, stay as they are. The step is an attribute, too.
    Other arguments and errors are those of `save_tree`; after an error the older checkpoints are all there.
    """
    path = Path(directory) / f"checkpoint-{step:07d}.h5"
    save_tree(path, tree, {**attributes, "step": step}, secret)
    past = [older for older in list_checkpoints(directory) if _step(older) <= step]
    for older in past[:-_KEPT]:
        try:
            older.unlink()
        except OSError as error:
            _LOGGER.warning("The old checkpoint %s can't be removed: %s", older, error)
    remove_stale_temporaries(directory)
    return path


def list_checkpoints(directory: str | os.PathLike[str]) -> list[Path]:
    """Return the checkpoints of a directory, oldest first; none if there is no such directory."""
    try:
        return sorted((path for path in Path(directory).iterdir() if _FILE_NAME.fullmatch(path.name)), key=_step)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CheckpointError(f"{directory} can't be read: {error}. Name a directory that you may read.") from error


def _step(path: Path) -> int:
    """Return the step in the name of a checkpoint."""
    return int(_FILE_NAME.fullmatch(path.name)[1])


def pass_over(error: CheckpointError, consequence: str) -> None:
    """Warn that a damaged file is skipped, and what follows from that; a wrong signature is raised again."""
    if isinstance(error, SignatureError):
        raise error
    _LOGGER.warning("%s %s", error, consequence)


def latest_checkpoint(directory: str | os.PathLike[str], **options: Any) -> Path | None:
    """Return the newest checkpoint that can be verified, or None without any; damaged newer ones are passed over.

    Options are `max_bytes` and `secret`, as for `load_arrays`.

    Raises:
        CheckpointError: there are some, and all are damaged, altered, renamed or of another version of the format.
        SignatureError: the newest undamaged one isn't signed with `secret`: that is no accident to pass over.
    """
    problems = []
    for path in reversed(list_checkpoints(directory)):
        try:
            step = load_arrays(path, **options)[1].get("step")
            if step == _step(path):
                return path
            raise CheckpointError(f"{path} has step = {step!r:.80}, and by its name step = {_step(path)} is needed.")
        except CheckpointError as error:
            pass_over(error, "This checkpoint is passed over.")
            problems.append(error)
    if problems:
        raise CheckpointError(f"None of the {len(problems)} checkpoints in {directory} can be used. The newest: "
                              f"{problems[0]} Or restore one from a copy, or start again in another directory.")
    return None
