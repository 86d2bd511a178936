"""Slater functions around every atom, of which orbitals can be made, and the fit of orbitals by them."""

from __future__ import annotations

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Int

from nnqmc.system.nuclei import nuclei, require_molecule
from nnqmc.system.shells import closed_cores, occupations, slater_orbitals
from nnqmc.typing import System

_RATIO = (1.75, 2.0, 2.0)
"""The most that neighbouring exponents of s, p and d functions differ by."""

_SIZE = 0.1
"""The norm of the functions. Smaller ones have smaller scores, so that in a natural gradient from a few hundred walkers
their many coefficients follow the noise less."""

_THIN = 1e-3
"""The density in electrons per cubic bohr below which fitted orbitals need not be relatively right."""

_CUSP, _RIDGE = 10.0, 1e-6
"""Weights of the cusps and of the size of the coefficients in the fit."""


def slater_exponents(number: int, core: int = 0) -> list[Float[np.ndarray, "_n"]]:
    """Return the exponents (1/bohr) of the s and p functions of an atom, and of d functions if it has d electrons.

    They are geometric series from a little below the decay of the outermost orbital to a little above that of the
    innermost one, by Slater's rules; those of p and d functions end at two thirds.

    Args:
        number: nuclear charge Z.
        core: core electrons that are left out, one of `closed_cores(number)`.
    """
    inner = closed_cores(number)[core]
    occupied = [(n, angular) for n, angular in occupations(number) if (n, angular) not in inner]
    zeta = slater_orbitals(number, core)[0][:sum(2 * angular + 1 for _, angular in occupied)]
    low, high = 0.4 + 0.3 * zeta.min(), 1.4 * zeta.max()
    ends = (high, 0.65 * high, 0.65 * high)[:3 if any(angular == 2 for _, angular in occupied) else 2]
    return [np.geomspace(low, max(end, 1.2 * low), 1 + math.ceil(math.log(max(end / low, 1.2)) / math.log(ratio)))
            for end, ratio in zip(ends, _RATIO, strict=False)]


class SlaterFunctions(nn.Module):
    """The functions x^a y^b z^c exp(-zeta r) around every atom: s, p and where an atom needs them d functions.

    The exponents are trained.
    """

    @nn.compact
    def __call__(self, vectors: Float[Array, "n n_atoms 3"], distances: Float[Array, "n n_atoms"], system: System
                 ) -> Float[Array, "n _n_functions"]:
        require_molecule(system)
        exponents = [slater_exponents(*nucleus) for nucleus in nuclei(system.symbols, system.core)]
        start = np.concatenate([series for atom in exponents for series in atom]).astype(np.float32)
        zeta = jnp.abs(self.param("sigma", lambda key: jnp.asarray(start)).astype(distances.dtype))
        found, first = [], 0
        for place, atom in enumerate(exponents):
            for angular, series in enumerate(atom):
                size = np.asarray(_SIZE * series ** (angular + 1.5), np.float32)
                radial = size * jnp.exp(-zeta[first:first + len(series)] * distances[:, place, None])
                first += len(series)
                for axes in itertools.combinations_with_replacement(range(3), angular):
                    found.append(radial * math.prod(vectors[:, place, axis, None] for axis in axes))
        return jnp.concatenate(found, axis=1)


class SlaterSums(nn.Module):
    """The sums c_k chi of Slater functions that make orbitals; the coefficients start at zero.

    Called with (functions at n points, system, reach) it returns their values (n, n_determinants, n_orbitals), where
    `reach` multiplies the functions around each atom in each orbital, (n_determinants, n_orbitals, n_atoms).
    """

    @nn.compact
    def __call__(self, functions: Float[Array, "n n_functions"], system: System,
                 reach: Float[Array, "n_determinants n_orbitals n_atoms"]
                 ) -> Float[Array, "n n_determinants n_orbitals"]:
        kernel = self.param("kernel", nn.initializers.zeros_init(),
                            (functions.shape[-1], reach.shape[0] * reach.shape[1]), jnp.float32)
        weights = kernel * reach.reshape(-1, reach.shape[-1]).T[function_atoms(system)]
        sums = jnp.matmul(functions, weights.astype(functions.dtype), precision=jax.lax.Precision.HIGHEST)
        return sums.reshape((-1, *reach.shape[:2]))


def function_atoms(system: System) -> Int[np.ndarray, "_n_functions"]:
    """Return the index of the atom that each of the system's Slater functions is around."""
    counts = [sum(len(series) * math.comb(angular + 2, 2) for angular, series in enumerate(slater_exponents(*nucleus)))
              for nucleus in nuclei(system.symbols, system.core)]
    return np.repeat(np.arange(len(counts)), counts)


def fit_orbitals(functions: Float[np.ndarray, "n_points n_functions"], cusps: Float[np.ndarray, "_n n_functions"],
                 orbitals: Float[np.ndarray, "n_points n_orbitals"], density: Float[np.ndarray, "n_points"]
                 ) -> Float[np.ndarray, "n_functions n_orbitals"]:
    """Return the coefficients of functions that fit orbitals best, by linear least squares in float64.

    Args:
        functions: their values at the points.
        cusps: for each nucleus the part of every function in what must vanish for the cusp to be right.
        orbitals: the values to be fitted; deviations count relative to the root of the density.
        density: at the points, in electrons per cubic bohr.
    """
    weight = 1.0 / np.sqrt((density + _THIN) * len(density))
    others = np.concatenate([_CUSP * cusps, _RIDGE * np.eye(functions.shape[1])])
    rows = np.concatenate([weight[:, None] * functions, others]).astype(np.float64)
    targets = np.concatenate([weight[:, None] * orbitals, np.zeros((len(others), orbitals.shape[1]))])
    return np.linalg.lstsq(rows, targets.astype(np.float64), rcond=1e-7)[0]


def cusp_points(system: System) -> tuple[Float[np.ndarray, "n_nuclei 13 3"], Float[np.ndarray, "n_nuclei"]]:
    """Return points at and around the nuclei that have all their electrons, and the charges of these nuclei.

    There are the nucleus, six points at a distance of 0.01/Z, and six at twice that.
    """
    bare = [not nucleus.core for nucleus in nuclei(system.symbols, system.core)]
    charges = np.asarray(system.charges, np.float64)[bare]
    axes = np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3), 2.0 * np.eye(3), -2.0 * np.eye(3)])
    step = 0.01 / charges
    return np.asarray(system.atoms, np.float64)[bare][:, None] + step[:, None, None] * axes, charges


def cusp_rows(functions: Float[np.ndarray, "n_nuclei 13 n_functions"], charges: Float[np.ndarray, "n_nuclei"]
              ) -> Float[np.ndarray, "n_nuclei n_functions"]:
    """Return, from values at `cusp_points`, the parts of functions in (slope + Z value)/Z^(5/2) at each nucleus.

    The slope is that of the average over directions. Orbitals with Kato's cusp have a sum of 0
    (doi:10.1002/cpa.3160100201); the power of Z makes parts of the 1s function of any nucleus about 1.
    """
    functions = functions.astype(np.float64)
    value, near, far = functions[:, 0], functions[:, 1:7].mean(axis=1), functions[:, 7:].mean(axis=1)
    slope = (4.0 * near - 3.0 * value - far) * charges[:, None] / 0.02
    return (slope + charges[:, None] * value) / charges[:, None] ** 2.5
