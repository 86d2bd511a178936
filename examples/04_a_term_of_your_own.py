"""A term of your own in the Hamiltonian: two electrons in a harmonic trap instead of an atom.

You learn that a term is a function of one walker, that a Hamiltonian is a sum of named terms which you may add, drop
or write yourself, and that a system with an exact solution is the best test of new physics: Hooke's atom, the trap of
frequency 1/2 without a nucleus, has E = 2 Ha (Kestner, Sinanoglu 1962). Helium only lends its electrons and centre.

Less than a minute on a laptop; NNQMC_TINY=1 shrinks it.
"""

import os

import jax.numpy as jnp

import nnqmc
from nnqmc.hamiltonian import electron_electron, hamiltonian, kinetic


def trap(psi, electrons, system, key):
    """1/2 omega^2 sum_i r_i^2 for omega = 1/2, in hartree; `electrons` is (n_electrons, 3) in bohr."""
    return 0.5 * 0.5**2 * jnp.sum(electrons**2)


tiny = dict(walkers=16, steps=4, wavefunction={"layers": 1}, pretrain={"steps": 0}, evaluate={"max_steps": 20})
size = tiny if "NNQMC_TINY" in os.environ else {"walkers": 512, "steps": 500}

hookes_atom = hamiltonian({"kinetic": kinetic(), "repulsion": electron_electron, "trap": trap})
helium = nnqmc.molecule("He", name="Hooke's atom")
result = nnqmc.solve(helium, hamiltonian=hookes_atom, seed=0, **size)

print(result)
print(f"above the exact 2 Ha by {1000 * (result.energy.value - 2):+.2f} mHa, error {1000 * result.energy.error:.2f}")
for name, part in result.terms.items():
    print(f"  {name:<10} {part}")
# To add to a molecule's usual terms instead: nnqmc.solve("He", hamiltonian=nnqmc.molecular(trap=trap))
