"""Figures of a run and of what it has measured, drawn without changing matplotlib's global state."""

from nnqmc.plots.densities import draw_density, draw_pair_density, draw_plane
from nnqmc.plots.energies import (
    CHEMICAL_ACCURACY,
    blocking_plot,
    draw_blocking,
    draw_energy,
    draw_variance,
    learning_curve,
    running_mean,
)
from nnqmc.plots.studies import energy_curve, scaling_plot

__all__ = ["CHEMICAL_ACCURACY", "blocking_plot", "draw_blocking", "draw_density", "draw_energy", "draw_pair_density",
           "draw_plane", "draw_variance", "energy_curve", "learning_curve", "running_mean", "scaling_plot"]
