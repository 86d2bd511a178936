"""Series are pytrees whose arrays have the steps of a run along their first axis; they are written and read here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import numpy as np

from nnqmc.errors import CheckpointError, InputError
from nnqmc.io.container import load_arrays, save_tree
from nnqmc.io.signing import Secret


def save_series(
    path: str | os.PathLike[str], series: Mapping[str, Any], attributes: Mapping[str, Any], secret: Secret = None
) -> None:
    """Write series, arrays (n_steps, ...) by name, as `save_tree` does and with its errors.

    Whole numbers and truth values are stored as int64, others as float64. Series without names, of several lengths, or
    of anything but real numbers raise an InputError.
    """
    columns = {name: _numbers(name, values) for name, values in series.items()}
    if not _are_of_one_length(columns) or "" in columns:
        shapes = {name: column.shape for name, column in columns.items()}
        raise InputError(f"Series need names and one first axis, the steps, of one length; their shapes are {shapes}.")
    save_tree(path, columns, attributes, secret)


def load_series(path: str | os.PathLike[str], **options: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the series of a file, arrays (n_steps, ...) of int64 or float64 by name, and its attributes.

    Options (`max_bytes`, `secret`) and errors are those of `load_arrays`; a file of no series is a CheckpointError.
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
    if array.dtype.kind not in "biuf":
        raise InputError(f"The series {name!r} holds {array.dtype}; real numbers are allowed.")
    return array.astype(np.int64 if np.can_cast(array.dtype, np.int64) else np.float64)


class SeriesLog:
    """Collects the rows of a run until they are saved: one per step, each with the same quantities.

    The steps are a series themselves, called `step`, and grow from row to row, so that no step counts twice.

    Args:
        series: the rows so far, arrays (n_steps, ...) by name with growing steps; none by default.
    """

    def __init__(self, series: Mapping[str, np.ndarray] | None = None) -> None:
        self._columns = {name: values.tolist() for name, values in (series or {}).items()}

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._columns.get("step", ()))

    @property
    def last_step(self) -> int | None:
        """Return the step of the last row, or None without rows."""
        return self._columns["step"][-1] if len(self) else None

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Return all series by name, `step` among them; none without rows."""
        return {name: _numbers(name, column) for name, column in self._columns.items() if column}

    def append(self, step: int, row: Mapping[str, Any]) -> None:
        """Add one row of real numbers, or of arrays of one shape for all rows, by name.

        The first row fixes names and shapes, and steps have to grow. A row that doesn't follow the ones before is an
        InputError, and the log is then unchanged.
        """
        if "step" in row or (len(self) and step <= self.last_step):
            raise InputError(f"Step {step} can't follow step {self.last_step} in the log; call no quantity 'step'.")
        values = {name: _numbers(name, value) for name, value in {"step": step, **row}.items()}
        shapes = {name: value.shape for name, value in values.items()}
        if not len(self):
            self._columns = {name: [] for name in values}
        elif shapes != (before := {name: np.shape(column[0]) for name, column in self._columns.items()}):
            raise InputError(f"Every row needs the same names and shapes: {before}, not {shapes}.")
        for name, value in values.items():
            self._columns[name].append(value.tolist())
