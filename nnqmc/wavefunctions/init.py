"""Initial parameters."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from nnqmc.typing import Key, Params, System


def init_params(module: nn.Module, key: Key, system: System) -> Params:
    """Random initial parameters of a wavefunction for a system, compiled as one program."""
    electrons = jnp.zeros((system.n_electrons, 3), jnp.float32) + jnp.arange(system.n_electrons)[:, None]
    return jax.jit(lambda k: module.init(k, electrons, system))(key)
