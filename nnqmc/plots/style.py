"""What all figures share: colours, plain text, minus signs, and files that appear complete or not at all."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nnqmc.io import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MILLI = 1000.0
BLUE, RED, GREEN, GREY = "#1f5fa8", "#c0392b", "#4c9a5b", "#8a8f98"
COLOURS = (BLUE, RED, "#8a5fa8", "#b8860b", GREEN, GREY)
PLAIN_TEXT = MappingProxyType({"text.usetex": False})  # whatever a matplotlibrc in the working directory says
_MINUS = "\N{MINUS SIGN}"


def minus(text: str) -> str:
    """Return the text with typographic minus signs."""
    return text.replace("-", _MINUS)


def plain_legend(axes: Axes, **options: Any) -> None:
    """Draw the legend without reading dollar signs as formulas, since names in it may be a stranger's."""
    for text in axes.legend(**options).get_texts():
        text.set_parse_math(False)


def new_axes(width: float = 7.6, height: float = 4.6) -> Axes:
    """Return the axes of a new figure, of so many inches.

    Where pyplot is in use, as in a notebook, it is a figure of pyplot, which is shown there; else it belongs to nobody
    else, and `axes.figure.savefig(path)` writes it.
    """
    if "matplotlib.pyplot" in sys.modules or "ipykernel" in sys.modules:
        from matplotlib import pyplot

        return pyplot.subplots(figsize=(width, height), layout="constrained")[1]
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(PLAIN_TEXT):
        return Figure(figsize=(width, height), layout="constrained").subplots()


def write_figure(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write the figure as a PNG file that appears complete or not at all."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as temporary:
        FigureCanvasAgg(figure).print_figure(temporary, dpi=150, format="png")
    return target
