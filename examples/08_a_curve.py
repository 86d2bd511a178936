"""Compute the energy of the hydrogen molecule along its bond, and its spectroscopic constants.

This example shows nnqmc.curve: only the shortest bond is trained at length, and every other point starts from the
parameters and the walkers of its neighbour; each point is a run in a directory of its own, and a script that is
interrupted goes on when it is run again. runs/08-h2 gets curve.xyz, which ASE reads, and curve.png. The command line
says the same: nnqmc curve H2 --bond 1.0 4.0 --points 8. It takes some minutes, or seconds with NNQMC_TINY=1.
"""

import os

import nnqmc

small = {"preset": "quick", "forces": False, "pretrain": {"steps": 5},
         "wavefunction": {"layers": 1, "hidden_one": 6, "hidden_two": 3, "n_determinants": 1},
         "train": {"walkers": 16, "steps": 4, "burn_in": 2}, "evaluate": {"max_steps": 10, "burn_in": 2}}
tiny = "NNQMC_TINY" in os.environ

curve = nnqmc.curve("H2", bond=(1.0, 1.8 if tiny else 4.0), points=2 if tiny else 8, out="runs/08-h2",
                    **(small if tiny else {}))
print(curve)
for point in curve.points:
    print(f"{point.bond:.3f} bohr   {point.result.energy} Ha   {point.result.steps} training steps")
