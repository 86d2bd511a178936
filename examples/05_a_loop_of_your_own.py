"""Write the loop, the wavefunction and the optimizer yourself: Hylleraas's helium of 1929, three parameters, by VMC.

This example shows that a wavefunction is any function (params, electrons, system) -> SignedLog, here without a network;
that any optax optimizer trains it, after `with_extra_args_support` lets it ignore the samples that a natural gradient
needs; and that `make_step` returns one pure function of the state, which can be compiled and called as you like.
It takes seconds, even fewer with NNQMC_TINY=1. Hylleraas found -2.90243 Ha by hand; the exact energy is -2.903724 Ha.
"""

import os

import jax
import jax.numpy as jnp
import optax

import nnqmc
from nnqmc.typing import SignedLog

walkers, steps, looks = (16, 4, 20) if "NNQMC_TINY" in os.environ else (1024, 500, 1000)


def hylleraas(params, electrons, system):
    """Return exp(-k s) (1 + b u + c t^2) with s = r1 + r2, t = r1 - r2 and u = r12."""
    r1, r2 = jnp.linalg.norm(electrons, axis=-1)
    u = jnp.linalg.norm(electrons[0] - electrons[1])
    factor = 1 + params["b"] * u + params["c"] * (r1 - r2) ** 2
    return SignedLog(jnp.sign(factor), jnp.log(jnp.abs(factor)) - params["k"] * (r1 + r2))


helium, energy, sampler = nnqmc.molecule("He"), nnqmc.molecular(), nnqmc.Metropolis()
optimizer = optax.with_extra_args_support(optax.lion(optax.cosine_decay_schedule(0.02, steps)))
params = {"k": jnp.asarray(1.6), "b": jnp.asarray(0.0), "c": jnp.asarray(0.0)}
electrons = 0.7 * jax.random.normal(jax.random.key(1), (walkers, 2, 3))

step = jax.jit(nnqmc.make_step(hylleraas, helium, energy, sampler, optimizer))
state = nnqmc.init_state(jax.random.key(2), helium, params, electrons, sampler, optimizer)
for _ in range(steps):
    state, stats = step(state)
print("trained:", {name: round(float(value), 3) for name, value in state.average.items()})
measure = nnqmc.make_measurement(hylleraas, helium, energy, sampler)
print("E =", nnqmc.evaluate(measure, state.average, state.sampler, key=jax.random.key(3), max_steps=looks).energy, "Ha")
