"""Figures of runs and of what they have measured.

`learning_curve`, `blocking`, `local_energy_histogram` and `compare` take runs, the functions `draw_...` numbers. All
draw on axes of matplotlib, without changing matplotlib's global state.
"""

from nnqmc.plots.densities import draw_density, draw_pair_density, draw_plane
from nnqmc.plots.energies import (
    CHEMICAL_ACCURACY,
    draw_blocking,
    draw_energy,
    draw_variance,
    running_mean,
    write_blocking,
    write_learning_curve,
)
from nnqmc.plots.runs import blocking, compare, learning_curve, local_energy_histogram, write_figures
from nnqmc.plots.studies import energy_curve, scaling_plot

__all__ = ["CHEMICAL_ACCURACY", "blocking", "compare", "draw_blocking", "draw_density", "draw_energy",
           "draw_pair_density", "draw_plane", "draw_variance", "energy_curve", "learning_curve",
           "local_energy_histogram", "running_mean", "scaling_plot", "write_blocking", "write_figures",
           "write_learning_curve"]
