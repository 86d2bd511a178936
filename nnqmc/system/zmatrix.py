"""Z-matrices: atoms placed by a distance, an angle and a dihedral angle to atoms before them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from nnqmc.errors import InputError
from nnqmc.system.rows import number

_LABEL = re.compile(r"[A-Za-z][\w@()=.:-]*")
_VARIABLE = re.compile(r"([A-Za-z]\w*) ?[ =] ?([^ =]+)")
_TITLE = re.compile(r"(variables|constants):?", re.IGNORECASE)
_PARALLEL = 1e-10


def is_zmatrix(rows: Sequence[str]) -> bool:
    """Tell whether lines begin as a Z-matrix does: a label alone, then a label, a reference to it and one more word."""
    return (len(rows) >= 2 and _LABEL.fullmatch(rows[0]) is not None and len(words := rows[1].split()) == 3
            and (words[1].rstrip(",").isdigit() or words[1].rstrip(",") == rows[0]))


def cartesian(rows: Sequence[tuple[int, str]], origin: str) -> list[tuple[int, str, np.ndarray]]:
    """Turn the lines of a Z-matrix into Cartesian coordinates.

    The first atom lies at the origin, the second one on the x axis, the third one in the x-y plane. Lines such as
    'R = 0.96' at the end give values to names.

    Args:
        rows: numbered lines 'label', 'label i distance', 'label i distance j angle', 'label i distance j angle k
            dihedral' with atoms counted from 1, or by labels that only one of them has, and angles in degrees.
        origin: what messages call the text.

    Returns:
        For each atom its line's number, its label and its position, in the unit of the distances.

    Raises:
        InputError: a line can't be read, or an angle isn't defined since three atoms lie on a line.
    """
    n_atoms = next((i for i, (_, row) in enumerate(rows) if (i and len(row.split()) < 3) or "=" in row), len(rows))
    names: dict[str, float] = {}
    for line, row in rows[n_atoms:]:
        if not _TITLE.fullmatch(row):
            name, value = _variable(row, f"{origin}, line {line}")
            if names.setdefault(name, value) != value:
                raise InputError(f"{origin}, line {line}: {name[:40]!r} has another value above; leave one of them.")
    atoms: list[tuple[int, str, np.ndarray]] = []
    for line, row in rows[:n_atoms]:
        where = f"{origin}, line {line}: {row[:80]!r}"
        label, *words = (word.rstrip(",") for word in row.split())
        if any("," in word for word in words):
            raise InputError(f"{where} has a comma within a number; write decimal points.")
        if len(words) != 2 * min(len(atoms), 3):
            raise InputError(f"{where} is no line of a Z-matrix; expected 'label i distance j angle k dihedral', with "
                             "as many pairs as there are atoms before, at most three.")
        others = [_place(word, [before for _, before, _ in atoms], where) for word in words[::2]]
        if len(set(others)) < len(others):
            raise InputError(f"{where} names an atom twice; give three different atoms.")
        values = [_value(word, names, where) for word in words[1::2]]
        if values and not values[0] > 0.0:
            raise InputError(f"{where} has the distance {values[0]:g}; distances are larger than 0.")
        atoms.append((line, label, _position([atoms[i][2] for i in others], values, where)))
    return atoms


def _variable(row: str, where: str) -> tuple[str, float]:
    """Return the name and the value of a line such as 'R = 0.96'."""
    parts = _VARIABLE.fullmatch(" ".join(row.split()))
    if parts is None:
        raise InputError(f"{where}: {row[:80]!r} is neither an atom of a Z-matrix nor a value such as 'R = 0.96'.")
    return parts[1], _value(parts[2], {}, f"{where}: {row[:80]!r}")


def _place(word: str, labels: Sequence[str], where: str) -> int:
    """Return which of the atoms before is meant, counted from 0."""
    n_atoms = len(labels)
    if labels.count(word) == 1:
        return labels.index(word)
    if not (word.isascii() and word.isdigit()) or not 1 <= int(word[:9]) <= n_atoms:
        raise InputError(f"{where} refers to atom {word[:20]}; the atoms before are 1 to {n_atoms}.")
    return int(word) - 1


def _value(word: str, names: dict[str, float], where: str) -> float:
    """Return a number, or the value of a name, perhaps with a minus sign before it."""
    sign, name = (-1.0, word[1:]) if word.startswith("-") else (1.0, word.removeprefix("+"))
    if name in names:
        return sign * names[name]
    try:
        return number(word)
    except InputError as error:
        raise InputError(f"{where} {error}") from None


def _position(others: list[np.ndarray], values: list[float], where: str) -> np.ndarray:
    """Return the position of an atom from up to three atoms and its distance, angle and dihedral angle to them."""
    if not others:
        return np.zeros(3)
    if len(others) == 1:
        return others[0] + np.array([values[0], 0.0, 0.0])
    angle = np.radians(values[1])
    axis = _unit(others[1] - others[0], where)
    if len(others) == 2:
        side, dihedral = np.array([0.0, 1.0, 0.0]), 0.0
    else:
        side, dihedral = others[2] - others[1], np.radians(values[2])
    side = _unit(side - np.dot(side, axis) * axis, where)
    normal = np.cross(axis, side)
    radial = np.cos(dihedral) * side - np.sin(dihedral) * normal
    return others[0] + values[0] * (np.cos(angle) * axis + np.sin(angle) * radial)


def _unit(vector: np.ndarray, where: str) -> np.ndarray:
    """Return a vector of length one in the direction of another."""
    length = np.linalg.norm(vector)
    if not length > _PARALLEL:
        raise InputError(f"{where} has no dihedral angle, since three atoms lie on a line; refer to other atoms, or "
                         "give coordinates x, y, z.")
    return vector / length
