"""What all figures share: colours, plain text, minus signs, and files that appear complete or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from nnqmc.io import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MILLI = 1000.0
BLUE, RED, GREEN, GREY = "#1f5fa8", "#c0392b", "#4c9a5b", "#8a8f98"
PLAIN_TEXT = MappingProxyType({"text.usetex": False})  # whatever a matplotlibrc in the working directory says
_MINUS = "\N{MINUS SIGN}"


def minus(text: str) -> str:
    """Return the text with typographic minus signs."""
    return text.replace("-", _MINUS)


def write_figure(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write the figure as a PNG file that appears complete or not at all."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as temporary:
        FigureCanvasAgg(figure).print_figure(temporary, dpi=150, format="png")
    return target
