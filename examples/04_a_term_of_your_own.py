"""Replace a term of the Hamiltonian: two electrons in a harmonic trap instead of an atom.

This example shows that a term is a function of one walker, that a Hamiltonian is a sum of named terms which can be
added, left out or written by yourself, and that a wavefunction can include prior knowledge: here the Gaussian tails of
the trap. Hooke's atom, two electrons in a trap of frequency 1/2, has the exact energy E = 2 Ha (Kais, Herschbach and
Levine 1989). The system helium only provides the two electrons and the centre. The network is designed for nuclei, so
the result may warn of heavy tails. The example takes about a minute on a laptop, or seconds with NNQMC_TINY=1.
"""

import os

import jax.numpy as jnp

import nnqmc
from nnqmc.hamiltonian import electron_electron, hamiltonian, kinetic
from nnqmc.typing import SignedLog


def trap(psi, electrons, system, key):
    """Return 1/2 omega^2 sum_i r_i^2 for omega = 1/2 in hartree; `electrons` is (n_electrons, 3) in bohr."""
    return 0.5 * 0.5**2 * jnp.sum(electrons**2)


class TrappedNet(nnqmc.FermiNet):
    """A FermiNet multiplied by the Gaussian of the trap, exp(-omega/2 sum_i r_i^2)."""

    def __call__(self, electrons, system):
        sign, logabs = super().__call__(electrons, system)
        return SignedLog(sign, logabs - 0.5 * 0.5 * jnp.sum(electrons**2))


tiny = dict(walkers=16, steps=4, pretrain={"steps": 0}, evaluate={"max_steps": 20})
size = tiny if "NNQMC_TINY" in os.environ else dict(walkers=256, steps=400, target_error=3e-5)
hookes_atom = hamiltonian({"kinetic": kinetic(), "repulsion": electron_electron, "trap": trap})
helium = nnqmc.molecule("He", name="Hooke's atom")
result = nnqmc.solve(helium, hamiltonian=hookes_atom, wavefunction=TrappedNet(), seed=0, **size)
print(result)
print(f"above the exact 2 Ha by {1000 * (result.energy.value - 2):+.2f} mHa, error {1000 * result.energy.error:.2f}")
print({name: str(part) for name, part in result.terms.items()})
# To add the trap to an atom's usual terms instead: nnqmc.solve("He", hamiltonian=nnqmc.molecular(trap=trap))
