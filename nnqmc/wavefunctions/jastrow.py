"""Jastrow factors, which multiply the determinants: the electron-electron cusp."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from nnqmc.typing import Scalar, System


class ElectronCusp(nn.Module):
    """The logarithm of the Jastrow factor with the exact cusps of electrons with parallel and antiparallel spins.

    It is log J = -sum_{i<j} c_ij alpha^2/(alpha + r_ij), with c = 1/4 for parallel and 1/2 for antiparallel spins, so
    that d(log J)/dr is c at coalescence, Kato's condition (doi:10.1002/cpa.3160100201). The lengths alpha > 0, one for
    each kind of pair, are trained and start at `length`. Source of the form: von Glehn, Spencer, Pfau,
    arXiv:2211.13672.
    """

    length: float = 1.0

    @nn.compact
    def __call__(self, distances: Float[Array, "n n"], system: System) -> Scalar:
        raw = self.param("alpha", lambda key: jnp.full((2,), np.log(np.expm1(self.length)), jnp.float32))
        parallel, antiparallel = jax.nn.softplus(raw.astype(distances.dtype))
        up = np.arange(system.n_electrons) < system.n_up
        same = up[:, None] == up[None]
        alpha = jnp.where(same, parallel, antiparallel)
        strength = np.where(same, 0.25, 0.5) * (1.0 - np.eye(system.n_electrons)) * 0.5
        return -jnp.sum(jnp.asarray(strength, distances.dtype) * alpha**2 / (alpha + distances))
