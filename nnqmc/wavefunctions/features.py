"""The features of electrons that networks start from: vectors and distances to nuclei and to each other."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from nnqmc.numerics import log_rescale, safe_norm
from nnqmc.typing import Electrons, System


def electron_nucleus(electrons: Electrons, system: System) -> tuple[
        Float[Array, "n_electrons n_atoms 3"], Float[Array, "n_electrons n_atoms"]]:
    """Return the vectors r_i - R_I and their lengths, in bohr."""
    vectors = electrons[:, None] - jnp.asarray(system.atoms, electrons.dtype)
    return vectors, safe_norm(vectors)


def electron_electron(electrons: Electrons) -> tuple[
        Float[Array, "n_electrons n_electrons 3"], Float[Array, "n_electrons n_electrons"]]:
    """Return the vectors r_i - r_j and their lengths, in bohr; the diagonal is 0 and has derivative 0."""
    vectors = electrons[:, None] - electrons[None]
    return vectors, safe_norm(vectors)


def rescaled(vectors: Float[Array, "*batch 3"], distances: Float[Array, "*batch"], logarithmic: bool,
             smooth: bool = False) -> Float[Array, "*batch 4"]:
    """Return vectors and their lengths as four features each.

    Args:
        vectors: in bohr.
        distances: the lengths of the vectors.
        logarithmic: whether vectors and lengths are shortened to log(1 + length), as in arXiv:2211.13672.
        smooth: whether r^2/(1 + r) is taken for the length r. It is as long far away, but has no slope at r = 0, so
            that whatever a network makes of it leaves the cusp to the factor that has the exact one.
    """
    lengths = distances**2 / (1.0 + distances) if smooth else distances
    if logarithmic:
        vectors, lengths = log_rescale(vectors, lengths)
    return jnp.concatenate([vectors, lengths[..., None]], axis=-1)
