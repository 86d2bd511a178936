"""A directory of checkpoints: the last few are kept, and the newest good one is found."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nnqmc.errors import CheckpointError, InputError, SignatureError
from nnqmc.io.container import MAX_BYTES, Header, read_container
from nnqmc.io.files import remove_stale_temporaries
from nnqmc.io.signing import Secret
from nnqmc.io.tree import TREE_FORMAT, check_attributes, check_format, load_tree, save_tree
from nnqmc.typing import PyTree

_FILE_NAME = re.compile(r"checkpoint-(\d{7,18})\.h5", re.ASCII)
_LOGGER = logging.getLogger("nnqmc")


def save_checkpoint(
    directory: str | os.PathLike[str], tree: PyTree, step: int, attributes: Mapping[str, Any], keep: int = 3,
    secret: Secret = None,
) -> Path:
    """Write `checkpoint-STEP.h5`, and only then remove the older ones beyond the last few.

    Args:
        directory: made if it doesn't exist.
        tree: the state, as for `save_tree`.
        step: at least 0; stored as the attribute `step` too.
        attributes: as for `save_tree`.
        keep: how many checkpoints up to this step stay, this one included; at least 1. Checkpoints of later steps,
            left from a run that went further, stay as they are.
        secret: signs the file.

    Returns:
        The path of the new checkpoint.

    Raises:
        InputError: if `step`, `keep`, a leaf or an attribute is not allowed.
        CheckpointError: if it can't be written; the older checkpoints are then all there.
    """
    if not 0 <= step < 10**18 or keep < 1:
        raise InputError(f"A checkpoint needs step >= 0 and keep >= 1; step = {step} and keep = {keep} were given.")
    path = Path(directory) / f"checkpoint-{int(step):07d}.h5"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(f"{directory} can't be made: {error}. Choose another directory.") from error
    save_tree(path, tree, {**attributes, "step": int(step)}, secret)
    past = [older for older in list_checkpoints(directory) if _step(older) <= step]
    for older in past[:-keep]:
        try:
            older.unlink()
        except OSError as error:
            _LOGGER.warning("The old checkpoint %s can't be removed: %s", older, error)
    remove_stale_temporaries(directory)
    return path


def list_checkpoints(directory: str | os.PathLike[str]) -> list[Path]:
    """The checkpoints of a directory by name, oldest first; empty if there is no such directory.

    Raises:
        CheckpointError: if the directory can't be read.
    """
    try:
        paths = [path for path in Path(directory).iterdir() if _FILE_NAME.fullmatch(path.name)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CheckpointError(f"{directory} can't be read: {error}. Name a directory that you may read.") from error
    return sorted(paths, key=_step)


def _step(path: Path) -> int:
    return int(_FILE_NAME.fullmatch(path.name)[1])


def latest_checkpoint(
    directory: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES, secret: Secret = None
) -> Path | None:
    """The newest checkpoint that can be verified; damaged newer ones are logged as warnings and passed over.

    Args:
        directory: where the checkpoints are.
        max_bytes: the largest file that is read.
        secret: what it has to be signed with; None for checkpoints without signature.

    Returns:
        Its path, or None if the directory holds no checkpoint at all.

    Raises:
        CheckpointError: if there are checkpoints but all of them are damaged.
        SignatureError: if the newest undamaged one isn't signed with `secret`: that is no accident to pass over.
    """
    paths = list_checkpoints(directory)
    for path in reversed(paths):
        try:
            read_container(path, lambda header, path=path: _check_header(path, header), max_bytes, secret)
        except SignatureError:
            raise
        except CheckpointError as error:
            _LOGGER.warning("A checkpoint is passed over: %s", error)
            continue
        return path
    if paths:
        raise CheckpointError(
            f"None of the {len(paths)} checkpoints in {directory} can be used (see the warnings above). "
            "Restore one from a copy, or start again in another directory."
        )
    return None


def load_checkpoint(
    path: str | os.PathLike[str],
    like: PyTree | Callable[[Mapping[str, Any]], PyTree],
    expected: Mapping[str, Any] | None = None,
    *,
    max_bytes: int = MAX_BYTES,
    secret: Secret = None,
) -> tuple[PyTree, dict[str, Any]]:
    """Read the state of a run.

    Args:
        path: a file of `save_checkpoint`.
        like: a state of the same form, or a function that makes it from the attributes, as for `load_tree`.
        expected: attributes that must have these values, such as the digest of the configuration.
        max_bytes: the largest file that is read.
        secret: what it has to be signed with; None for one without signature.

    Returns:
        The state and all attributes, `step` among them.

    Raises:
        CheckpointError: if the file is missing, damaged, altered, not ours, renamed, or of another run or state.
    """
    path = Path(path)
    named = _FILE_NAME.fullmatch(path.name)
    step = {"step": int(named[1])} if named else {}
    return load_tree(path, like, expected={**(expected or {}), **step}, max_bytes=max_bytes, secret=secret)


def _check_header(path: Path, header: Header) -> None:
    check_format(path, header, TREE_FORMAT)
    check_attributes(path, header.attributes, {"step": _step(path)})
