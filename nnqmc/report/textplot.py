"""A curve as text: lines of braille characters, each of which has two by four dots."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of each dot of a braille character, by row and column."""

_BLANK = 0x2800


def text_plot(x: ArrayLike, y: ArrayLike, *, width: int, height: int, ticks: Sequence[tuple[float, str]],
              scale: Callable[[np.ndarray], np.ndarray] = lambda values: values, braille: bool = True) -> list[str]:
    """Return a curve as lines of text, with an axis on the left and one below.

    Args:
        x: (n,) growing numbers.
        y: (n,) finite numbers.
        width: of the lines in characters, with the axis.
        height: number of lines above the lower axis.
        ticks: values of y with their texts; those beyond the curve are left out, and 0 gets a line across.
        scale: what is drawn is scale(y).
        braille: whether there are braille characters, and not only those of ASCII.
    """
    x, up = np.asarray(x, np.float64), np.asarray(scale(np.asarray(y, np.float64)), np.float64)
    marks = [(float(scale(np.array([value]))[0]), text, value == 0.0) for value, text in ticks]
    levels = [*up, *(level for level, _, is_zero in marks if is_zero)]
    low, high = min(levels), max(levels)
    low, high = (low - 0.5, high + 0.5) if high - low < 1e-12 else (low, high)
    margin = max((len(text) for _, text, _ in marks), default=0) + 1
    columns = max(width - margin - 1, 8)
    rows = np.round((high - up) / (high - low) * (4 * height - 1)).astype(int)
    bits, seen = np.zeros((height, columns), int), np.zeros((height, columns), bool)
    span = float(x[-1] - x[0]) or 1.0
    across = np.linspace(x[0], x[-1], 2 * columns)
    down = np.interp(across, x, rows)
    for number, (one, other) in enumerate(zip(down, np.append(down[1:], down[-1]), strict=True)):
        for dot in range(*sorted((round(one), round(other)))) or (round(one),):
            bits[dot // 4, number // 2] |= _DOTS[dot % 4][number % 2]
            seen[dot // 4, number // 2] = True
    labels, zero = {}, None
    for level, text, is_zero in marks:
        if low <= level <= high:
            row = round((high - level) / (high - low) * (height - 1))
            labels.setdefault(row, text)
            labels[row], zero = (text, row) if is_zero else (labels[row], zero)
    lines = []
    for row in range(height):
        if braille:
            empty = "╌" if row == zero else " "
            body = "".join(chr(_BLANK + bit) if bit else empty for bit in bits[row])
        else:
            body = "".join("*" if mark else "-" if row == zero else " " for mark in seen[row])
        axis = "┤" if row in labels else "│"
        lines.append(f"{labels.get(row, ''):>{margin}}{axis if braille else '|'}{body}".rstrip())
    ends = f"{x[0]:g}", f"{x[0] + span if len(x) > 1 else x[0]:g}"
    lines.append(" " * margin + ("└" + "─" * columns if braille else "+" + "-" * columns))
    lines.append(" " * (margin + 1) + ends[0] + (ends[1].rjust(columns - len(ends[0])) if len(x) > 1 else ""))
    return lines
