"""The origin of moments that depend on one: the centre of nuclear charge."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nnqmc.typing import System


def centre_of_charge(system: System) -> Float[Array, "3"]:
    """Return the centre of nuclear charge in bohr; effective charges count where a pseudopotential stands for a core.
    """
    charges = jnp.asarray(system.charges)
    return jnp.sum(charges[:, None] * jnp.asarray(system.atoms), axis=0) / jnp.sum(charges)


def origin_text(system: System) -> str:
    """Return in words where the origin is: 'the centre of nuclear charge, (0, 0, 0.5) bohr'."""
    place = ", ".join(f"{x:.6g}" for x in np.asarray(centre_of_charge(system)))
    return f"the centre of nuclear charge, ({place}) bohr"
