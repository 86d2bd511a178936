"""Figures show what a reader must see: outliers do not hide the curve, and energies below the reference appear."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure

from nnqmc import plots
from nnqmc.errors import CheckpointError, InputError
from nnqmc.statistics import Estimate, ObservableEstimate, Quantity

REFERENCE = SimpleNamespace(energy=-8.070548, uncertainty=5e-6, kind="best-estimate")
EVALUATED = Estimate(-8.07043, 2.1e-4, 0.02, 3.0, 1.002, 100_000)


def run(offset=0.0, n=300):
    rng = np.random.default_rng(0)
    steps = np.arange(n)
    energy = REFERENCE.energy + 1e-3 * (60 * np.exp(-steps / 40) + 0.5 + offset + rng.normal(0, 5, n))
    energy[[20, 150]] -= 0.1
    return steps, energy, 0.02 * np.exp(rng.normal(0, 0.3, n))


def axes():
    return Figure().subplots()


def minus(text):
    return text.replace("-", "\N{MINUS SIGN}")


def labels(panel):
    return panel.get_legend_handles_labels()[1]


def test_the_files_are_complete_and_nothing_else_is_left(tmp_path):
    steps, energy, variance = run()
    path = plots.write_learning_curve(
        tmp_path / "new" / "energy.png",
        steps,
        energy,
        variance=variance,
        error=np.full(300, 5e-3),
        reference=REFERENCE,
        estimate=EVALUATED,
        title="LiH",
    )
    other = plots.write_blocking(tmp_path / "new" / "blocking.png", np.random.default_rng(0).standard_normal((64, 4)))
    assert path == tmp_path / "new" / "energy.png"
    assert sorted(path.parent.iterdir()) == [other, path]
    assert all(file.read_bytes()[:4] == b"\x89PNG" and file.stat().st_size > 5000 for file in (path, other))


def test_a_failure_keeps_the_old_file_and_leaves_no_rubbish(tmp_path, monkeypatch):
    path = tmp_path / "energy.png"
    path.write_bytes(b"old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("no space")))
    with pytest.raises(CheckpointError, match="no space"):
        plots.write_learning_curve(path, *run()[:2])
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_drawing_leaves_matplotlib_as_it_was(tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    plots.write_learning_curve(tmp_path / "energy.png", *run()[:2])
    assert dict(matplotlib.rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_reference_accuracy_and_answer_are_marked_and_named():
    panel = axes()
    steps, energy, _ = run()
    plots.draw_energy(panel, steps, energy, reference=REFERENCE, estimate=EVALUATED)
    assert panel.get_ylabel() == minus("energy - reference (mHa)")
    assert panel.get_yscale() == "symlog"
    text = "\n".join(labels(panel))
    assert minus("reference -8.070548(5) Ha") in text
    assert "(best-estimate)" in text
    assert "chemical accuracy (±1.6 mHa)" in text
    assert minus("evaluated -8.0704(2) Ha, +0.1(2) mHa") in text
    assert "running mean" in text and "each step" in text
    assert any(np.allclose(line.get_ydata(), 0.0) for line in panel.lines)


def test_the_axis_ignores_outliers_but_counts_them():
    panel = axes()
    steps, energy, _ = run()
    plots.draw_energy(panel, steps, energy, reference=REFERENCE)
    bottom, top = panel.get_ylim()
    assert -40 < bottom < -3 and 50 < top < 200
    assert "2 beyond the axis" in labels(panel)


def test_energies_below_the_reference_are_on_the_axis():
    panel = axes()
    steps, energy, _ = run(offset=-20.0)
    below = Estimate(REFERENCE.energy - 0.0195, 2e-4, 0.02, 1.0, 1.0, 100)
    plots.draw_energy(panel, steps, energy, reference=REFERENCE.energy, estimate=below)
    assert panel.get_ylim()[0] < -19.5
    assert any(minus("-19.5(2) mHa") in label for label in labels(panel))


def test_without_a_reference_the_energy_is_in_hartree():
    panel = axes()
    steps, energy, _ = run()
    doubtful = Estimate(-8.07043, 2.1e-4, 0.02, 3.0, 1.002, 100, ("a reason",))
    plots.draw_energy(panel, steps, energy, estimate=doubtful)
    assert panel.get_ylabel() == "energy (Ha)" and panel.get_yscale() == "linear"
    assert minus("evaluated -8.0704(2) Ha, with caveats") in labels(panel)
    assert -8.12 < panel.get_ylim()[0] < -8.07 < panel.get_ylim()[1] < -7.95


def test_variance_is_logarithmic_and_blocking_marks_its_choice():
    panel = axes()
    variance = run()[2]
    variance[150] = 36.0
    plots.draw_variance(panel, np.arange(300), variance)
    assert panel.get_yscale() == "log" and panel.get_ylabel() == "variance (Ha²)"
    top = panel.get_ylim()[1]
    marked = [line for line in panel.lines if line.get_marker() == "^" and np.allclose(line.get_ydata(), top)]
    assert top < 1.0 and 150 in marked[0].get_xdata()
    panel = axes()
    plots.draw_blocking(panel, np.random.default_rng(0).standard_normal((256, 4)))
    assert "(mHa)" in panel.get_ylabel() and any(label.startswith("chosen: ") for label in labels(panel))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_shortest_runs_can_be_drawn(tmp_path, n):
    steps, energy, variance = (series[:n] for series in run())
    energy = np.where(np.arange(n) == 1, np.nan, energy)
    unknown = Estimate(np.nan, np.nan, np.nan, np.nan, np.nan, 0)
    for reference in (None, REFERENCE):
        path = tmp_path / f"{reference is None}.png"
        plots.write_learning_curve(path, steps, energy, variance=variance, reference=reference, estimate=unknown)
        assert path.stat().st_size > 5000
    plots.write_learning_curve(tmp_path / "zero.png", steps, np.full(n, -0.5), variance=np.zeros(n), reference=-0.5)


def test_running_mean_follows_a_line_and_resists_outliers():
    steps = np.arange(200.0)
    line = plots.running_mean(steps, 3.0 * steps, np.full(200, 0.7))
    inner = (line.steps > 2) & (line.steps < 170)
    assert np.allclose(line.mean[inner], 3.0 * line.steps[inner])
    assert line.steps[0] == 0 and line.steps[-1] == 199
    values = np.random.default_rng(1).normal(0, 1, 200)
    values[100] = 1e6
    assert np.abs(plots.running_mean(steps, values).mean[50:]).max() < 2.0


def test_refusals_say_what_was_given():
    with pytest.raises(InputError, match=r"shape \(3,\) and energy of shape \(2,\)"):
        plots.draw_energy(axes(), [1, 2, 3], [1.0, 2.0])
    with pytest.raises(InputError, match="no energy is finite"):
        plots.draw_energy(axes(), [1, 2], [np.nan, np.inf])


def shells(**parts):
    edges = np.array([0.0, 0.1, 0.3, 1.0])
    parts = {"edges": Quantity(edges, np.zeros(4))} | parts
    return ObservableEstimate(np.array([[3.0, 1.0, 0.0], [1.0, 0.5, 0.1]]), np.full((2, 3), 0.05), parts=parts)


def test_a_density_has_a_curve_for_each_nucleus_and_leaves_out_what_was_never_seen():
    panel = plots.draw_density(axes(), shells(), ["Li", "H"])
    assert labels(panel) == ["Li", "H"] and panel.get_yscale() == "log"
    assert [len(line.get_xdata()) for line in panel.lines] == [2, 3]
    assert 0.1 < panel.lines[0].get_xdata()[1] < 0.3 and list(panel.lines[1].get_ydata()) == [1.0, 0.5, 0.1]
    with pytest.raises(InputError, match="1 labels for the density around 2 nuclei"):
        plots.draw_density(axes(), shells(), ["Li"])


def test_pairs_are_drawn_by_their_spins_and_a_plane_with_its_nuclei():
    pair = Quantity(np.array([0.1, 0.2, 0.1]), np.full(3, 0.01))
    assert labels(plots.draw_pair_density(axes(), shells(same=pair))) == ["same spin"]
    panel = plots.draw_plane(axes(), np.arange(5.0), np.arange(4.0), np.full((4, 5), 0.1) * np.arange(1, 6),
                             [[1.0, 2.0]])
    assert panel.get_aspect() == 1.0 and list(panel.lines[0].get_xdata()) == [1.0]
    with pytest.raises(InputError, match=r"it has to be \(n_y, n_x\)"):
        plots.draw_plane(axes(), np.arange(4.0), np.arange(5.0), np.ones((4, 5)))
    with pytest.raises(InputError, match="no density is positive"):
        plots.draw_plane(axes(), np.arange(5.0), np.arange(4.0), np.zeros((4, 5)))
    with pytest.raises(InputError, match="has no shells"):
        plots.draw_density(axes(), ObservableEstimate(1.0, 0.1))
