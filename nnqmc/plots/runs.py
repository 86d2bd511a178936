"""Figures of a run from its directory: each function draws on axes of matplotlib and returns them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nnqmc.errors import InputError
from nnqmc.plots.energies import (
    Running,
    draw_blocking,
    draw_energy,
    draw_reference,
    energy_limits,
    running_mean,
    write_blocking,
    write_learning_curve,
)
from nnqmc.plots.records import Record, record
from nnqmc.plots.style import BLUE, COLOURS, MILLI, RED, minus, new_axes, plain_legend
from nnqmc.statistics import Estimate, signed_millihartree

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDEST = 8.0
"""Standard deviations of the local energies beyond which they are counted instead of drawn."""


def learning_curve(run: Any, ax: Axes | None = None) -> Axes:
    """Draw the energy of every training step, its running mean and the evaluated energy, and return the axes.

    Energies are drawn in mHa from the published energy where there is one, on an axis that is linear within chemical
    accuracy and logarithmic beyond it, else in hartree.

    Args:
        run: the directory of a run, which may be in progress; what `nnqmc.load` returns; or the result of
            `nnqmc.solve`. A run whose files are signed is given as `nnqmc.load(directory, key_file=...)`.
        ax: the axes to draw on; those of a new figure by default.

    Raises:
        InputError: there is no run, or it has no training steps yet.
        CheckpointError: its files are damaged.
    """
    found = record(run)
    series = _training(found)
    axes = new_axes() if ax is None else ax
    draw_energy(axes, series["step"], series["energy"], error=found.training_error, reference=found.reference,
                estimate=found.estimate)
    axes.set_xlabel("training step")
    axes.xaxis.get_major_locator().set_params(integer=True)
    return axes


def blocking(run: Any, ax: Axes | None = None) -> Axes:
    """Draw the error of the evaluated energy in mHa against the block size, and return the axes.

    Once the blocks are longer than the correlation of the Markov chains, the error stays the same.

    Args:
        run: as in `learning_curve`.
        ax: the axes to draw on; those of a new figure by default.

    Raises:
        InputError: there is no run, or it wasn't evaluated yet.
        CheckpointError: its files are damaged.
    """
    found = record(run)
    series = _evaluation(found)
    axes = new_axes(6.4, 4.2) if ax is None else ax
    draw_blocking(axes, series["energy"])
    return axes


def local_energy_histogram(run: Any, ax: Axes | None = None) -> Axes:
    """Draw how the local energies of the evaluation are distributed around their mean, and return the axes.

    The scale of the counts is logarithmic, beside a normal distribution of the same variance: the local energy diverges
    at the nodes of an approximate wavefunction, so that its tails are heavier. A run keeps the local energies of 256
    walkers or, of more walkers, the means of 256 groups; a note in the legend says which.

    Args:
        run: as in `learning_curve`.
        ax: the axes to draw on; those of a new figure by default.

    Raises:
        InputError: there is no run, or it wasn't evaluated yet.
        CheckpointError: its files are damaged.
    """
    found = record(run)
    energies = np.asarray(_evaluation(found)["energy"], np.float64)
    n_groups, n_walkers = energies.shape[1], found.walkers
    axes = new_axes(6.4, 4.2) if ax is None else ax
    deviations = energies.ravel() - energies.mean()
    width = float(deviations.std()) or 1e-6
    reach = min(max(float(np.abs(deviations).max()), 3.0 * width), _WIDEST * width)
    edges = np.linspace(-reach, reach, int(np.clip(np.sqrt(len(deviations)), 11, 121)) | 1)
    inside = np.abs(deviations) <= reach
    each = "single walkers" if n_walkers <= n_groups else f"means of {n_walkers / n_groups:g} walkers each"
    axes.hist(deviations[inside], edges, color=BLUE, alpha=0.7, label=f"{len(deviations)} local energies, {each}")
    fine = np.linspace(-reach, reach, 400)
    normal = len(deviations) * (edges[1] - edges[0]) / (width * np.sqrt(2.0 * np.pi)) * np.exp(-0.5 * (fine / width)**2)
    axes.plot(fine, normal, color=RED, lw=1.4, label=f"normal distribution, standard deviation {width:.3g} Ha")
    if not inside.all():
        axes.plot([], [], " ", label=f"{np.count_nonzero(~inside)} beyond the axis")
    axes.set(yscale="log", ylabel="number", xlim=(-reach, reach))
    axes.set_ylim(bottom=0.5)
    return _finished(axes, minus("local energy - mean (Ha)"))


def compare(runs: Mapping[str, Any] | Iterable[Any], ax: Axes | None = None) -> Axes:
    """Draw the learning curves of several runs and their evaluated energies together, and return the axes.

    Energies are in mHa from the published energy of each system, or in hartree where all runs are of one system that
    has none.

    Args:
        runs: runs as in `learning_curve`, or a dict of them by what they are to be called.
        ax: the axes to draw on; those of a new figure by default.

    Raises:
        InputError: there are no runs, a run has no training steps yet, or systems differ and one of them has no
            published energy.
        CheckpointError: their files are damaged.
    """
    found = records(runs)
    is_relative = _have_references(found)
    curves = [_curve(each, is_relative) for each in found]
    axes = new_axes(height=5.0) if ax is None else ax
    limits = [energy_limits(each.smooth.mean, each.smooth, each.final, has_reference=is_relative) for each in curves]
    bottom, top = min(low for low, _ in limits), max(high for _, high in limits)
    if is_relative:
        one = len({each.reference.energy for each in found}) == 1
        draw_reference(axes, found[0].reference, bottom, top, "" if one else "published energy of each system")
    last = max(float(each.smooth.steps.max()) for each in curves)
    for number, (each, curve) in enumerate(zip(found, curves, strict=True)):
        _draw_curve(axes, curve, _label(each, curve), number, last)
    axes.axvline(1.01 * last, color="0.8", lw=0.8)
    axes.set(xlim=(0.0, (1.04 + 0.025 * len(found)) * last), ylim=(bottom, top),
             ylabel=minus("energy - reference (mHa)") if is_relative else "energy (Ha)")
    if not is_relative:
        axes.ticklabel_format(axis="y", useOffset=False)
    axes.xaxis.get_major_locator().set_params(integer=True)
    return _finished(axes, "training step")


def records(runs: Mapping[str, Any] | Iterable[Any]) -> list[Record]:
    """Return access to what several runs have recorded, each with a name of its own.

    Raises:
        InputError: there are none, or one of them is no run.
    """
    if isinstance(runs, str | os.PathLike):
        raise InputError(f"{runs!s:.60} is one run: give a list of runs, or a dict of them by name")
    if isinstance(runs, Mapping):
        found = [record(run)._replace(label=str(label)) for label, run in runs.items()]
    else:
        found = [record(run) for run in runs]
    if not found:
        raise InputError("no runs were given; give at least one")
    labels = [each.label for each in found]
    for number, each in enumerate(found):
        if labels.count(each.label) > 1:
            found[number] = each._replace(label=f"{each.label} ({number + 1})" if each.path is None else str(each.path))
    return found


def write_figures(run: Any) -> list[Path]:
    """Write energy.png, and blocking.png after an evaluation, into the directory of a run, and return their paths.

    Args:
        run: the directory of a run, or what `nnqmc.load` returns.

    Raises:
        InputError: there is no run.
        CheckpointError: its files are damaged, or the figures can't be written.
    """
    found, written = record(run), []
    if series := found.series("train"):
        written.append(write_learning_curve(
            found.path / "energy.png", series["step"], series["energy"], error=found.training_error,
            variance=series["variance"], reference=found.reference, estimate=found.estimate, title=found.name))
    if series := found.series("evaluate"):
        written.append(write_blocking(found.path / "blocking.png", series["energy"]))
    return written


class _Curve(NamedTuple):
    """The running mean of a run, and its evaluated energy with its error, in the unit of the axis."""

    smooth: Running
    final: tuple[float, float] | None
    estimate: Estimate | None


def _curve(found: Record, is_relative: bool) -> _Curve:
    """Return what is drawn of a run."""
    shift, scale = (found.reference.energy, MILLI) if is_relative else (0.0, 1.0)
    series, estimate = _training(found), found.estimate
    finite = np.isfinite(series["energy"])
    if not finite.any():
        raise InputError(f"no energy of {found.label} is finite: look at the run that produced them")
    smooth = running_mean(series["step"][finite], (series["energy"][finite] - shift) * scale,
                          found.training_error[finite] * scale)
    if estimate is None or not np.isfinite(estimate.value):
        return _Curve(smooth, None, None)
    return _Curve(smooth, ((estimate.value - shift) * scale, estimate.error * scale), estimate)


def _draw_curve(axes: Axes, curve: _Curve, label: str, number: int, last: float) -> None:
    """Draw the curve of the run with this number, and its evaluated energy to the right of the last step of all."""
    colour, style = COLOURS[number % len(COLOURS)], ("-", "--", ":")[number // len(COLOURS) % 3]
    steps, mean, error = curve.smooth
    axes.plot(steps, mean, color=colour, ls=style, lw=1.6, zorder=4, label=label)
    axes.fill_between(steps, mean - error, mean + error, color=colour, alpha=0.2, lw=0, zorder=3)
    if curve.final is not None:
        bar = curve.final[1] if np.isfinite(curve.final[1]) else 0.0
        axes.errorbar([(1.03 + 0.025 * number) * last], [curve.final[0]], [bar], fmt="D", color=colour, ms=5,
                      capsize=4, lw=1.6, zorder=6)


def _have_references(found: list[Record]) -> bool:
    """Tell whether all runs have a published energy; without one all have to be of the same system."""
    if all(each.reference is not None for each in found):
        return True
    systems = [{key: value for key, value in each.config["system"].items() if key != "name"} for each in found]
    if any(system != systems[0] for system in systems):
        names = " and ".join(dict.fromkeys(each.name for each in found))
        raise InputError(f"{names:.200} can't be drawn together, since not all of them have a published energy: "
                         "compare runs of one system")
    return False


def _label(found: Record, curve: _Curve) -> str:
    """Return what stands in the legend for a run; matplotlib would leave out what begins with an underscore."""
    text = f"\N{ZERO WIDTH SPACE}{found.label}"
    if curve.estimate is None:
        return f"{text}: not evaluated yet"
    text += minus(f": {curve.estimate} Ha")
    if found.reference is not None:
        difference = curve.estimate.value - found.reference.energy
        text += minus(f", {signed_millihartree(difference, curve.estimate.error)} mHa")
    return text + ("" if curve.estimate.trusted else ", with caveats")


def _training(found: Record) -> dict[str, np.ndarray]:
    """Return the series of the training, or raise InputError without any."""
    if not (series := found.series("train")):
        raise InputError(f"{found.label} has no training steps yet: wait for them, or continue the run with "
                         "`nnqmc resume DIR`")
    return series


def _evaluation(found: Record) -> dict[str, np.ndarray]:
    """Return the series of the evaluation, or raise InputError without any."""
    if not (series := found.series("evaluate")):
        raise InputError(f"{found.label} wasn't evaluated yet: `nnqmc resume DIR` completes it, and `nnqmc evaluate "
                         "DIR` evaluates what there is")
    return series


def _finished(axes: Axes, across: str) -> Axes:
    """Name the horizontal axis, draw grid and legend, and return the axes."""
    axes.set_xlabel(across)
    axes.grid(True, color="0.92", lw=0.8)
    axes.set_axisbelow(True)
    plain_legend(axes, loc="lower left", bbox_to_anchor=(0.0, 1.02), fontsize=8.5, frameon=False, borderaxespad=0.0)
    return axes
