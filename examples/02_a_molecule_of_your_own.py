"""Solve a molecule of your own: HeH+, which was the first molecule of the universe, from text, from PySCF and from xyz.

This example shows that `molecule` accepts nearly every description of a molecule (ASE Atoms and xyz files too), that
charge and spin are one keyword each, that all internal lengths are in bohr, and that `solve` accepts what `molecule`
accepts.

It takes less than a minute on a laptop, or seconds with NNQMC_TINY=1. Accurate quantum chemistry gives -2.978707 Ha at
this distance.
"""

import os

from pyscf import gto

import nnqmc
from nnqmc.system import describe

text = "He 0 0 0; H 0 0 1.4632"
xyz = """2
HeH+ in angstrom, as xyz files are
He 0.0 0.0 0.0
H  0.0 0.0 0.774292
"""
mole = gto.M(atom=text, unit="bohr", charge=1)

from_text = nnqmc.molecule(text, unit="bohr", charge=1)
from_xyz = nnqmc.molecule(xyz, unit="angstrom", charge=1, name="hydrohelium")
from_pyscf = nnqmc.molecule(mole)  # brings its own unit, charge and spin

print(describe(from_text))
for system in (from_text, from_xyz, from_pyscf):
    print(f"{system.name}: {system.n_up} up, {system.n_down} down, bond {system.atoms[1, 2]:.4f} bohr")

tiny = dict(walkers=16, steps=4, wavefunction={"layers": 1}, pretrain={"steps": 0}, evaluate={"max_steps": 20})
print(nnqmc.solve(from_text, preset="quick", seed=0, **(tiny if "NNQMC_TINY" in os.environ else {})))
