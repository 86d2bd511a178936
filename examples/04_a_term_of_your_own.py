"""A term of your own in the Hamiltonian: two electrons in a harmonic trap instead of an atom.

You learn that a term is a function of one walker, that a Hamiltonian is a sum of named terms which you may add, drop
or write yourself, and that a wavefunction can be told what you know: here that the trap makes its tails Gaussian.
Hooke's atom, two electrons in a trap of frequency 1/2, has exactly E = 2 Ha (Kais, Herschbach and Levine 1989). Helium
only lends its two electrons and its centre. The network is made for nuclei, so the result may warn of heavy tails.
A minute or so on a laptop; NNQMC_TINY=1 shrinks it.
"""

import os

import jax.numpy as jnp

import nnqmc
from nnqmc.hamiltonian import electron_electron, hamiltonian, kinetic
from nnqmc.typing import SignedLog


def trap(psi, electrons, system, key):
    """1/2 omega^2 sum_i r_i^2 for omega = 1/2, in hartree; `electrons` is (n_electrons, 3) in bohr."""
    return 0.5 * 0.5**2 * jnp.sum(electrons**2)


class TrappedNet(nnqmc.FermiNet):
    """A FermiNet times the trap's own Gaussian, exp(-omega/2 sum_i r_i^2)."""

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
