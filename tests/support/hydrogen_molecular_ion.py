"""H2+ at fixed nuclei: wavefunctions in closed form, and means over their densities by quadrature instead of sampling.

With xi = (r_a + r_b)/R and eta = (r_a - r_b)/R, sums of exp(-a (xi - 1)) (xi - 1)^k eta^2l converge to the ground
state.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import eigh

from nnqmc.typing import SignedLog, System


def ion(bond: float) -> System:
    """H2+ along z, bond in bohr."""
    return System(np.array([[0.0, 0, -bond / 2], [0.0, 0, bond / 2]]), np.ones(2), 1, 0, ("H", "H"))


class Points(NamedTuple):
    """Points (n, 1, 3) in a half plane through the axis, and their weights in an integral over all space."""

    electrons: np.ndarray
    weights: np.ndarray


def points(bond: float, decay: float = 2.0, n_xi: int = 24, n_eta: int = 24) -> Points:
    """A grid for functions that fall off as exp(-decay (xi - 1)), singularities 1/r at the nuclei included."""
    x, w_x = np.polynomial.laguerre.laggauss(n_xi)
    eta, w_eta = np.polynomial.legendre.leggauss(n_eta)
    xi = (1.0 + x / decay)[:, None]
    weights = (bond / 2) ** 3 * 2 * np.pi * (w_x * np.exp(x) / decay)[:, None] * w_eta * (xi**2 - eta**2)
    rho = bond / 2 * np.sqrt((xi**2 - 1) * (1 - eta**2))
    z = bond / 2 * xi * eta
    places = np.stack([rho, np.zeros_like(rho), z], axis=-1)
    return Points(places.reshape(-1, 1, 3), weights.ravel())


def exact(bond: float, decay: float = 1.4, n_xi: int = 7, n_eta: int = 4) -> tuple[float, np.ndarray]:
    """The ground-state energy in hartree to 1e-7 for 1 < R < 3, and the coefficients (n_xi, n_eta)."""
    x, w_x = np.polynomial.laguerre.laggauss(40)
    eta, w_eta = np.polynomial.legendre.leggauss(40)
    xi, k, m = x / (2 * decay), np.arange(n_xi)[:, None], 2 * np.arange(n_eta)[:, None]
    f, g = xi**k, eta**m
    df = k * xi ** np.maximum(k - 1, 0) - decay * f
    dg = m * eta ** np.maximum(m - 1, 0)
    w_x = w_x / (2 * decay)  # exp(-2 decay xi) is in the weights

    def pairs(left, w_left, right, w_right):
        return np.einsum("kx,lx,x,me,ne,e->kmln", left, left, w_left, right, right, w_right)

    one = 1.0 + xi
    overlap = (bond / 2) ** 3 * (pairs(f, w_x * one**2, g, w_eta) - pairs(f, w_x, g, w_eta * eta**2))
    kinetic = bond / 4 * (pairs(df, w_x * (one**2 - 1), g, w_eta) + pairs(f, w_x, dg, w_eta * (1 - eta**2)))
    potential = -(bond**2) / 2 * pairs(f, w_x * one, g, w_eta)
    n = n_xi * n_eta
    energies, vectors = eigh((kinetic + potential).reshape(n, n), overlap.reshape(n, n))
    return float(energies[0] + 1.0 / bond), vectors[:, 0].reshape(n_xi, n_eta)


def spheroidal(params, electrons, system):
    """The wavefunction with the coefficients that `exact` returns."""
    r_a, r_b = jnp.linalg.norm(electrons[0] - jnp.asarray(system.atoms, electrons.dtype), axis=-1)
    bond = jnp.linalg.norm(jnp.asarray(system.atoms[1] - system.atoms[0], electrons.dtype))
    xi, eta = (r_a + r_b) / bond - 1.0, (r_a - r_b) / bond
    n_xi, n_eta = params["c"].shape
    value = jnp.sum(params["c"] * xi ** jnp.arange(n_xi)[:, None] * eta ** (2 * jnp.arange(n_eta)))
    return SignedLog(jnp.sign(value), jnp.log(jnp.abs(value)) - params["decay"] * xi)


def two_exponentials(params, electrons, system):
    """exp(-zeta r_a) + c exp(-zeta r_b), which has a node for c < 0."""
    r_a, r_b = jnp.linalg.norm(electrons[0] - jnp.asarray(system.atoms, electrons.dtype), axis=-1)
    value = 1.0 + params["c"] * jnp.exp(params["zeta"] * (r_a - r_b))
    return SignedLog(jnp.sign(value), jnp.log(jnp.abs(value)) - params["zeta"] * r_a)


def averages(local, log_psi):
    """(params, system, grid) -> the means over |psi|^2 of `local(psi, electrons, system)`; compiled once for a grid."""
    def one(params, system, electrons):
        psi = partial(log_psi, params)
        return psi(electrons, system).logabs, local(psi, electrons, system)

    compiled = jax.jit(jax.vmap(one, in_axes=(None, None, 0)))

    def means(params, system: System, grid: Points):
        log, values = compiled(params, system, jnp.asarray(grid.electrons, jnp.float32))
        density = grid.weights * np.exp(2.0 * np.asarray(log, np.float64))
        density /= density.sum()
        return jax.tree.map(lambda v: np.tensordot(density, np.asarray(v, np.float64), axes=1), values)

    return means
