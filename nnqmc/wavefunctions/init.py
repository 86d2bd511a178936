"""Initial parameters of wavefunctions."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

import jax
import jax.numpy as jnp
from flax import linen as nn

from nnqmc.typing import Key, Params, System

_QUICKLY = MappingProxyType({"xla_backend_optimization_level": 0})
"""Compiler options for a program that runs once: not optimised, it compiles in two thirds of the time."""


def init_params(module: nn.Module, key: Key, system: System) -> Params:
    """Return random initial parameters of a wavefunction for a system; they are drawn by one compiled program.

    Inside of `jax.jit` or `jax.eval_shape`, use `initializer`.
    """
    options = dict(_QUICKLY) if jax.default_backend() == "cpu" else None
    return jax.jit(initializer(module, system), compiler_options=options)(key)


def initializer(module: nn.Module, system: System) -> Callable[[Key], Params]:
    """Return the function that draws parameters from a key, for use inside of `jax.jit` or `jax.eval_shape`."""
    electrons = jnp.zeros((system.n_electrons, 3), jnp.float32) + jnp.arange(system.n_electrons)[:, None]
    return lambda key: module.init(key, electrons, system)
