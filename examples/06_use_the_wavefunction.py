"""Use a trained wavefunction: plot lithium hydride's psi along the bond, and its density.

This example shows that `load` returns the wavefunction of a run, that its `log_psi` is a function of one walker for
jit, vmap and grad, and that `sample`, `density` and `evaluate` are one call each. One electron moves along the bond
while the others stay where a sample of |psi|^2 has them; psi changes its sign where it meets one of its own spin.
Near the nuclei the density is the sum of both atoms' cusps. It takes two minutes on a laptop, less with NNQMC_TINY=1.
"""

import os

import jax
import jax.numpy as jnp
from matplotlib.figure import Figure

import nnqmc

tiny = dict(walkers=16, steps=4, wavefunction={"layers": 1}, pretrain={"steps": 0}, evaluate={"max_steps": 20})
n_points, samples, size = (9, 2, tiny) if "NNQMC_TINY" in os.environ else (301, 64, {})
nnqmc.solve("LiH", preset="quick", out="runs/06-lih", seed=0, **size)

model = nnqmc.load("runs/06-lih")
print(model)
walker = model.sample(1, jax.random.key(1))[0]
z = jnp.linspace(-4.0, 7.0, n_points)
bond = jnp.zeros((n_points, 3)).at[:, 2].set(z)
line = bond.at[:, :2].set(walker[1, :2])  # parallel to the bond, through the other electron with spin up
sign, logabs = jax.vmap(lambda place: model.log_psi(walker.at[0].set(place)))(line)
density = model.density(bond, samples=samples)

figure = Figure(figsize=(7, 6), layout="constrained")
above, below = figure.subplots(2, 1, sharex=True)
above.plot(z, sign * jnp.exp(logabs - logabs.max()))
above.set_ylabel("psi of one electron (arbitrary units)")
below.semilogy(z, density.value)
below.fill_between(z, density.value - density.error, density.value + density.error, alpha=0.3)
below.set(xlabel="z along the bond (bohr)", ylabel="density (1/bohr^3)")
figure.savefig("runs/06-lih/cut.png", dpi=150)
for name, value in model.evaluate("dipole,quadrupole", progress=False).observables.items():
    print(f"{name:<14}", value)
