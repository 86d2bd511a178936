"""Solve lithium hydride from its name in one line.

This example shows what `solve` does by itself (Hartree-Fock, pretraining, training and evaluation), what a result
contains, and which files a run writes: runs/01-lih holds everything to resume, repeat or analyse the run, and the
learning curve energy.png.

It takes two minutes on a laptop. With NNQMC_TINY=1 it runs in seconds, with meaningless numbers.
"""

import os

import nnqmc

tiny = dict(walkers=16, steps=4, wavefunction={"layers": 1}, pretrain={"steps": 0}, evaluate={"max_steps": 20})

result = nnqmc.solve("LiH", out="runs/01-lih", seed=0, **(tiny if "NNQMC_TINY" in os.environ else {}))
print(result)

print("\nThe energy is an Estimate in hartree:")
print(f"  value {result.energy.value:.6f}   error {result.energy.error:.1g}   variance {result.energy.variance:.2g}")
print("\nIts parts; the virial theorem wants -V/T = 2 in an atom and near a molecule's equilibrium:")
for name, part in result.terms.items():
    print(f"  {name:<18} {part.value:+9.4f} +- {part.error:.4f}")
kinetic = result.terms["kinetic"].value
print(f"  -V/T = {(kinetic - result.energy.value) / kinetic:.3f}")
