"""Compute the vibration of the hydrogen molecule from energies whose errors cancel.

This example shows nnqmc.difference: it moves the walkers of one run to the geometry of another one, so that what both
energies have in common cancels, and the error bar of their difference is a fraction of those of the two. The energies
of five bonds around the minimum, relative to the one in the middle, give the force constant, and that the wavenumber of
the harmonic vibration, which is 4401 1/cm. The command line says the same: nnqmc difference runs/10-h2/0003
runs/10-h2/0001. It takes some minutes, or seconds with NNQMC_TINY=1.
"""

import os

import numpy as np

import nnqmc
from nnqmc.units import HARTREE_IN_WAVENUMBERS

small = {"preset": "quick", "pretrain": {"steps": 5},
         "wavefunction": {"layers": 1, "hidden_one": 6, "hidden_two": 3, "n_determinants": 1},
         "train": {"walkers": 16, "steps": 4, "burn_in": 2}, "evaluate": {"max_steps": 10, "burn_in": 2}}
tiny = "NNQMC_TINY" in os.environ
n_points, steps = (3, 20) if tiny else (5, 400)

curve = nnqmc.curve("H2", bond=(1.0, 1.8), points=n_points, forces=False, seed=1, out="runs/10-h2",
                    **(small if tiny else {}))
middle = curve.points[n_points // 2]
bonds, energies, errors = (np.zeros(n_points) for _ in range(3))
for number, point in enumerate(curve.points):
    bonds[number] = point.bond - middle.bond
    if point is not middle:
        found = nnqmc.difference(middle.directory, point.directory, steps=steps)
        energies[number], errors[number] = found.value, found.error
        print(f"E({point.bond:.1f}) - E({middle.bond:.1f} bohr) = {found}")

noisy = energies + errors * np.random.default_rng(0).normal(size=(1000, n_points))
wavenumbers = []
for fitted in (np.poly1d(np.polyfit(bonds, each, n_points - 1)) for each in (energies, *noisy)):
    minimum = min(fitted.deriv().roots, key=abs).real
    force_constant = max(fitted.deriv(2)(minimum), 0.0)  # hartree/bohr^2; the reduced mass is half of an atom's
    wavenumbers.append(HARTREE_IN_WAVENUMBERS * np.sqrt(force_constant / (0.5 * 1837.15)))
print(f"harmonic vibration {wavenumbers[0]:.0f} +- {np.std(wavenumbers[1:]):.0f} 1/cm")
