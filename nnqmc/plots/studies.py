"""Figures of studies of several runs: a curve along a bond, and a ladder of sizes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nnqmc.plots.style import BLUE, GREEN, GREY, MILLI, PLAIN_TEXT, RED, minus, write_figure
from nnqmc.statistics import Scaling


def energy_curve(path: str | os.PathLike[str], bonds: Any, energies: Any, errors: Any, *,
                 fitted: Callable[[Any], Any] | None = None, title: str = "") -> Path:
    """Draw energies along a bond with a band of two error bars, and write the figure as a PNG file.

    Args:
        path: the file to write; it appears complete or not at all.
        bonds: (n,) lengths in bohr.
        energies: (n,) in hartree.
        errors: (n,) standard errors in hartree.
        fitted: a curve through the points, in hartree as a function of bohr; without one the band joins the points.
        title: the text above the figure.

    Returns:
        `path`.
    """
    import matplotlib
    from matplotlib.figure import Figure

    bonds, energies, errors = (np.asarray(values, np.float64) for values in (bonds, energies, errors))
    fine = np.linspace(bonds.min(), bonds.max(), 400)
    line = np.interp(fine, bonds, energies) if fitted is None else np.asarray(fitted(fine))
    width = 2.0 * np.interp(fine, bonds, errors)
    with matplotlib.rc_context(PLAIN_TEXT):
        figure = Figure(figsize=(7.6, 6.2), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [2.6, 1.0]})
        upper.plot(fine, line, color=BLUE, lw=1.4, label="energies joined" if fitted is None else "fitted curve")
        upper.fill_between(fine, line - width, line + width, color=BLUE, alpha=0.2, lw=0, label="two error bars")
        upper.errorbar(bonds, energies, 2.0 * errors, fmt="o", ms=4, color=RED, capsize=3, label="points")
        upper.set_ylabel("energy (Ha)")
        upper.legend(frameon=False)
        lower.fill_between(fine, -MILLI * width, MILLI * width, color=BLUE, alpha=0.2, lw=0)
        lower.errorbar(bonds, MILLI * (energies - np.interp(bonds, fine, line)), 2.0 * MILLI * errors, fmt="o", ms=4,
                       color=RED, capsize=3)
        lower.axhline(0.0, color=BLUE, lw=1.0)
        lower.set_ylabel("from the line (mHa)")
        lower.set_xlabel("bond (bohr)")
        if title:
            figure.suptitle(title, fontsize=12, fontweight="bold", parse_math=False)
        return write_figure(figure, path)


def scaling_plot(path: str | os.PathLike[str], sizes: Any, energies: Any, *, limit: Scaling,
                 reference: float | None = None, title: str = "") -> Path:
    """Draw the energies of a ladder of networks against size and variance, and write the figure as a PNG file.

    Args:
        path: the file to write; it appears complete or not at all.
        sizes: (n,) numbers of parameters.
        energies: n Estimates in hartree, with their variances.
        limit: what `nnqmc.statistics.scaling` found.
        reference: a published energy in hartree.
        title: the text above the figure.

    Returns:
        `path`.
    """
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    known = [energy.value for energy in energies]
    zero = min(known) if reference is None else reference
    points = [(energy.value - zero) * MILLI for energy in energies], [energy.error * MILLI for energy in energies]
    with matplotlib.rc_context(PLAIN_TEXT):
        figure = Figure(figsize=(8.4, 4.2), layout="constrained")
        by_size, by_variance = figure.subplots(1, 2, sharey=True)
        by_size.errorbar(sizes, *points, fmt="o", color=BLUE)
        by_size.set(xscale="log", xlabel="parameters",
                    ylabel=f"energy above {minus(f'{zero:.6f}')} Ha (mHa)")
        by_size.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        by_size.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        by_size.xaxis.set_minor_formatter(NullFormatter())
        by_variance.errorbar([energy.variance for energy in energies], *points, fmt="o", color=BLUE)
        by_variance.set(xlabel="variance (Ha$^2$)", xlim=(0.0, None))
        by_variance.locator_params(axis="x", nbins=5)
        if limit.extrapolated is not None:
            by_variance.errorbar([0.0], [(limit.extrapolated - zero) * MILLI], [limit.error * MILLI], fmt="s",
                                 color=GREEN, label="limit", clip_on=False)
            by_variance.legend(frameon=False, loc="upper left")
        for axes in (by_size, by_variance):
            axes.axhline(0.0, color=GREY, linewidth=0.8)
        figure.suptitle(title, fontsize=12, fontweight="bold", parse_math=False)
        return write_figure(figure, path)
