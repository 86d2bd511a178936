"""What a network sees of the electrons: distances and directions to nuclei and to each other."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from nnqmc.numerics import log_rescale, safe_norm
from nnqmc.typing import Electrons, System


def electron_nucleus(electrons: Electrons, system: System) -> tuple[
        Float[Array, "n_electrons n_atoms 3"], Float[Array, "n_electrons n_atoms"]]:
    """Vectors r_i - R_I and their lengths, in bohr."""
    vectors = electrons[:, None] - jnp.asarray(system.atoms, electrons.dtype)
    return vectors, safe_norm(vectors)


def electron_electron(electrons: Electrons) -> tuple[
        Float[Array, "n_electrons n_electrons 3"], Float[Array, "n_electrons n_electrons"]]:
    """Vectors r_i - r_j and their lengths, in bohr; the diagonal is 0 and has derivative 0."""
    vectors = electrons[:, None] - electrons[None]
    return vectors, safe_norm(vectors)


def rescaled(vectors: Float[Array, "*batch 3"], distances: Float[Array, "*batch"],
             logarithmic: bool) -> Float[Array, "*batch 4"]:
    """Vector and length as four features, shortened to log(1 + r) if `logarithmic` (arXiv:2211.13672)."""
    if logarithmic:
        vectors, distances = log_rescale(vectors)
    return jnp.concatenate([vectors, distances[..., None]], axis=-1)
