"""Figures of a run are drawn from its directory, its loaded wavefunction or its result, and say what is missing."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure

import nnqmc
from nnqmc import plots
from nnqmc.errors import InputError, SignatureError
from nnqmc.io import sign
from nnqmc.job import Result, RunDirectory
from nnqmc.statistics import Estimate
from written_runs import write_run


def words(axes):
    return "\n".join(axes.get_legend_handles_labels()[1])


def test_each_figure_takes_a_directory_what_load_gives_and_a_result(tmp_path):
    path = write_run(tmp_path / "lih")
    opened = RunDirectory.open(path)
    result = Result("LiH", Estimate(-8.0704, 2e-4, 0.02, 1.5, 1.0, 99), settings=opened.config, series={
        "train": opened.load_series("train.h5")[0], "evaluate": opened.load_series("evaluate.h5")[0]})
    for run in (path, str(path), SimpleNamespace(opened=opened), result):
        given = Figure().subplots()
        assert plots.learning_curve(run, given) is given and "evaluated" in words(given)
        assert given.get_xlabel() == "training step"
    for run in (path, result):
        assert "chosen" in words(plots.blocking(run, Figure().subplots()))
    assert "means of 2 walkers" in words(plots.local_energy_histogram(path))
    assert nnqmc.plots is plots


def test_the_histogram_counts_every_sample_and_says_what_is_beyond_the_axis(tmp_path):
    axes = plots.local_energy_histogram(write_run(tmp_path / "lih", walkers=256))
    counts = sum(bar.get_height() for bar in axes.patches)
    assert counts == 64 * 256 - 1 and "single walkers" in words(axes) and "1 beyond the axis" in words(axes)
    normal = axes.lines[0]
    step = axes.patches[0].get_width()
    assert np.trapezoid(normal.get_ydata(), normal.get_xdata()) / step == pytest.approx(64 * 256, rel=1e-2)


def test_runs_are_compared_by_name_and_with_the_reference_of_each(tmp_path):
    first, second = write_run(tmp_path / "a" / "$x$"), write_run(tmp_path / "_b", evaluated=False)
    other = write_run(tmp_path / "he", "He", source="He", energy=-2.9037)
    axes = plots.compare([first, second])
    assert axes.get_yscale() == "symlog" and "$x$: " in words(axes) and "_b: not evaluated yet" in words(axes)
    assert len(axes.get_legend().get_texts()) == 4  # an underscore hides no run, and dollar signs are no formula
    axes.figure.savefig(tmp_path / "compared.png")
    assert "published energy of each system" in words(plots.compare({"one": first, "two": other}))
    doubled = words(plots.compare([first, write_run(tmp_path / "b" / "$x$")]))
    assert str(tmp_path / "b") in doubled and str(tmp_path / "a") in doubled
    own = [write_run(tmp_path / f"own{n}", "mine", source="He 0 0 0; He 0 0 3", unit="bohr") for n in (1, 2)]
    assert plots.compare(own).get_ylabel() == "energy (Ha)"
    with pytest.raises(InputError, match="LiH and mine can't be drawn together"):
        plots.compare([first, own[0]])


def test_refusals_say_what_to_do(tmp_path):
    for run, message in ((tmp_path, "holds no run"), (7, "give a path"),
                         (Result("LiH", Estimate(-8, 0.1, 1, 1, 1, 9)), "give the directory of the run")):
        with pytest.raises(InputError, match=message):
            plots.learning_curve(run)
    young = write_run(tmp_path / "young", evaluated=False)
    for figure in (plots.blocking, plots.local_energy_histogram):
        with pytest.raises(InputError, match="young wasn't evaluated yet: `nnqmc resume DIR`"):
            figure(young)
    (young / "train.h5").unlink()
    with pytest.raises(InputError, match="no training steps yet"):
        plots.learning_curve(young)
    with pytest.raises(InputError, match="is one run: give a list"):
        plots.compare(str(young))
    with pytest.raises(InputError, match="no runs were given"):
        plots.compare([])
    text = (young / "config.toml").read_bytes()
    (young / "config.toml").write_bytes(sign(b"0123456789abcdef", text))
    with pytest.raises(SignatureError, match="is signed"):
        plots.learning_curve(young)
    (young / "config.toml").write_text('[system]\nsource = "/etc/passwd"\n')
    with pytest.raises(InputError, match="instead of the atoms"):
        plots.learning_curve(young)
