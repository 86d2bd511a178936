"""Figures of densities: around nuclei, of pairs of electrons, and in a plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nnqmc.errors import InputError
from nnqmc.plots.style import COLOURS
from nnqmc.statistics import ObservableEstimate, Quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WORDS = (("opposite", "opposite spin"), ("same", "same spin"))


def draw_density(axes: Axes, found: ObservableEstimate, labels: Sequence[str] = ()) -> Axes:
    """Draw the density around each nucleus against the distance from it, with its error bars, and return the axes.

    Args:
        axes: the axes to draw on.
        found: what the observable `density` has measured, in 1/bohr^3.
        labels: a text for each nucleus; their numbers by default.

    Raises:
        InputError: it is another observable, or there is not one label for each nucleus.
    """
    rows, errors, edges = (np.atleast_2d(x) for x in (found.value, found.error, _edges(found)))
    labels = tuple(labels) or (("",) if len(rows) == 1 else tuple(f"nucleus {n + 1}" for n in range(len(rows))))
    if len(labels) != len(rows):
        raise InputError(f"{len(labels)} labels for the density around {len(rows)} nuclei: give one for each")
    for n, (row, error, label) in enumerate(zip(rows, errors, labels, strict=True)):
        _draw_shells(axes, edges[0], Quantity(row, error), label, COLOURS[n % len(COLOURS)])
    return _finished(axes, "distance from the nucleus (bohr)", "density (1/bohr³)")


def draw_pair_density(axes: Axes, found: ObservableEstimate) -> Axes:
    """Draw the density of pairs against the distance of two electrons, for each kind of spins, and return the axes.

    Args:
        axes: the axes to draw on.
        found: what the observable `pair_density` has measured, in 1/bohr^3.

    Raises:
        InputError: it is another observable.
    """
    for (name, label), colour in zip(_WORDS, COLOURS, strict=False):
        if name in found.parts:
            _draw_shells(axes, _edges(found), found.parts[name], label, colour)
    return _finished(axes, "distance of two electrons (bohr)", "density of pairs (1/bohr³)")


def draw_plane(axes: Axes, x: Any, y: Any, density: Any, atoms: Any = None) -> Axes:
    """Draw a density in a plane as a map with contours at every factor of 10^(1/2), and return the axes.

    Args:
        axes: the axes to draw on.
        x: (n_x,) places along the horizontal axis in bohr.
        y: (n_y,) places along the vertical axis in bohr.
        density: (n_y, n_x) in 1/bohr^3.
        atoms: (n_atoms, 2) places of the nuclei in the plane, marked by crosses; None marks none.

    Raises:
        InputError: the shapes don't fit, or no density is positive.
    """
    from matplotlib.colors import LogNorm

    x, y, density = (np.asarray(array, np.float64) for array in (x, y, density))
    if x.ndim != 1 or y.ndim != 1 or density.shape != (len(y), len(x)):
        raise InputError(f"a density of the shape {density.shape} with {x.shape} and {y.shape} places: it has to be "
                         "(n_y, n_x) for (n_x,) and (n_y,)")
    if not (np.isfinite(density).all() and density.max() > 0.0):
        raise InputError("no density is positive, or one isn't finite: nothing can be drawn on a logarithmic scale")
    top = float(np.log10(density.max()))
    levels = 10.0 ** np.arange(np.floor(2.0 * (top - 4.0)) / 2.0, top, 0.5)
    shown = np.maximum(density, levels[0])
    image = axes.pcolormesh(x, y, shown, norm=LogNorm(levels[0], density.max()), cmap="Blues", shading="gouraud")
    axes.contour(x, y, np.log(shown), levels=np.log(levels[1:]), colors="0.25", linewidths=0.5,
                 linestyles="solid")
    axes.figure.colorbar(image, ax=axes, label="density (1/bohr³)")
    if atoms is not None:
        axes.plot(*np.reshape(np.asarray(atoms, np.float64), (-1, 2)).T, "x", color=COLOURS[1], ms=6)
    axes.set(xlabel="bohr", ylabel="bohr", aspect="equal")
    return axes


def _edges(found: ObservableEstimate) -> np.ndarray:
    """Return the radii between which the shells of an estimate lie."""
    if "edges" not in found.parts:
        raise InputError(f"an observable with the parts {', '.join(found.parts) or 'none'} has no shells: give what "
                         "the observable density or pair_density has measured")
    return np.asarray(found.parts["edges"].value)


def _draw_shells(axes: Axes, edges: np.ndarray, density: Quantity, label: str, colour: str) -> None:
    """Draw densities at the radii that halve the volumes of shells; those with errors above one half are left out."""
    value, error = (np.asarray(x, np.float64) for x in density)
    middles = np.cbrt(0.5 * (edges[1:] ** 3 + edges[:-1] ** 3))
    seen = (value > 0.0) & (error <= 0.5 * value)
    axes.plot(middles[seen], value[seen], color=colour, lw=1.4, marker=".", ms=4, label=label or None)
    axes.fill_between(middles[seen], (value - error)[seen], (value + error)[seen], color=colour, alpha=0.25, lw=0)


def _finished(axes: Axes, across: str, up: str) -> Axes:
    """Name the axes, set their scales, and return them."""
    axes.set(xlabel=across, ylabel=up, yscale="log")
    axes.set_xlim(left=0.0)
    axes.grid(True, color="0.92", lw=0.8)
    axes.set_axisbelow(True)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(frameon=False, fontsize=9)
    return axes
