"""Figures as text for a page: vectors that take their colours from the page, with a legend that is text of the page."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from html import escape
from types import MappingProxyType
from typing import Any, NamedTuple

COLOURS = MappingProxyType({
    "#1f5fa8": "var(--blue)", "#c0392b": "var(--red)", "#4c9a5b": "var(--green)", "#8a8f98": "var(--grey)",
    "#8a5fa8": "var(--purple)", "#b8860b": "var(--gold)", "#000000": "currentColor", "#262626": "currentColor",
    "#4d4d4d": "currentColor", "#ebebeb": "var(--line)", "#cccccc": "var(--line)",
})
"""The colours of `nnqmc.plots`, and what the page has for them; a page may be light or dark."""

_MARKS = MappingProxyType({"D": "◆", "^": "▲", "v": "▼", ".": "•", "o": "●"})
_SIZE = (5.4, 3.5)


class Figure(NamedTuple):
    """An svg element, and the legend: pairs of a mark in HTML and a text."""

    svg: str
    legend: list[tuple[str, str]]


def figure(draw: Callable[[Any], Any], name: str, description: str, size: tuple[float, float] = _SIZE) -> Figure:
    """Return what a function draws on axes as an svg element.

    Args:
        draw: called with the axes.
        name: makes the identifiers in the element different from those of others on the page.
        description: of the figure in words, for those who can't see it.
        size: width and height in inches; the page scales it.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Canvas

    options = {"svg.fonttype": "none", "svg.hashsalt": "nnqmc", "text.usetex": False, "figure.facecolor": "none",
               "axes.facecolor": "none", "savefig.facecolor": "none"}
    with matplotlib.rc_context(options):
        canvas = Canvas(figsize=size, layout="constrained")
        axes = canvas.subplots()
        draw(axes)
        legend = [(_mark(handle), text.lstrip("\N{ZERO WIDTH SPACE}"))
                  for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)]
        if axes.get_legend() is not None:
            axes.get_legend().remove()
        buffer = io.StringIO()
        FigureCanvasSVG(canvas).print_svg(buffer, metadata={"Date": None})
    return Figure(_for_a_page(buffer.getvalue(), name, description), legend)


def _for_a_page(text: str, name: str, description: str) -> str:
    """Return an svg file as an element that scales, has identifiers of its own, and takes the page's colours."""
    box = re.search(r'viewBox="([\d. ]+)"', text)[1]
    body = text[text.index(">", text.index("<svg ")) + 1:]
    for part in (r"<metadata>.*?</metadata>", r"<defs>\s*<style.*?</style>\s*</defs>", "<!--.*?-->"):
        body = re.sub(part, "", body, flags=re.DOTALL)
    body = re.sub(r' id="', f' id="{name}-', body)
    body = re.sub(r'(href="|url\()#', rf"\1#{name}-", body)
    for colour, word in COLOURS.items():
        body = body.replace(colour, word)
    return f'<svg role="img" aria-label="{escape(description)}" viewBox="{box}">{body.strip()}'


def _mark(handle: Any) -> str:
    """Return a mark for the legend in HTML: the shape and the colour of what it stands for."""
    from matplotlib.colors import to_hex

    first = handle.patches[0] if hasattr(handle, "patches") else handle.lines[0] if hasattr(handle, "lines") else handle
    if hasattr(first, "get_marker"):
        dashed = first.get_linestyle() in ("--", ":")
        line = "" if first.get_linestyle() in ("None", " ", "") else "╌" if dashed else "━"
        mark, colour = _MARKS.get(first.get_marker(), line), first.get_color()
    else:
        mark, colour = "■", first.get_facecolor()
    colour, opacity = to_hex(colour), max(first.get_alpha() or 1.0, 0.4)
    style = f"color: {COLOURS.get(colour, colour)}; opacity: {opacity:.2g}"
    return f'<span class="mark" style="{style}">{mark}</span>'
