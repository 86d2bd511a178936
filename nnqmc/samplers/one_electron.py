"""Sample |psi|^2 by moves of one electron at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import jax.numpy as jnp
from jaxtyping import Array, Float

from nnqmc.ranges import Between
from nnqmc.samplers.metropolis import Metropolis
from nnqmc.typing import Population


@dataclass(frozen=True)
class OneElectron(Metropolis):
    """Move one electron of each walker at a time, drawn at random, and else as `Metropolis` does.

    A move that concerns one electron may be longer, but the wavefunction is evaluated as often as for a move of all:
    psi of a network has no cheap update for one electron. A proposal and its way back draw the same electron with the
    same probability, so that |psi|^2 stays (Metropolis et al., doi:10.1063/1.1699114).

    Attributes: those of `Metropolis`.
    """

    width: Annotated[float, Between(1e-6, 1e3)] = 0.6

    def _shaped(self, noise: Float[Array, "n_walkers _numbers"], electrons: Population) -> Population:
        """Return displacements that are 0 but for one electron.

        The angle of the two numbers whose radius decides the acceptance is independent of it, and draws the electron.
        """
        n_electrons = electrons.shape[1]
        turn = jnp.arctan2(noise[:, -1], noise[:, -2]) / (2.0 * jnp.pi) + 0.5
        chosen = jnp.minimum((turn * n_electrons).astype(jnp.int32), n_electrons - 1)
        is_chosen = chosen[:, None] == jnp.arange(n_electrons)
        return jnp.where(is_chosen[..., None], super()._shaped(noise, electrons), 0.0)
