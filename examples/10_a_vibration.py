"""Compute the vibration of the hydrogen molecule from energies whose errors cancel.

This example shows nnqmc.difference: it moves the walkers of one run to the geometry of another one, so that what both
energies have in common cancels, and the error bar of their difference is a fraction of those of the two. The energies
of five bonds relative to the one in the middle give the wavenumber of the harmonic vibration, which is 4401 1/cm. The
command line says the same: nnqmc difference runs/10-h2/0003 runs/10-h2/0001. It takes some minutes, or seconds with
NNQMC_TINY=1.
"""

import os

import numpy as np

import nnqmc
from nnqmc.studies.spectroscopic import Points, constants

small = {"preset": "quick", "pretrain": {"steps": 5},
         "wavefunction": {"layers": 1, "hidden_one": 6, "hidden_two": 3, "n_determinants": 1},
         "train": {"walkers": 16, "steps": 4, "burn_in": 2}, "evaluate": {"max_steps": 10, "burn_in": 2}}
tiny = "NNQMC_TINY" in os.environ
n_points, steps = (3, 20) if tiny else (5, 400)

curve = nnqmc.curve("H2", bond=(1.0, 1.8), points=n_points, forces=False, seed=1, out="runs/10-h2",
                    **(small if tiny else {}))
middle = curve.points[n_points // 2]
energies, errors = np.zeros(n_points), np.full(n_points, 1e-7)  # the middle one is zero without an error bar
for number, point in enumerate(curve.points):
    if point is not middle:
        found = nnqmc.difference(middle.directory, point.directory, steps=steps)
        energies[number], errors[number] = found.value, found.error
        print(f"E({point.bond:.1f}) - E({middle.bond:.1f} bohr) = {found}")

unknown = np.full(n_points, np.nan)  # forces could be used as well
points = Points(np.array([point.bond for point in curve.points]), energies, errors, unknown, unknown)
print(constants(points, masses=(1.007825, 1.007825)))
