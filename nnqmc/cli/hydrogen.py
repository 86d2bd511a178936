"""The hydrogen atom, whose answer is known: Hartree-Fock, sampling, training and evaluation within seconds."""

from __future__ import annotations

from collections.abc import Iterator

import jax.numpy as jnp
from flax import linen as nn

from nnqmc.job import solve
from nnqmc.scf import hartree_fock
from nnqmc.system import molecule
from nnqmc.typing import Electrons, SignedLog, System


class Exponential(nn.Module):
    """The wavefunction exp(-a r), which is exact at a = 1 and compiles faster than a network."""

    @nn.compact
    def __call__(self, electrons: Electrons, system: System) -> SignedLog:
        exponent = self.param("exponent", nn.initializers.constant(0.7), ())
        radius = jnp.linalg.norm(electrons[0])
        return SignedLog(jnp.ones_like(radius), -exponent * radius)


def hydrogen_atom() -> Iterator[tuple[str, float, float, float]]:
    """Compute the atom; yield names, the numbers found, their exact values and tolerances, in hartree.

    A tolerance is the largest difference that is due to rounding, noise or the basis.
    """
    yield "Hartree-Fock", float(hartree_fock(molecule("H")).energy), -0.5, 2e-3
    result = solve("H", wavefunction=Exponential(), optimizer={"learning_rate": 0.5}, pretrain={"steps": 0},
                   walkers=256, steps=30, evaluate={"target_error": None, "max_steps": 100}, progress=False)
    attraction = result.terms["electron_nucleus"]
    yield "energy", result.energy.value, -0.5, 1e-4
    yield "variance", result.energy.variance, 0.0, 1e-4
    yield "attraction", attraction.value, -1.0, 6.0 * min(attraction.error, 0.1) + 1e-3
