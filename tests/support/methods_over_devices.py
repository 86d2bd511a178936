"""Three training steps of every method over none and 2 of two simulated devices, as JSON; a process of its own, since
the number of devices can't be changed once JAX has begun.
"""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from catalogued import catalogued
from nnqmc.hamiltonian import molecular
from nnqmc.job.compilation import Programs
from nnqmc.methods import init_state
from nnqmc.optimizers import adam
from nnqmc.parallel import over_devices
from nnqmc.parallel.states import spread
from nnqmc.samplers import Metropolis
from nnqmc.typing import SignedLog, System

WALKERS, CHUNK = 16, 3
HYDROGEN = System(np.zeros((1, 3)), np.ones(1), 1, 0, ("H",))


def log_psi(params: Any, electrons: Any, system: System) -> SignedLog:
    """exp(-a r - b r^2)."""
    r = jnp.linalg.norm(electrons[0])
    return SignedLog(jnp.ones((), r.dtype), -params["a"] * r - params["b"] * r**2)


def three_steps(method: Any) -> dict[str, Any]:
    """Where the walkers are after three steps, the parameters, and the rows on each device."""
    sampler, optimizer = Metropolis(sweeps=2), adam(0.01)
    electrons = jax.random.normal(jax.random.key(1), (WALKERS, 1, 3))
    params = {"a": jnp.float32(0.7), "b": jnp.float32(0.1)}
    state = spread(init_state(jax.random.key(2), HYDROGEN, params, electrons, sampler, optimizer))
    step = Programs(method(log_psi, HYDROGEN, molecular(), sampler, optimizer)).training_step(state)
    for _ in range(3):
        state, stats = step(state)
    walkers = state.sampler.walkers.electrons
    return {"walk": np.asarray(walkers).ravel().tolist(), "params": [float(p) for p in state.params.values()],
            "energy": float(stats["energy"]), "per device": walkers.addressable_shards[0].data.shape[0]}


def main() -> int:
    """Print everything."""
    found: dict[str, Any] = {}
    for name, method in catalogued("method", {}, chunk_size=CHUNK).items():
        for number in (None, 2):
            with contextlib.nullcontext() if number is None else over_devices(number):
                found.setdefault(name, {})[str(number)] = three_steps(method)
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
