"""Relax the hydrogen molecule from a bond of 1.6 bohr with ASE, by forces that come with error bars.

This example shows the calculator nnqmc.ase.NNQMC: every geometry is a run of its own that starts from the parameters
and the walkers of its nearest neighbour, so that only the first one is trained at length; a script that is interrupted
goes on when it is run again; and a relaxation ends when the forces can't be told from zero, since no optimizer can
follow them any further. It needs ASE (pip install "nnqmc[ase]") and takes some minutes, or seconds with NNQMC_TINY=1.
The exact bond length is 1.401 bohr and the exact energy -1.174476 Ha.
"""

import os

import numpy as np
from ase import Atoms
from ase.optimize import BFGS
from ase.units import Bohr

from nnqmc.ase import NNQMC

small = {"wavefunction": {"layers": 1, "hidden_one": 6, "hidden_two": 3, "n_determinants": 1}, "pretrain": {"steps": 5},
         "train": {"walkers": 16, "steps": 4, "burn_in": 2}, "evaluate": {"max_steps": 10, "burn_in": 2}}
tiny = "NNQMC_TINY" in os.environ

molecule = Atoms("H2", positions=[[0, 0, 0], [0, 0, 1.6 * Bohr]])
calculator = NNQMC(preset="quick", out="runs/07-h2", seed=1, **(small if tiny else {}))
molecule.calc = calculator
for _ in BFGS(molecule, logfile=None).irun(fmax=0.0, steps=0 if tiny else 8):
    forces, errors = molecule.get_forces(), calculator.results["forces_uncertainty"]
    print(f"bond {molecule.get_distance(0, 1) / Bohr:.3f} bohr   E = {calculator.result.energy} Ha   "
          f"pull {forces[0, 2]:+.2f} +- {errors[0, 2]:.2f} eV/angstrom   {calculator.result.steps} training steps")
    if np.abs(forces).max() < 2.0 * errors.max():
        break
