"""The learning curve and the blocking plot of a run."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nnqmc.errors import InputError
from nnqmc.plots.style import BLUE, GREEN, GREY, MILLI, PLAIN_TEXT, RED, minus, plain_legend, write_figure
from nnqmc.statistics import Estimate, blocking, format_with_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CHEMICAL_ACCURACY = 1.6  # mHa, 1 kcal/mol
_MOST_POINTS = 600  # positions at which the running mean is taken
_MANY_POINTS = 3000  # drawn as one picture in vector files, which would grow with them
_WINDOW = 0.2  # of the steps so far: learning slows down as it goes on
_CLIP = 4.0  # robust standard deviations beyond which a point counts as an outlier


class Running(NamedTuple):
    """A running mean and its standard error at the steps `steps`."""

    steps: np.ndarray
    mean: np.ndarray
    error: np.ndarray


def write_learning_curve(
    path: str | os.PathLike[str],
    steps: Any,
    energy: Any,
    *,
    error: Any = None,
    variance: Any = None,
    reference: Any = None,
    estimate: Estimate | None = None,
    title: str = "",
) -> Path:
    """Draw the energy of every training step, and write the figure as a PNG file.

    The energy is drawn relative to the reference in mHa if one is given, else in hartree.

    Args:
        path: the file to write; it appears complete or not at all.
        steps: (n,) numbers of the training steps.
        energy: (n,) mean local energy of each step in hartree; values that are not finite are left out.
        error: (n,) standard error of each energy; by default the scatter between steps is used.
        variance: (n,) variance of the local energy in hartree^2, drawn in a second panel.
        reference: an energy in hartree, or an object with `energy`, `uncertainty` and `kind`.
        estimate: the evaluated energy; it is left out if it is not finite.
        title: the text above the figure.

    Returns:
        `path`.

    Raises:
        InputError: the series are empty or of different lengths.
    """
    import matplotlib
    from matplotlib.figure import Figure

    panels = 1 if variance is None else 2
    with matplotlib.rc_context(PLAIN_TEXT):
        figure = Figure(figsize=(7.6, 4.6 if panels == 1 else 6.2), layout="constrained")
        ratios = [1.0] if panels == 1 else [2.6, 1.0]
        axes = figure.subplots(panels, 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": ratios})[:, 0]
        draw_energy(axes[0], steps, energy, error=error, reference=reference, estimate=estimate)
        if panels == 2:
            draw_variance(axes[1], steps, variance)
        axes[-1].set_xlabel("training step")
        axes[-1].xaxis.get_major_locator().set_params(integer=True)
        if title:
            figure.suptitle(title, fontsize=12, fontweight="bold", parse_math=False)  # may be a stranger's
        return write_figure(figure, path)


def write_blocking(path: str | os.PathLike[str], series: Any) -> Path:
    """Draw the error of the mean against the block size, and write the figure as a PNG file.

    Args:
        path: the file to write; it appears complete or not at all.
        series: (n_steps, n_chains) or (n_steps,) energies in hartree.

    Returns:
        `path`.

    Raises:
        InputError: the series is empty, not real or not finite.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(PLAIN_TEXT):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        draw_blocking(figure.subplots(), series)
        return write_figure(figure, path)


def draw_energy(
    axes: Axes,
    steps: Any,
    energy: Any,
    *,
    error: Any = None,
    reference: Any = None,
    estimate: Estimate | None = None,
) -> None:
    """Draw the energies of a run on `axes`; the other arguments are those of `write_learning_curve`.

    With a reference, the axis is linear within chemical accuracy and logarithmic beyond it on both sides, so that
    energies below the reference are visible. Points beyond the ends of the axis are marked at its edge.

    Raises:
        InputError: the series are empty or of different lengths, or no energy is finite.
    """
    steps, energy = _paired("energy", steps, energy)
    finite = np.isfinite(energy)
    error = None if error is None else _paired("error", steps, error)[1][finite]
    steps, energy = steps[finite], energy[finite]
    estimate = estimate if estimate is not None and math.isfinite(estimate.value) else None
    if not len(energy):
        raise InputError("no energy is finite; at least one must be: look at the run that produced them")
    zero = getattr(reference, "energy", reference)
    shift, scale = (0.0, 1.0) if zero is None else (float(zero), MILLI)
    points = (energy - shift) * scale
    smooth = running_mean(steps, points, None if error is None else error * scale)
    final = None if estimate is None else ((estimate.value - shift) * scale, estimate.error * scale)
    bottom, top = energy_limits(points, smooth, final, has_reference=zero is not None)
    if zero is not None:
        draw_reference(axes, reference, bottom, top)
    _draw_points(axes, steps, points, bottom, top)
    label = "running mean with clipped outliers, and its error"
    axes.plot(smooth.steps, smooth.mean, color=BLUE, lw=1.8, zorder=4, label=label)
    low, high = smooth.mean - smooth.error, smooth.mean + smooth.error
    axes.fill_between(smooth.steps, low, high, color=BLUE, alpha=0.25, lw=0, zorder=3)
    right = steps.max() + 0.02 * (np.ptp(steps) or 1.0)
    if estimate is not None:
        right = _draw_estimate(axes, steps, estimate, shift, scale)
    axes.set_xlim(steps.min() - 0.01 * (np.ptp(steps) or 1.0), right)
    axes.set_ylim(bottom, top)
    axes.set_ylabel("energy (Ha)" if zero is None else minus("energy - reference (mHa)"))
    if zero is None:
        axes.ticklabel_format(axis="y", useOffset=False)
    axes.grid(True, color="0.92", lw=0.8)
    axes.set_axisbelow(True)
    style = {"fontsize": 8.5, "frameon": False, "borderaxespad": 0.0, "handletextpad": 0.6, "columnspacing": 1.4}
    plain_legend(axes, loc="lower left", bbox_to_anchor=(0.0, 1.02), ncols=2, markerscale=1.4, **style)


def draw_variance(axes: Axes, steps: Any, variance: Any) -> None:
    """Draw the variance of the local energy in hartree^2 on a logarithmic axis; outliers are marked at its edge.

    Args:
        axes: the axes to draw on.
        steps: (n,) numbers of the training steps.
        variance: (n,) variances; values that are not finite or not positive are left out.

    Raises:
        InputError: the series are of different lengths.
    """
    steps, variance = _paired("variance", steps, variance)
    shown = np.isfinite(variance) & (variance > 0.0)
    steps, variance = steps[shown], variance[shown]
    axes.set_ylabel("variance (Ha²)")
    axes.grid(True, color="0.92", lw=0.8)
    axes.set_axisbelow(True)
    if not len(variance):
        return
    smooth = running_mean(steps, variance)
    low, high = np.quantile(variance, [0.002, 0.995])
    bottom, top = float(low) / 1.5, 1.5 * max(float(high), float(smooth.mean.max()))
    _draw_points(axes, steps, variance, bottom, top)
    axes.plot(smooth.steps, smooth.mean, color=BLUE, lw=1.6, zorder=4)
    axes.set_yscale("log")
    axes.set_ylim(bottom, top)
    ticks = [digit * 10.0**power for power in range(-12, 9) for digit in (1, 3) if bottom <= digit * 10.0**power <= top]
    if len(ticks) > 1:  # the usual ones run into each other on so low a panel
        axes.set_yticks(ticks, labels=[f"{tick:g}" for tick in ticks])
        axes.minorticks_off()


def draw_blocking(axes: Axes, series: Any) -> None:
    """Draw the error of the mean in mHa against the block size in steps, and mark the chosen block size.

    Args:
        axes: the axes to draw on.
        series: (n_steps, n_chains) or (n_steps,) energies in hartree.

    Raises:
        InputError: the series is empty, not real or not finite.
    """
    table = blocking(series)
    errors, bars = table.errors * MILLI, table.errors_of_errors * MILLI
    axes.errorbar(table.sizes, errors, bars, fmt="o-", color=BLUE, ms=4, lw=1.2, capsize=3, label="blocks")
    size, count = table.sizes[table.choice], table.n_blocks[table.choice]
    chosen = f"chosen: {count} blocks of {size} steps" + ("" if table.resolved else ", series too short to be sure")
    axes.plot([size], [errors[table.choice]], "o", color=RED, ms=9, mfc="none", mew=1.8, label=chosen)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.set_ylim(0.0, 1.25 * float(np.nanmax(errors + bars, initial=1e-12)))
    axes.set_xlabel("block size (steps)")
    axes.set_ylabel("error of the mean (mHa)")
    axes.grid(True, color="0.92", lw=0.8)
    axes.legend(loc="lower right", fontsize=9, framealpha=0.92, edgecolor="0.85")


def running_mean(steps: Any, values: Any, error: Any = None) -> Running:
    """Return the mean over the neighbouring steps, with its standard error and with clipped outliers.

    The window is centred, and its width is a fifth of the number of steps so far, but at least five steps. Values
    further than four robust standard deviations (1.4826 times the median absolute deviation) from the median of the
    window are moved to that distance. The standard error assumes that the steps are independent.

    Args:
        steps: (n,) numbers of the steps.
        values: (n,) finite values.
        error: (n,) standard errors of `values`; their median replaces the scatter within the window.

    Returns:
        The running mean at not more than 600 steps, with the first and the last among them.
    """
    steps, values = np.asarray(steps, np.float64), np.asarray(values, np.float64)
    centres = np.unique(np.linspace(0, len(values) - 1, min(len(values), _MOST_POINTS)).astype(int))
    means, errors = np.empty(len(centres)), np.empty(len(centres))
    for row, centre in enumerate(centres):
        half = max(int(0.5 * _WINDOW * centre), 2)
        window = slice(max(centre - half, 0), centre + half + 1)
        inside = values[window]
        middle = np.median(inside)
        reach = _CLIP * 1.4826 * np.median(np.abs(inside - middle))
        inside = np.clip(inside, middle - reach, middle + reach)
        scatter = inside.std() if error is None else np.median(np.asarray(error)[window])
        means[row], errors[row] = inside.mean(), scatter / math.sqrt(len(inside))
    return Running(steps[centres], means, errors)


def _paired(name: str, steps: Any, values: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return both series as float64 arrays of one length."""
    steps, values = np.asarray(steps, np.float64), np.asarray(values, np.float64)
    if steps.ndim != 1 or values.shape != steps.shape or not len(steps):
        raise InputError(
            f"steps of shape {steps.shape} and {name} of shape {values.shape} were given; both must be (n,) with the "
            "same n >= 1: pass one number per step"
        )
    return steps, values


def energy_limits(
    points: np.ndarray, smooth: Running, final: tuple[float, float] | None, *, has_reference: bool
) -> tuple[float, float]:
    """Return the bottom and the top of the energy axis, which are not determined by outliers."""
    seen = np.concatenate([smooth.mean, np.quantile(points, [0.02, 0.98])])
    if final is not None:
        spread = 0.0 if not math.isfinite(final[1]) else 2.0 * final[1]
        seen = np.concatenate([seen, [final[0] - spread, final[0] + spread]])
    low, high = float(seen.min()), float(seen.max())
    if has_reference:
        return min(1.6 * low, -3.0 * CHEMICAL_ACCURACY), max(1.6 * high, 6.0 * CHEMICAL_ACCURACY)
    margin = 0.08 * (high - low) or 1e-3 * max(abs(high), 1e-3)
    return low - margin, high + 2.0 * margin


def _draw_points(axes: Axes, steps: np.ndarray, points: np.ndarray, bottom: float, top: float) -> None:
    """Draw the single steps, with those beyond the ends of the axis as triangles at its edge."""
    beyond = (points < bottom) | (points > top)
    style = {"ls": "none", "mec": "none", "rasterized": len(points) > _MANY_POINTS}
    size = float(np.clip(90.0 / math.sqrt(len(points)), 2.0, 9.0))
    axes.plot(steps[~beyond], points[~beyond], color=GREY, marker=".", ms=size, alpha=0.6, label="each step", **style)
    label = f"{int(beyond.sum())} beyond the axis"
    for chosen, edge, marker in ((points < bottom, bottom, "v"), (points > top, top, "^")):
        if chosen.any():
            level = np.full(int(chosen.sum()), edge)
            axes.plot(steps[chosen], level, color=RED, marker=marker, ms=5, clip_on=False, label=label, **style)
            label = "_" + label


def draw_reference(axes: Axes, reference: Any, bottom: float, top: float, label: str = "") -> None:
    """Draw the reference, its uncertainty and chemical accuracy, and set the scale and ticks of the axis.

    Args:
        axes: the axes to draw on, in mHa from the reference.
        reference: an energy in hartree, or an object with `energy`, `uncertainty` and `kind`.
        bottom: the end of the axis.
        top: the other end.
        label: what to call the line; by default the reference with its kind.
    """
    energy, kind = float(getattr(reference, "energy", reference)), getattr(reference, "kind", "")
    uncertainty = getattr(reference, "uncertainty", None)
    number = minus(f"{energy:.10g}" if not uncertainty else format_with_error(energy, uncertainty))
    axes.set_yscale("symlog", linthresh=CHEMICAL_ACCURACY, linscale=0.8)
    accuracy = f"chemical accuracy (±{CHEMICAL_ACCURACY} mHa)"
    axes.axhspan(-CHEMICAL_ACCURACY, CHEMICAL_ACCURACY, color=GREEN, alpha=0.18, lw=0, zorder=0.5, label=accuracy)
    if uncertainty:
        axes.axhspan(-uncertainty * MILLI, uncertainty * MILLI, color="0.3", alpha=0.2, lw=0, zorder=0.6)
    label = label or f"reference {number} Ha" + (f" ({kind})" if kind else "")
    axes.axhline(0.0, color="0.15", lw=1.2, ls="--", zorder=2, label=label)
    ticks = [tick for tick in _ticks() if bottom <= tick <= top]
    axes.set_yticks(ticks, labels=["0" if tick == 0 else minus(f"{tick:+g}") for tick in ticks])
    axes.set_yticks([], minor=True)


def _ticks() -> list[float]:
    """Return the ticks 1, 3, 10, 30, ... with both signs, and zero."""
    sizes = [factor * 10.0**power for power in range(7) for factor in (1.0, 3.0)]
    return [-size for size in reversed(sizes)] + [0.0, *sizes]


def _draw_estimate(axes: Axes, steps: np.ndarray, estimate: Estimate, shift: float, scale: float) -> float:
    """Draw the evaluated energy to the right of the last step, and return the right end of the axis."""
    span = float(np.ptp(steps)) or 1.0
    at, value, error = float(steps.max()) + 0.04 * span, (estimate.value - shift) * scale, estimate.error * scale
    label = f"evaluated {estimate} Ha"
    if scale != 1.0:
        difference = format_with_error(value, error)
        label += f", {difference if difference.startswith('-') else '+' + difference} mHa"
    if not estimate.trusted:
        label += ", with caveats"
    bar = error if math.isfinite(error) else 0.0
    axes.axvline(float(steps.max()) + 0.02 * span, color="0.8", lw=0.8)
    axes.errorbar([at], [value], [bar], fmt="D", color=RED, ms=5, capsize=4, lw=1.6, zorder=6, label=minus(label))
    return float(steps.max()) + 0.06 * span
