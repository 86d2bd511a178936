"""Two training steps over none, 2 and 4 of four simulated devices, as JSON; a process of its own, since the number of
devices can't be changed once JAX has begun.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from branching import Branching
from nnqmc.hamiltonian import hamiltonian, molecular
from nnqmc.hamiltonian.external import harmonic_trap
from nnqmc.job.compilation import Programs
from nnqmc.methods import init_state, make_step
from nnqmc.optimizers import adam, spring
from nnqmc.parallel import BY_WALKER, devices_for, n_devices, over_devices, over_walkers, shardings
from nnqmc.parallel.states import spread
from nnqmc.samplers import Metropolis, first_walkers
from nnqmc.system import molecule
from nnqmc.typing import SignedLog, System
from nnqmc.wavefunctions import FermiNet, init_params

WALKERS, CHUNK = 16, 3
COLLECTIVES = r"(all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter)(-start)?\("


def recording(inner: optax.GradientTransformationExtraArgs) -> optax.GradientTransformationExtraArgs:
    """The same optimizer that keeps the last gradient in its state."""

    def update(grads, state, params=None, **extra):
        updates, kept = inner.update(grads, state[0], params, **extra)
        return updates, (kept, grads)

    return optax.GradientTransformationExtraArgs(lambda p: (inner.init(p), jax.tree.map(jnp.zeros_like, p)), update)


def two_steps() -> dict:
    """Where the walkers are after two steps, energies, the gradient, SPRING's direction and the parameters."""
    system = molecule("H2")
    wavefunction = FermiNet(layers=1, hidden_one=4, hidden_two=2, n_determinants=1)
    sampler = Metropolis(sweeps=2)
    optimizer = recording(spring(wavefunction.apply, chunk_size=CHUNK))
    electrons = first_walkers(jax.random.key(1), system, WALKERS, np.full((2, 2), 0.5))
    params = init_params(wavefunction, jax.random.key(0), system)
    state = spread(init_state(jax.random.key(2), system, params, electrons, sampler, optimizer))
    step = make_step(wavefunction.apply, system, molecular(), sampler, optimizer, chunk_size=CHUNK)
    step = Programs(step).training_step(state)
    energies = []
    for _ in range(2):
        state, stats = step(state)
        energies.append([float(stats[name]) for name in ("energy", "kinetic", "variance")])
    walkers = state.sampler.walkers.electrons
    flat = {"params": state.params, "direction": state.opt_state[0], "gradient": state.opt_state[1]}
    return {"walk": np.asarray(walkers).ravel().tolist(), "energies": np.ravel(energies).tolist(),
            "per device": walkers.addressable_shards[0].data.shape[0],
            **{name: np.asarray(ravel_pytree(tree)[0]).tolist() for name, tree in flat.items()}}


def branching_walk() -> dict:
    """Twenty steps of walkers that are born and die: where they are, their ages, and the rows on each device."""

    def log_psi(params, electrons, system):
        return SignedLog(jnp.ones(()), -0.25 * params["a"] * jnp.sum(electrons**2))

    system, sampler, optimizer = System(np.zeros((0, 3)), np.zeros(0), 1, 0, ()), Branching(0.3), adam()
    electrons = jax.random.normal(jax.random.key(1), (WALKERS, 1, 3))
    state = spread(init_state(jax.random.key(0), system, {"a": jnp.float32(1.0)}, electrons, sampler, optimizer))
    step = make_step(log_psi, system, hamiltonian({"trap": harmonic_trap(1.0)}), sampler, optimizer, chunk_size=CHUNK)
    walk, branchings = Programs(step).walk(state).compiled.result(), 0
    chains = state.sampler
    for index in range(20):
        chains, _, stats = walk(state.key, jnp.int32(index), state.params, chains)
        branchings += int(stats["branched"])
    walkers, trial_energy = chains.per_walker, chains.shared.trial_energy
    rows = [leaf.addressable_shards[0].data.shape[0] for leaf in jax.tree.leaves(walkers)]
    more = spread(state._replace(sampler=sampler.resize(chains, 2 * WALKERS))).sampler
    return {"electrons": np.asarray(walkers.electrons).ravel().tolist(), "age": np.asarray(walkers.age).tolist(),
            "trial energy": float(trial_energy), "branchings": branchings, "rows per device": sorted(set(rows)),
            "copies of what is shared": len(trial_energy.addressable_shards),
            "rows per device after growth": more.per_walker.age.addressable_shards[0].data.shape[0],
            "electrons after growth": np.asarray(more.walkers.electrons).ravel().tolist()}


def messages_in_chunks() -> list[int]:
    """Messages between devices where `over_walkers` takes chunks, and where a loop over the whole axis does."""

    def one(x):
        return jnp.sin(x).sum()

    population = jax.ShapeDtypeStruct((WALKERS, 4), jnp.float32)
    by_walker = shardings(BY_WALKER)
    counts = []
    for function in (over_walkers(one, 2), lambda x: jax.lax.map(one, x, batch_size=2)):
        program = jax.jit(function, in_shardings=by_walker, out_shardings=by_walker).lower(population).compile()
        counts.append(len(re.findall(COLLECTIVES, program.as_text())))
    return counts


def automatic(n_walkers: int) -> int:
    """How many devices so many walkers are spread over if nobody chooses."""
    with devices_for(n_walkers):
        return n_devices()


def main() -> int:
    """Print everything."""
    found: dict = {"automatic": {str(n): automatic(n) for n in (16, 18, 17)}}
    for number in (None, 2, 4):
        with contextlib.nullcontext() if number is None else over_devices(number):
            found[str(number)] = two_steps()
            found[f"branching, {number}"] = branching_walk()
    with over_devices(4):
        found["messages"] = messages_in_chunks()
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
