"""Warnings of distances between nuclei that no molecule has, which most often come from another unit of length."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from nnqmc.system.elements import nuclear_charge
from nnqmc.units import bohr_to_angstrom

_LONELY = 40.0
"""An atom this far (bohr) from all others takes no part in a molecule."""

_SHORTEST = (0.64, 0.54)
"""Bonds are longer than this part of the sum of covalent radii, up to argon and beyond, where multiple bonds are."""

_RADII = (
    *(0.31, 0.28),
    *(1.28, 0.96, 0.84, 0.76, 0.71, 0.66, 0.57, 0.58),
    *(1.66, 1.41, 1.21, 1.11, 1.07, 1.05, 1.02, 1.06),
    *(2.03, 1.76, 1.70, 1.60, 1.53, 1.39, 1.39, 1.32, 1.26, 1.24, 1.32, 1.22, 1.22, 1.20, 1.19, 1.20, 1.20, 1.16),
    *(2.20, 1.95, 1.90, 1.75, 1.64, 1.54, 1.47, 1.46, 1.42, 1.39, 1.45, 1.44, 1.42, 1.39, 1.39, 1.38, 1.39, 1.40),
    1.36,
)
"""Covalent radii of H to Xe in angstrom, and one for all heavier elements: B. Cordero et al., Dalton Trans. 2008, 2832,
doi:10.1039/b801115j."""


def warn_of_distances(positions: np.ndarray, symbols: Sequence[str]) -> None:
    """Log a warning where two atoms are closer than bonds are, or where an atom is far from all others.

    Args:
        positions: (n_atoms, 3), bohr.
        symbols: element symbols.
    """
    if len(symbols) < 2:
        return
    numbers = np.array([nuclear_charge(symbol) for symbol in symbols])
    radii = np.array([_RADII[min(number, len(_RADII)) - 1] for number in numbers])
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    part = np.where(np.maximum.outer(numbers, numbers) <= 18, *_SHORTEST)
    closeness = bohr_to_angstrom(distances) / (part * (radii[:, None] + radii))
    i, j = np.unravel_index(np.argmin(closeness), closeness.shape)
    if closeness[i, j] < 1.0:
        _warn(f"atoms {i + 1} ({symbols[i]}) and {j + 1} ({symbols[j]}) are", distances[i, j],
              "apart, closer than any bond between them")
    nearest = distances.min(axis=1)
    lonely = int(np.argmax(nearest))
    if nearest[lonely] > _LONELY:
        _warn(f"atom {lonely + 1} ({symbols[lonely]}) is", nearest[lonely], "away from the nearest other one")


def _warn(what: str, distance: float, how: str) -> None:
    """Log a sentence with a distance in both units."""
    logging.getLogger("nnqmc").warning(
        "%s %.4g bohr (%.4g angstrom) %s: check the coordinates and their unit (unit='bohr' or 'angstrom', --unit)",
        what, distance, bohr_to_angstrom(distance), how)
