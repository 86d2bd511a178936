"""Compute the ionisation energy of the helium atom with an error bar, beside its reference.

This example shows nnqmc.recipe: it says which runs a difference needs and how long they take, treats them alike, shares
the error budget between them, and prints the difference in four units with its propagated error. The command line says
the same: nnqmc recipe ionisation He. It takes some minutes, or seconds with NNQMC_TINY=1.
"""

import os

import nnqmc

small = {"preset": "quick", "pretrain": {"steps": 5}, "target_error": 0.1,
         "wavefunction": {"layers": 1, "hidden_one": 6, "hidden_two": 3, "n_determinants": 1},
         "train": {"walkers": 16, "steps": 4, "burn_in": 2}, "evaluate": {"max_steps": 10, "burn_in": 2}}

found = nnqmc.recipe("ionisation", "He", out="runs/09-he", **(small if "NNQMC_TINY" in os.environ else {}))
print(found)
print(f"in hartree: {found.value:.4f} +- {found.error:.4f}, reference {found.reference:.4f}")
