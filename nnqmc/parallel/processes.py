"""Let several processes work on one run: the first one tells the others what it knows, and all decide together.

With a single process nothing here costs anything. Only JSON and plain numbers travel between processes.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from nnqmc import errors
from nnqmc.errors import InputError, Interrupted, LostProcessError, NnqmcError
from nnqmc.parallel import EVERYWHERE, shardings
from nnqmc.typing import PyTree

PATIENCE = 60
"""A process counts as dead after so many seconds without a sign of life; JAX then ends all others."""

_PIECE = 2**26
"""At most so many bytes travel at once; longer messages go in pieces."""

_STARTING_SECONDS, _LEAVING_SECONDS = 300, 30
_SIGNS_OF_LOSS = ("Gloo", "NCCL", "coordination", "Coordination", "heartbeat", "DEADLINE_EXCEEDED", "UNAVAILABLE")

Arrays = Mapping[str, np.ndarray]


def is_first() -> bool:
    """Return whether this process is the one that reads and writes files and prints."""
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
        processes: how many processes there are.
        index: the number of this one, from 0 on.
        patience: seconds without a sign of life after which a process counts as dead.

    Raises:
        InputError: JAX doesn't know the batch system, or the arguments are incomplete.
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
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        if isinstance(error, NnqmcError):
            _leave()
            raise
        if not any(sign in str(error) for sign in _SIGNS_OF_LOSS):
            raise
        raise LostProcessError(f"another process of this run has ended or can't be reached ({_short(error)}). Its own "
                               "message says why; `nnqmc resume DIR` goes on from the newest checkpoint, with any "
                               "number of processes") from error
    except LostProcessError:  # there may be nobody left to say goodbye to
        raise
    except Interrupted as stop:  # known to all, said by the first
        stop.args = stop.args if is_first() else ("",)
        _leave()
        raise
    except NnqmcError:
        _leave()
        raise
    _leave()


def _leave() -> None:
    """Leave the other processes; that some are gone already changes nothing about how this one ends."""
    with contextlib.suppress(jax.errors.JaxRuntimeError):
        jax.distributed.shutdown()


def _short(error: Exception) -> str:
    """Return the beginning of an error's message in one line."""
    return " ".join(str(error).split())[:200]


def highest(*numbers: int) -> list[int]:
    """Return for each number the largest that any process gives; all have to call this at the same point."""
    if not are_several():
        return list(numbers)
    return multihost_utils.process_allgather(np.array(numbers, np.int32)).max(axis=0).tolist()


def from_first(compute: Callable[[], Any]) -> Any:
    """Return in all processes what the first one computes: plain values that JSON can hold.

    Raises:
        NnqmcError: `compute` raised it on the first process, which is the one to print its message.
        LostProcessError: `compute` raised any other exception there, and this is another process.
    """
    return _told(lambda: (compute(), {}))[0]


def arrays_from_first(compute: Callable[[], tuple[Any, Arrays]]) -> tuple[Any, dict[str, np.ndarray]]:
    """Return in all processes what the first one computes: a plain value, and arrays of any shape by name."""
    return _told(compute)


def _told(compute: Callable[[], tuple[Any, Arrays]]) -> tuple[Any, dict[str, np.ndarray]]:
    """Return in all processes what the first one computes, or raise there what it raises."""
    if not are_several():
        value, arrays = compute()
        return value, dict(arrays)
    failure, message, content = None, b"", b""
    if is_first():
        try:
            with jax.set_mesh(None):  # what only one process computes stays on its own device
                value, arrays = compute()
            arrays = {name: np.asarray(array) for name, array in arrays.items()}
            forms = [[name, array.dtype.str, array.shape] for name, array in arrays.items()]
            message = json.dumps({"value": value, "forms": forms}).encode()
            content = b"".join(array.tobytes() for array in arrays.values())
        except BaseException as error:  # the others wait
            failure = error
            message = json.dumps({"failure": type(error).__name__}).encode()
    message, content = _broadcast(message, content)
    if failure is not None:
        raise failure
    told = json.loads(message)
    if "failure" in told:
        raise _as_told(told["failure"])
    return told["value"], _arrays(told["forms"], content)


def _as_told(name: str) -> NnqmcError:
    """Return the exception of nnqmc of this name, without a message, or for another name the loss of that process."""
    kind = getattr(errors, name, None)
    if kind is not None:
        return kind("")
    return LostProcessError(f"the first process of this run has ended by an error of its own ({name}), and says more. "
                            "`nnqmc resume DIR` goes on from the newest checkpoint, with any number of processes")


def _broadcast(*texts: bytes) -> list[bytes]:
    """Return in all processes the bytes of the first one, however many they are."""
    sizes = _sizes_of(_piece(_as_bytes([len(text) for text in texts]), 8 * len(texts)))
    return [b"".join(_piece(text[start : start + _PIECE], min(_PIECE, size - start))
                     for start in range(0, size, _PIECE)) for text, size in zip(texts, sizes, strict=True)]


def _as_bytes(sizes: Sequence[int]) -> bytes:
    """Return eight bytes for each number, since JAX's own integers end at 2^31."""
    return np.array(sizes, "<i8").tobytes()


def _sizes_of(content: bytes) -> list[int]:
    """Return the numbers that `_as_bytes` has written."""
    return np.frombuffer(content, "<i8").tolist()


def _piece(text: bytes, size: int) -> bytes:
    """Return in all processes so many bytes of the first one."""
    own = np.frombuffer(text, np.uint8) if is_first() else np.zeros(size, np.uint8)
    return np.asarray(multihost_utils.broadcast_one_to_all(own)).astype(np.uint8).tobytes()


def _arrays(forms: list[Any], content: bytes) -> dict[str, np.ndarray]:
    """Return arrays of these names, dtypes and shapes, one after the other in the bytes."""
    arrays, start = {}, 0
    for name, kind, shape in forms:
        dtype = np.dtype(kind)
        count = int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(content, dtype, count, start).reshape(shape).copy()
        start += count * dtype.itemsize
    return arrays


def check_same(what: str, text: str) -> None:
    """Make sure that all processes were started with the same settings.

    Args:
        what: the name of the settings, for the message.
        text: the settings of this process.

    Raises:
        InputError: this process has another `text` than the first one.
    """
    if highest(int(from_first(lambda: text) != text))[0]:
        raise InputError(f"not all processes of this run have the same {what}: start all by the same command, with the "
                         "same files")


def gathered(tree: PyTree) -> PyTree:
    """Return the tree with every array whole on a device of this process."""
    whole = jax.jit(lambda tree: tree, out_shardings=shardings(EVERYWHERE))(tree)
    return jax.tree.map(lambda array: array.addressable_data(0), whole)
