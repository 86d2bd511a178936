"""Hartree-Fock orbitals and their Slater determinant, evaluated in JAX."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from nnqmc.errors import InputError
from nnqmc.numerics import slogdet
from nnqmc.scf.mean_field import GaussianBasis, MeanField
from nnqmc.typing import Electrons, SignedLog, System


def orbitals(
    mean_field: MeanField, electrons: Electrons
) -> tuple[Float[Array, "n_electrons n_up"], Float[Array, "n_electrons n_down"]]:
    """Evaluate every occupied orbital at every electron.

    The work is one exponential per electron and primitive, one per-coordinate product and two matrix products, in the
    precision of `electrons`. Values and derivatives of any order are finite everywhere, at the nuclei too.

    Args:
        mean_field: the orbitals; may be a traced argument of `jax.jit`.
        electrons: positions in bohr, of any number of points.

    Returns:
        Values (n_electrons, n_up) of the spin-up and (n_electrons, n_down) of the spin-down orbitals, in bohr^-3/2.
    """
    both = (mean_field.up_coefficients, mean_field.down_coefficients)
    coefficients = jnp.concatenate([jnp.asarray(matrix, electrons.dtype) for matrix in both], axis=1)
    values = jnp.matmul(gaussians(mean_field, electrons), coefficients, precision="highest")
    n_up = mean_field.up_coefficients.shape[1]
    return values[:, :n_up], values[:, n_up:]


def slater_log_psi(mean_field: MeanField, electrons: Electrons, system: System) -> SignedLog:
    """Return sign and log|psi| of the Hartree-Fock determinant psi = det[phi_up(r_up)] det[phi_down(r_down)].

    It is a `LogPsi` whose parameters are the mean field. It is not normalised: the integral of psi^2 is n_up! n_down!.

    Args:
        mean_field: the occupied orbitals.
        electrons: (n_electrons, 3) in bohr, spin up first.
        system: fixes the number of electrons of each spin.

    Returns:
        Two scalars; a spin without electrons contributes a factor of one.

    Raises:
        InputError: the mean field belongs to other electron numbers.
    """
    given = (mean_field.up_coefficients.shape[1], mean_field.down_coefficients.shape[1])
    if given != (system.n_up, system.n_down):
        raise InputError(
            f"the mean field occupies {given[0]} up and {given[1]} down orbitals, but the system has {system.n_up} up "
            f"and {system.n_down} down electrons: run hartree_fock on this system"
        )
    up, down = orbitals(mean_field, electrons)
    up_sign, up_log = _slogdet(up[: system.n_up])
    down_sign, down_log = _slogdet(down[system.n_up :])
    return SignedLog(up_sign * down_sign, up_log + down_log)


def gaussians(basis: MeanField | GaussianBasis, electrons: Electrons) -> Float[Array, "n_electrons n_functions"]:
    """Return the contracted Cartesian Gaussians of a mean field or a basis at every electron (bohr)."""
    dtype = electrons.dtype
    offset = electrons[:, None, :] - jnp.asarray(basis.primitive_centres, dtype)
    squared = jnp.sum(offset * offset, axis=-1)
    primitives = jnp.exp(-jnp.asarray(basis.exponents, dtype) * squared)
    radial = jnp.matmul(primitives, jnp.asarray(basis.contraction, dtype), precision="highest")
    offset = electrons[:, None, :] - jnp.asarray(basis.function_centres, dtype)
    present = jnp.asarray(basis.factors) > 0
    for step in range(present.shape[0]):
        factor = jnp.where(present[step], offset, 1)
        radial = radial * (factor[..., 0] * factor[..., 1] * factor[..., 2])
    return radial


def _slogdet(matrix: Float[Array, "n n"]) -> SignedLog:
    """Return sign and logarithm of a determinant; the empty one is 1, and a 1 x 1 one needs no factorisation."""
    if matrix.shape[0] == 0:
        return SignedLog(jnp.ones((), matrix.dtype), jnp.zeros((), matrix.dtype))
    if matrix.shape[0] == 1:
        return SignedLog(jnp.sign(matrix[0, 0]), jnp.log(jnp.abs(matrix[0, 0])))
    return slogdet(matrix)
