"""Series on disk: one array per quantity, with the steps of a run along the first axis."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import numpy as np

from nnqmc.errors import CheckpointError, InputError
from nnqmc.io.container import MAX_BYTES, Header, plain_attributes, read_container, write_container
from nnqmc.io.leaves import component, is_name, spec_of
from nnqmc.io.signing import Secret
from nnqmc.io.tree import check_format

SERIES_FORMAT = "nnqmc-series"
"""The format name of a file that holds series."""

_CAPACITY = 64


def save_series(
    path: str | os.PathLike[str], series: Mapping[str, Any], attributes: Mapping[str, Any], secret: Secret = None
) -> None:
    """Write series atomically, as a whole: at any moment the file is the old or the new one.

    Args:
        path: the file to write or replace.
        series: arrays (n_steps, ...) by name; whole numbers and truth values are stored as int64, others as float64.
        attributes: what JSON can hold, under text names.
        secret: signs the file.

    Raises:
        InputError: if the lengths differ, or a name, an array or an attribute can't be stored.
        CheckpointError: if the file can't be written; an older file of that name is then unchanged.
    """
    columns = {_file_name(name): _numbers(name, values) for name, values in series.items()}
    if any(column.ndim == 0 for column in columns.values()) or len({len(c) for c in columns.values()}) > 1:
        shapes = {name: np.shape(values) for name, values in series.items()}
        raise InputError(f"Series need one first axis, the steps, of one length; their shapes are {shapes}.")
    specs = {name: spec_of(name, column) for name, column in columns.items()}
    write_container(path, Header(SERIES_FORMAT, plain_attributes(attributes), specs), columns, secret)


def load_series(
    path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES, secret: Secret = None
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read the series of a file and its attributes.

    Args:
        path: a file of `save_series`.
        max_bytes: the largest file that is read.
        secret: what the file has to be signed with; None for one without signature.

    Returns:
        Arrays (n_steps, ...) of int64 or float64 by name, and the attributes.

    Raises:
        CheckpointError: if the file is missing, damaged, altered or not a file of series.
    """

    def check(header: Header) -> None:
        check_format(path, header, SERIES_FORMAT)
        lengths = {spec.shape[:1] for spec in header.leaves.values()}
        kinds = {spec.dtype for spec in header.leaves.values()}
        if len(lengths) > 1 or () in lengths or not kinds <= {"int64", "float64"}:
            raise CheckpointError(f"{path} holds no series of one length, so nnqmc didn't write it. Use another file.")

    header, arrays = read_container(path, check, max_bytes, secret)
    return {unquote(name): array for name, array in arrays.items()}, header.attributes


def _file_name(name: str) -> str:
    if not isinstance(name, str) or not name or not is_name(component(name)):
        raise InputError(f"A series needs a name of some characters; {name!r:.60} was given.")
    return component(name)


def _numbers(name: str, values: Any) -> np.ndarray:
    """Whole numbers and truth values as int64, other real numbers as float64."""
    array = np.asarray(values)
    if array.dtype.kind == "V" and array.dtype.name == "bfloat16":
        return array.astype(np.float64)
    if array.dtype.kind not in "biuf" or (array.dtype.kind == "u" and array.size and array.max() > 2**63 - 1):
        raise InputError(f"The series {name!r} holds {array.dtype}; real numbers (integers below 2**63) are allowed.")
    return array.astype(np.float64 if array.dtype.kind == "f" else np.int64)


def _grown(column: np.ndarray) -> np.ndarray:
    return np.concatenate([column, np.empty((max(_CAPACITY, len(column)), *column.shape[1:]), column.dtype)])


class SeriesLog:
    """The rows of a run, in memory until saved: one per step, each with the same quantities.

    The steps are a series themselves, called `step`, and grow from row to row, so that no step counts twice.

    Args:
        attributes: kept with the rows in the file; what JSON can hold.
    """

    def __init__(self, attributes: Mapping[str, Any] | None = None) -> None:
        self.attributes = dict(attributes or {})
        self._columns: dict[str, np.ndarray] = {}
        self._length = 0

    def __len__(self) -> int:
        """Number of rows."""
        return self._length

    @property
    def last_step(self) -> int | None:
        """The step of the last row, or None without rows."""
        return int(self._columns["step"][self._length - 1]) if self._length else None

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Copies of all series by name, `step` among them: int64 or float64 (n_steps, ...)."""
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
        if self._length and step <= self.last_step:
            raise InputError(f"Step {step} follows step {self.last_step} in the log; truncate the log first.")
        if "step" in row:
            raise InputError("'step' is the name of the steps; call that quantity something else.")
        values = {name: _numbers(name, value) for name, value in {"step": int(step), **row}.items()}
        if not self._columns:
            self._columns = {name: np.empty((_CAPACITY, *v.shape), v.dtype) for name, v in values.items()}
        self._check_row(values)
        if self._length == len(self._columns["step"]):
            self._columns = {name: _grown(column) for name, column in self._columns.items()}
        for name, value in values.items():
            self._columns[name][self._length] = value
        self._length += 1

    def _check_row(self, values: Mapping[str, np.ndarray]) -> None:
        if values.keys() != self._columns.keys():
            raise InputError(f"Every row needs the same names: {sorted(self._columns)}, not {sorted(values)}.")
        for name, value in values.items():
            column = self._columns[name]
            if value.shape != column.shape[1:] or not np.can_cast(value.dtype, column.dtype, "safe"):
                raise InputError(
                    f"{name!r} was {column.dtype} of shape {column.shape[1:]} in the rows before and is now "
                    f"{value.dtype} of shape {value.shape}; give the same in every row."
                )

    def truncate(self, step: int) -> None:
        """Drop all rows after `step`, so that a resumed run counts no step twice."""
        if self._length:
            self._length = int(np.searchsorted(self._columns["step"][: self._length], step, side="right"))

    def save(self, path: str | os.PathLike[str], secret: Secret = None) -> None:
        """Write all rows and the attributes atomically, as `save_series` does."""
        save_series(path, self.arrays, self.attributes, secret)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES, secret: Secret = None) -> SeriesLog:
        """Read a log back.

        Raises:
            CheckpointError: if the file is missing, damaged, altered, or its steps do not grow.
        """
        series, attributes = load_series(path, max_bytes=max_bytes, secret=secret)
        log = cls(attributes)
        steps = series.get("step", np.zeros(0))
        if series and (steps.dtype != np.int64 or steps.ndim != 1 or np.any(np.diff(steps) <= 0)):
            raise CheckpointError(f"{path} isn't a log: it has no growing steps. Name another file, or move it away.")
        log._columns, log._length = series, len(steps)
        return log
