"""What was read from a run's files, which may come from a stranger, is checked here: can a run have written it?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from nnqmc.errors import CheckpointError, InputError
from nnqmc.job.build import CUSTOM
from nnqmc.typing import System

TRAINING_SERIES = MappingProxyType({"step": 1, "energy": 1, "variance": 1, "rejected": 1, "clipped": 1})
"""The series of train.h5 that are used again, and their number of axes."""

EVALUATION_SERIES = MappingProxyType({"energy": 2})
"""The same for evaluate.h5."""

_RESTORE = "Restore it from a copy."
_HIGHEST_POWER = 16
_MOST_PER_ATOM = 1000
"""The most primitives, and functions; the largest basis sets have a few hundred. Every walker's electrons meet them."""
_LARGEST_COUNT = 10**6


def check_custom(custom: Any) -> dict[str, str]:
    """Return the [custom] section of config.toml: descriptions of parts that are Python objects.

    Raises:
        InputError: it is something else.
    """
    good = isinstance(custom, Mapping) and all(isinstance(text, str) for text in custom.values())
    if not good or not set(custom) <= set(CUSTOM):
        raise InputError(f"custom = {custom!r:.60}: it holds a description for some of {', '.join(CUSTOM)}")
    return dict(custom)


def check_columns(path: Path, series: Mapping[str, np.ndarray], axes: Mapping[str, int]) -> None:
    """Raise CheckpointError unless every series is there with its number of axes; a file without any is empty."""
    for name, n_axes in axes.items() if series else ():
        if name not in series or series[name].ndim != n_axes:
            shape = f"the shape {series[name].shape}" if name in series else "no such series"
            raise CheckpointError(f"{path}: {name} has {shape}, and one of {n_axes} axes is needed. {_RESTORE}")
    if "rejected" in axes and series and not np.isin(series["rejected"], (0, 1)).all():
        raise CheckpointError(f"{path}: rejected has numbers besides 0 and 1. {_RESTORE}")


def check_numbers(path: Path, name: str, values: Any) -> dict[str, float]:
    """Return numbers from 0 on by name, such as the seconds of every stage.

    Raises:
        CheckpointError: they are no such thing.
    """
    good = isinstance(values, Mapping) and len(values) <= 100
    if not good or not all(type(value) in (int, float) and 0.0 <= value < math.inf for value in values.values()):
        raise CheckpointError(f"{path}: {name} = {values!r:.60}, and numbers from 0 on are needed. {_RESTORE}")
    return {key: float(value) for key, value in values.items()}


def check_count(path: Path, name: str, value: Any) -> int:
    """Return a number of things that a checkpoint says it has.

    Raises:
        CheckpointError: it is none.
    """
    if type(value) is not int or not 1 <= value <= _LARGEST_COUNT:
        raise CheckpointError(f"{path}: {name} = {value!r:.60}, and a whole number from 1 on is needed. {_RESTORE}")
    return value


def check_mean_field(path: Path, arrays: Mapping[str, np.ndarray], system: System) -> None:
    """Raise CheckpointError unless shapes, types and numbers are those of a Hartree-Fock calculation of this system."""
    primitives, functions, powers = (arrays[name].shape[0] if name in arrays and arrays[name].ndim else 0
                                     for name in ("exponents", "function_centres", "factors"))
    shapes = {
        "energy": (), "exponents": (primitives,), "primitive_centres": (primitives, 3),
        "contraction": (primitives, functions), "function_centres": (functions, 3), "factors": (powers, functions, 3),
        "up_coefficients": (functions, system.n_up), "down_coefficients": (functions, system.n_down),
        "up_energies": (system.n_up,), "down_energies": (system.n_down,), "populations": (system.n_atoms, 2),
    }
    found = {name: array.shape for name, array in arrays.items()}
    is_too_large = powers > _HIGHEST_POWER or max(primitives, functions) > _MOST_PER_ATOM * system.n_atoms
    if found != shapes or is_too_large:
        raise CheckpointError(f"{path} doesn't hold the mean field of {system.name}. {_RESTORE}")
    floats = [array for name, array in arrays.items() if name != "factors"]
    good = all(array.dtype == np.float64 and np.isfinite(array).all() for array in floats)
    good = good and arrays["factors"].dtype.kind == "i" and np.isin(arrays["factors"], (0, 1)).all()
    if not good or not (arrays["exponents"] > 0.0).all() or not (arrays["populations"] >= 0.0).all():
        raise CheckpointError(f"{path} holds numbers that no mean field has. {_RESTORE}")
