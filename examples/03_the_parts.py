"""Call the parts of `solve` one by one for the lithium atom, with an observable of your own.

This example shows the functions (hartree_fock, pretrain, burn_in, train, evaluate), how to replace a part
(wavefunction, Hamiltonian, sampler, optimizer), and that an observable is a function of one walker. It takes a minute
or two, or seconds with NNQMC_TINY=1. The exact values are -7.478060 Ha and <r^2> = 18.354 bohr^2. The energy converges
long before <r^2>, because its error is of second order in the error of the wavefunction.
"""

import os

import jax
import jax.numpy as jnp

import nnqmc

walkers, steps, looks = (16, 4, 20) if "NNQMC_TINY" in os.environ else (512, 500, 1000)


def spread(psi, electrons, system, key):
    """Return sum_i r_i^2 of one walker."""
    return jnp.sum(electrons**2)


atom = nnqmc.molecule("Li")
network = nnqmc.FermiNet(layers=2, hidden_one=32, hidden_two=8, n_determinants=4, envelope="bottleneck")
energy, sampler = nnqmc.molecular(), nnqmc.Metropolis(sweeps=10)
optimizer = nnqmc.spring(network.apply, learning_rate=0.05, chunk_size=16)
keys = jax.random.split(jax.random.key(0), 4)

mean_field = nnqmc.hartree_fock(atom, basis="cc-pvdz")
start = nnqmc.pretrain(atom, network, mean_field, key=keys[0], n_walkers=walkers, steps=steps // 2)
step = nnqmc.make_step(network.apply, atom, energy, sampler, optimizer, chunk_size=16)
state = nnqmc.init_state(keys[1], atom, start.params, start.electrons, sampler, optimizer)
state = nnqmc.burn_in(step, state, 20, key=keys[3])  # until the walkers follow the wavefunction's density
for done, trained, stats in nnqmc.train(step, state, steps):
    if done % max(steps // 10, 1) == 0:
        print(f"step {done:4}  E = {stats['energy']:.4f} Ha  moves {float(trained.sampler.shared.width):.2f} bohr")
measure = nnqmc.make_measurement(network.apply, atom, energy, sampler, observables={"<r^2>": spread}, chunk_size=16)
found = nnqmc.evaluate(measure, trained.average, trained.sampler, key=keys[2], max_steps=looks)
print(f"Hartree-Fock {mean_field.energy:.6f} Ha   VMC {found.energy} Ha   <r^2> = {found.observables['<r^2>']} bohr^2")
