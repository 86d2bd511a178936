"""A Hartree-Fock solution as plain arrays, and how it is taken out of PySCF."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int

# Angular normalisation that PySCF's Cartesian-to-spherical matrices leave to the s and p functions.
_S_AND_P_NORM = (np.sqrt(1 / (4 * np.pi)), np.sqrt(3 / (4 * np.pi)))


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class MeanField:
    """A single determinant and the Gaussian basis it is written in; every field is an array.

    Orbital k of one spin is a sum over Cartesian functions f with centre C_f and over primitives p,

        phi_k(r) = sum_f coefficients[f, k] (x - X_f)^a_f (y - Y_f)^b_f (z - Z_f)^c_f
                   sum_p contraction[p, f] exp(-exponents[p] |r - centres[p]|^2),

    with all normalisation and the transformation to real solid harmonics merged into the two matrices.

    Attributes:
        energy: Hartree-Fock energy in hartree, nuclear repulsion included.
        exponents: exponents of the primitives, bohr^-2.
        primitive_centres: where each primitive sits, bohr.
        contraction: weight of each primitive in the radial part of each Cartesian function.
        function_centres: where each Cartesian function sits, bohr.
        factors: `factors[s, f, d]` is 1 where the power of coordinate d in function f exceeds s, else 0: summed over s
            it is the power itself, and its first axis fixes the highest power statically.
        up_coefficients: occupied spin-up orbitals over the Cartesian functions.
        down_coefficients: the same for spin down.
        up_energies: orbital energies of the occupied spin-up orbitals, hartree.
        down_energies: the same for spin down.
        populations: Mulliken electrons of each spin (up, down) on each atom; non-negative, columns sum to n_up, n_down.
    """

    energy: Float[Array | np.ndarray, ""]
    exponents: Float[Array | np.ndarray, "n_primitives"]
    primitive_centres: Float[Array | np.ndarray, "n_primitives 3"]
    contraction: Float[Array | np.ndarray, "n_primitives n_functions"]
    function_centres: Float[Array | np.ndarray, "n_functions 3"]
    factors: Int[Array | np.ndarray, "highest_power n_functions 3"]
    up_coefficients: Float[Array | np.ndarray, "n_functions n_up"]
    down_coefficients: Float[Array | np.ndarray, "n_functions n_down"]
    up_energies: Float[Array | np.ndarray, "n_up"]
    down_energies: Float[Array | np.ndarray, "n_down"]
    populations: Float[Array | np.ndarray, "n_atoms 2"]


class GaussianBasis(NamedTuple):
    """The contracted Cartesian functions of a molecule, named as in `MeanField`."""

    exponents: np.ndarray
    primitive_centres: np.ndarray
    contraction: np.ndarray
    function_centres: np.ndarray
    factors: np.ndarray
    to_own: np.ndarray
    """(n_functions, n_own): PySCF's own functions, real spherical or Cartesian ones, over ours."""


def gaussian_basis(mol: Any) -> GaussianBasis:
    """Take the basis out of a PySCF `Mole`.

    Args:
        mol: a built `pyscf.gto.Mole`.

    Returns:
        The basis as float64 and int32 arrays, functions in PySCF's Cartesian order.
    """
    shells = [_shell(mol, index) for index in range(mol.nbas)]
    exponents = np.concatenate([shell.exponents for shell in shells])
    powers = np.concatenate([shell.powers for shell in shells])
    angular = np.concatenate([shell.angular_norm for shell in shells])
    contraction = np.zeros((len(exponents), len(powers)))
    row = column = 0
    for shell in shells:
        height, width = shell.contraction.shape
        contraction[row : row + height, column : column + width] = shell.contraction
        row, column = row + height, column + width
    steps = np.arange(max(1, int(powers.max())))
    to_own = np.eye(len(powers)) if mol.cart else mol.cart2sph_coeff(normalized="sp")
    return GaussianBasis(
        exponents=exponents,
        primitive_centres=np.repeat([s.centre for s in shells], [len(s.exponents) for s in shells], axis=0),
        contraction=contraction,
        function_centres=np.repeat([s.centre for s in shells], [len(s.powers) for s in shells], axis=0),
        factors=(powers[None] > steps[:, None, None]).astype(np.int32),
        to_own=angular[:, None] * to_own,
    )


class _Shell(NamedTuple):
    """The functions of one shell of a basis set."""

    centre: np.ndarray
    exponents: np.ndarray
    contraction: np.ndarray
    powers: np.ndarray
    angular_norm: np.ndarray


def _shell(mol: Any, index: int) -> _Shell:
    """Take one shell out of a PySCF `Mole`."""
    from pyscf import gto

    momentum = int(mol.bas_angular(index))
    exponents = np.asarray(mol.bas_exp(index))
    radial = np.asarray(mol.bas_ctr_coeff(index)) * gto.gto_norm(momentum, exponents)[:, None]
    pairs = [(x, y) for x in range(momentum, -1, -1) for y in range(momentum - x, -1, -1)]
    powers = np.array([(x, y, momentum - x - y) for x, y in pairs])
    n_contracted = radial.shape[1]
    norm = _S_AND_P_NORM[momentum] if momentum < 2 else 1.0
    return _Shell(
        centre=np.asarray(mol.bas_coord(index)),
        exponents=exponents,
        contraction=np.repeat(radial, len(powers), axis=1),
        powers=np.tile(powers, (n_contracted, 1)),
        angular_norm=np.full(n_contracted * len(powers), norm),
    )


def from_solution(mol: Any, energy: float, coefficients: Any, energies: Any, occupations: Any) -> MeanField:
    """Build a `MeanField` from what an unrestricted PySCF calculation holds.

    Args:
        mol: a built `pyscf.gto.Mole`.
        energy: total energy, hartree.
        coefficients: (2, n_functions of the `Mole`, n_orbitals), spin up first.
        energies: (2, n_orbitals), hartree.
        occupations: (2, n_orbitals), 0 or 1.

    Returns:
        The occupied orbitals in order of energy, with a reproducible sign.
    """
    basis = gaussian_basis(mol)
    occupied, levels = [], []
    for spin in range(2):
        filled = np.flatnonzero(np.asarray(occupations[spin]) > 0.5)
        filled = filled[np.argsort(np.asarray(energies[spin])[filled], kind="stable")]
        occupied.append(fix_sign(np.asarray(coefficients[spin])[:, filled]))
        levels.append(np.asarray(energies[spin])[filled])
    return MeanField(
        energy=np.array(energy, dtype=np.float64),
        exponents=basis.exponents,
        primitive_centres=basis.primitive_centres,
        contraction=basis.contraction,
        function_centres=basis.function_centres,
        factors=basis.factors,
        up_coefficients=basis.to_own @ occupied[0],
        down_coefficients=basis.to_own @ occupied[1],
        up_energies=levels[0],
        down_energies=levels[1],
        populations=np.stack([_mulliken(mol, orbitals) for orbitals in occupied], axis=1),
    )


def fix_sign(coefficients: np.ndarray) -> np.ndarray:
    """Return the coefficients (n_functions, n_orbitals) with the largest of each orbital positive.

    Ties within 1e-6 go to the first.
    """
    largest = np.argmax(np.round(np.abs(coefficients), 6), axis=0)
    signs = np.sign(np.take_along_axis(coefficients, largest[None], axis=0))
    return coefficients * signs


def _mulliken(mol: Any, orbitals: np.ndarray) -> np.ndarray:
    """Return the electrons per atom (n_atoms,) of one spin, never negative and summing to the number of orbitals."""
    overlap = mol.intor_symmetric("int1e_ovlp")
    per_function = np.einsum("ik,ij,jk->i", orbitals, overlap, orbitals)
    first, last = mol.aoslice_by_atom()[:, 2:4].T
    electrons = np.array([per_function[start:stop].sum() for start, stop in zip(first, last, strict=True)])
    electrons = np.maximum(electrons, 0.0)
    return electrons * (orbitals.shape[1] / max(electrons.sum(), 1e-300))
