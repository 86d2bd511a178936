"""Let several processes work on one run: the first one tells the others what it knows, and all decide together.

Nothing here costs anything where there is only one process. What travels is JSON and plain numbers.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from nnqmc import errors
from nnqmc.errors import InputError, Interrupted, LostProcessError, NnqmcError
from nnqmc.parallel import EVERYWHERE, shardings
from nnqmc.typing import PyTree

PATIENCE = 60
"""Seconds without a sign of life after which a process counts as dead, and JAX ends all others."""

_PIECE = 2**26
"""Bytes that travel at once; whatever is longer goes in pieces."""

_STARTING_SECONDS, _LEAVING_SECONDS = 300, 30
_SIGNS_OF_LOSS = ("Gloo", "NCCL", "coordination", "Coordination", "heartbeat", "DEADLINE_EXCEEDED", "UNAVAILABLE")


def is_first() -> bool:
    """Return whether this process is the one that reads and writes files and talks to people."""
    return jax.process_index() == 0


def are_several() -> bool:
    """Return whether there are other processes."""
    return jax.process_count() > 1


@contextlib.contextmanager
def together(coordinator: str | None = None, processes: int | None = None, index: int | None = None,
             patience: int = PATIENCE) -> Iterator[None]:
    """Join the other processes of the run while the block runs, by `jax.distributed`.

    Args:
        coordinator: HOST:PORT at which the first process listens; without it JAX asks the batch system (SLURM, Open MPI
            and others that it knows).
        processes: how many there are.
        index: which one this is, from 0 on.
        patience: seconds without a sign of life after which a process counts as dead.

    Raises:
        InputError: the batch system is none that JAX knows, or what was given is incomplete.
        LostProcessError: another process ended or can't be reached any more.
    """
    try:
        jax.distributed.initialize(coordinator, processes, index, heartbeat_timeout_seconds=patience,
                                   initialization_timeout=_STARTING_SECONDS,
                                   shutdown_timeout_seconds=_LEAVING_SECONDS)
    except (ValueError, RuntimeError) as error:
        raise InputError(f"the processes of this run don't find each other ({_short(error)}): start them by a batch "
                         "system that JAX knows, such as SLURM's srun, or give each of them --coordinator HOST:PORT, "
                         "--processes N and its own --process I") from error
    try:
        yield
    except LostProcessError:  # there may be nobody left to say goodbye to
        raise
    except (NnqmcError, Interrupted) as error:
        if isinstance(error, Interrupted) and not is_first():  # known to all, said by the first
            error.args = ("",)
        _leave()
        raise
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        if not any(sign in str(error) for sign in _SIGNS_OF_LOSS):
            raise
        raise LostProcessError(f"another process of this run has ended or can't be reached ({_short(error)}). Its own "
                               "message says why; `nnqmc resume DIR` goes on from the newest checkpoint, with any "
                               "number of processes") from error
    _leave()


def _leave() -> None:
    """Disconnect from the other processes, whether or not they are still there."""
    with contextlib.suppress(jax.errors.JaxRuntimeError):
        jax.distributed.shutdown()


def _short(error: Exception) -> str:
    """Return the words of an error in one line of limited length."""
    return " ".join(str(error).split())[:200]


def highest(*numbers: int) -> list[int]:
    """Return each number as the largest that any process gives; all have to ask at the same point."""
    if not are_several():
        return list(numbers)
    return multihost_utils.process_allgather(np.array(numbers, np.int32)).max(axis=0).tolist()


def from_first(compute: Callable[[], Any]) -> Any:
    """Return in all processes what the first one computes, which alone does so; all have to call it at the same point.

    Args:
        compute: returns dictionaries and lists, nested at will, of NumPy arrays and of what JSON can hold; tuples
            arrive as lists. One process alone gets its own value back, of whatever kind.

    Raises:
        NnqmcError, Interrupted: what `compute` raised on the first process, which is the one to say it: without words
            in the others.
        LostProcessError: in the others, where that was any other exception.
    """
    if not are_several():
        return compute()
    failure, message = None, b""
    if is_first():
        try:
            with jax.set_mesh(None):  # what only one process computes stays on its own device
                message = _to_bytes({"value": compute()})
        except BaseException as error:  # the others wait
            failure, message = error, _to_bytes({"failure": type(error).__name__})
    told = _from_bytes(_broadcast(message))
    if failure is not None:
        raise failure
    if "failure" in told:
        raise _as_told(told["failure"])
    return told["value"]


def _as_told(name: str) -> NnqmcError | Interrupted:
    """Return an exception of the kind that the first process raised, or LostProcessError if nnqmc has no such kind."""
    kind = getattr(errors, name, None)
    if kind is not None:
        return kind("")
    return LostProcessError(f"the first process of this run has ended by an error of its own ({name}), and says more. "
                            "`nnqmc resume DIR` goes on from the newest checkpoint, with any number of processes")


def _to_bytes(value: Any) -> bytes:
    """Return a line of JSON and after it the arrays in NumPy's format, in the order in which JSON has their places."""
    arrays = io.BytesIO()

    def plain(value: Any) -> Any:  # [] stands for an array, and every list begins with a word
        if isinstance(value, Mapping):
            return {name: plain(part) for name, part in value.items()}
        if isinstance(value, list | tuple):
            return ["list", *map(plain, value)]
        if hasattr(value, "dtype"):
            np.lib.format.write_array(arrays, np.asarray(value), allow_pickle=False)
            return []
        return value

    return json.dumps(plain(value)).encode() + b"\n" + arrays.getvalue()


def _from_bytes(message: bytes) -> Any:
    """Return the value that `_to_bytes` was given."""
    file = io.BytesIO(message)

    def original(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: original(part) for name, part in value.items()}
        if isinstance(value, list):
            return [original(part) for part in value[1:]] if value else np.lib.format.read_array(file)
        return value

    return original(json.loads(file.readline()))


def _broadcast(message: bytes) -> bytes:
    """Return in all processes the bytes of the first one, however many."""
    def piece(text: bytes, size: int) -> bytes:
        own = np.frombuffer(text, np.uint8) if is_first() else np.zeros(size, np.uint8)
        return np.asarray(multihost_utils.broadcast_one_to_all(own)).astype(np.uint8).tobytes()

    size = int.from_bytes(piece(len(message).to_bytes(8, "little"), 8), "little")
    return b"".join(piece(message[start : start + _PIECE], min(_PIECE, size - start))
                    for start in range(0, size, _PIECE))


def check_same(what: str, text: str) -> None:
    """Make sure that all processes were started alike.

    Raises:
        InputError: this one has another `text` than the first.
    """
    if highest(int(from_first(lambda: text) != text))[0]:
        raise InputError(f"not all processes of this run have the same {what}: start all by the same command, with the "
                         "same files")


def gathered(tree: PyTree) -> PyTree:
    """Return the tree with every array whole on a device of this process, for `from_first`; as it is in one process."""
    if not are_several():
        return tree
    whole = jax.jit(lambda tree: tree, out_shardings=shardings(EVERYWHERE))(tree)
    return jax.tree.map(lambda array: array.addressable_data(0), whole)
