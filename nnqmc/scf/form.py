"""The form of the arrays of a mean field: what it has to be for a molecule, wherever the arrays come from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nnqmc.typing import System

_HIGHEST_POWER, _MOST_PER_ATOM = 16, 1000
"""The most powers of a mean field, and primitives and functions for an atom; large basis sets have a few hundred."""


def are_of_mean_field(arrays: Mapping[str, np.ndarray], system: System) -> bool:
    """Return whether arrays can be the fields of a `MeanField` of this system, by names, shapes, types and numbers."""
    primitives, functions, powers = (arrays[name].shape[0] if name in arrays and arrays[name].ndim else 0
                                     for name in ("exponents", "function_centres", "factors"))
    shapes = {
        "energy": (), "exponents": (primitives,), "primitive_centres": (primitives, 3),
        "contraction": (primitives, functions), "function_centres": (functions, 3), "factors": (powers, functions, 3),
        "up_coefficients": (functions, system.n_up), "down_coefficients": (functions, system.n_down),
        "up_energies": (system.n_up,), "down_energies": (system.n_down,), "populations": (system.n_atoms, 2),
    }
    good = {name: array.shape for name, array in arrays.items()} == shapes and powers <= _HIGHEST_POWER
    good = good and max(primitives, functions) <= _MOST_PER_ATOM * system.n_atoms
    floats = [array for name, array in arrays.items() if name != "factors"]
    good = good and all(array.dtype == np.float64 and np.isfinite(array).all() for array in floats)
    good = good and arrays["factors"].dtype.kind == "i" and np.isin(arrays["factors"], (0, 1)).all()
    return bool(good and (arrays["exponents"] > 0.0).all() and (arrays["populations"] >= 0.0).all())
