"""Series are pytrees whose arrays have the steps of a run along their first axis; they are written and read here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import numpy as np

from nnqmc.errors import CheckpointError, InputError
from nnqmc.io.signing import Secret
from nnqmc.io.tree import load_arrays, save_tree

_CAPACITY = 64


def save_series(
    path: str | os.PathLike[str], series: Mapping[str, Any], attributes: Mapping[str, Any], secret: Secret = None
) -> None:
    """Write series atomically, as a whole: at any moment the file is the old or the new one.

    Args:
        path, attributes, secret: as for `save_tree`.
        series: arrays (n_steps, ...) by name; whole numbers and truth values are stored as int64, others as float64.

    Raises:
        InputError: if the lengths differ, or a name, an array or an attribute can't be stored.
        CheckpointError: if the file can't be written; an older file of that name is then unchanged.
    """
    columns = {name: _numbers(name, values) for name, values in series.items()}
    if not _are_of_one_length(columns) or "" in columns:
        shapes = {name: column.shape for name, column in columns.items()}
        raise InputError(f"Series need names and one first axis, the steps, of one length; their shapes are {shapes}.")
    save_tree(path, columns, attributes, secret)


def load_series(path: str | os.PathLike[str], **options: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the series of a file, arrays (n_steps, ...) of int64 or float64 by name, and its attributes.

    Options are `max_bytes` and `secret`, as for `load_arrays`.

    Raises:
        CheckpointError: if the file is missing, damaged, altered or not a file of series.
    """
    arrays, attributes = load_arrays(path, **options)
    if not _are_of_one_length(arrays) or not {array.dtype.name for array in arrays.values()} <= {"int64", "float64"}:
        raise CheckpointError(f"{path} holds no series of one length, so nnqmc didn't write it. Use another file.")
    return {unquote(name): array for name, array in arrays.items()}, attributes


def _are_of_one_length(arrays: Mapping[str, np.ndarray]) -> bool:
    """Return whether all arrays have a first axis, and of the same length."""
    lengths = {array.shape[:1] for array in arrays.values()}
    return len(lengths) <= 1 and () not in lengths


def _numbers(name: str, values: Any) -> np.ndarray:
    """Return whole numbers and truth values as int64, other real numbers as float64."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf" or (array.dtype.kind == "u" and array.size and array.max() > 2**63 - 1):
        raise InputError(f"The series {name!r} holds {array.dtype}; real numbers (integers below 2**63) are allowed.")
    return array.astype(np.float64 if array.dtype.kind == "f" else np.int64)


class SeriesLog:
    """Collects the rows of a run until they are saved: one per step, each with the same quantities.

    The steps are a series themselves, called `step`, and grow from row to row, so that no step counts twice.

    Args:
        attributes: kept with the rows in the file; what JSON can hold.
    """

    def __init__(self, attributes: Mapping[str, Any] | None = None) -> None:
        self.attributes = dict(attributes or {})
        self._columns: dict[str, np.ndarray] = {}
        self._length = 0

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._length

    @property
    def last_step(self) -> int | None:
        """Return the step of the last row, or None without rows."""
        return int(self._columns["step"][self._length - 1]) if self._length else None

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Return copies of all series by name, `step` among them."""
        return {name: column[: self._length].copy() for name, column in self._columns.items()}

    def append(self, step: int, row: Mapping[str, Any]) -> None:
        """Add one row.

        Args:
            step: larger than the last one.
            row: a number, or an array of one shape for all rows, by name; the first row fixes names, shapes and types
                (a whole number is welcome among floats, not the other way round).

        Raises:
            InputError: if the row does not follow the ones before; the log is then unchanged.
        """
        if "step" in row or (self._length and step <= self.last_step):
            raise InputError(f"Step {step} can't follow step {self.last_step} in the log: truncate the log first, and "
                             "call no quantity 'step'.")
        values = {name: _numbers(name, value) for name, value in {"step": int(step), **row}.items()}
        columns = self._columns or {name: np.empty((0, *value.shape), value.dtype) for name, value in values.items()}
        if values.keys() != columns.keys():
            raise InputError(f"Every row needs the same names: {sorted(columns)}, not {sorted(values)}.")
        for name, value in values.items():
            dtype, shape = columns[name].dtype, columns[name].shape[1:]
            if value.shape != shape or not np.can_cast(value.dtype, dtype, "safe"):
                raise InputError(f"{name!r} was {dtype} of shape {shape} in the rows before and is now {value.dtype} "
                                 f"of shape {value.shape}; give the same in every row.")
        if self._length == len(columns["step"]):
            columns = {name: np.resize(column, (2 * self._length + _CAPACITY, *column.shape[1:]))
                       for name, column in columns.items()}
        for name, value in values.items():
            columns[name][self._length] = value
        self._columns, self._length = columns, self._length + 1

    def truncate(self, step: int) -> None:
        """Drop all rows after `step`, so that a resumed run counts no step twice."""
        if self._length:
            self._length = int(np.searchsorted(self._columns["step"][: self._length], step, side="right"))

    def save(self, path: str | os.PathLike[str], secret: Secret = None) -> None:
        """Write all rows and the attributes atomically, as `save_series` does."""
        save_series(path, self.arrays, self.attributes, secret)

    @classmethod
    def load(cls, path: str | os.PathLike[str], **options: Any) -> SeriesLog:
        """Return a log that was saved; options are as for `load_series`.

        Raises:
            CheckpointError: if the file is missing, damaged, altered, or its steps do not grow.
        """
        series, attributes = load_series(path, **options)
        log = cls(attributes)
        steps = series.get("step", np.zeros(0))
        if series and (steps.dtype != np.int64 or steps.ndim != 1 or np.any(np.diff(steps) <= 0)):
            raise CheckpointError(f"{path} isn't a log: it has no growing steps. Name another file, or move it away.")
        log._columns, log._length = series, len(steps)
        return log
