"""The one-particle density matrix, and the natural orbitals and occupations that it has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nnqmc.observables.observable import Observable
from nnqmc.ranges import Between, check
from nnqmc.scf import all_orbitals, fix_sign, gaussian_basis, gaussians, integration_grid
from nnqmc.typing import BoundLogPsi, Electrons, Key, System


def density_matrix(system: System, orbitals: Annotated[int, Between(1, 200)] = 24,
                   points: Annotated[int, Between(1, 100)] = 2, every: Annotated[int, Between(1, 10**6)] = 5
                   ) -> Observable:
    """Return the one-particle density matrix in the Hartree-Fock basis, its natural occupations and orbitals.

    The value is (n, n) over the lowest n Hartree-Fock orbitals phi of spin up in cc-pVDZ, both spins added up:

        rho_ij = sum_k < phi_i(r')/f(r') phi_j(r_k) psi(x with r' in place of r_k)/psi(x) >,

    made symmetric, with r' from the density f, half that of Hartree-Fock and half that of all n orbitals, on the points
    of an integration grid, and sum over the electrons k. "occupations" (n,) are its eigenvalues from the largest down,
    and "orbitals" (n_functions, n) the coefficients of its eigenvectors over PySCF's functions, in columns, with the
    largest coefficient positive. "trace" is the number of electrons that these n orbitals hold. The noise of the matrix
    pushes eigenvalues apart, so occupations that aren't much larger than their error bars are too large or, at the end,
    too small, even negative; orbitals of nearly equal occupations mix, as their error bars say.
    `nnqmc.load(directory).write_molden` writes them for other programs. Source: P.-O. Löwdin, Phys. Rev. 97, 1474
    (1955), doi:10.1103/PhysRev.97.1474.

    Args:
        system: the molecule.
        orbitals: the most orbitals n in the basis.
        points: places r' for each walker; the electrons times this are the wavefunctions to evaluate.
        every: it is measured at every so many steps.

    Raises:
        InputError: a setting is out of range, or there is no basis set for the system.
        SCFError: Hartree-Fock doesn't converge.
    """
    check(density_matrix, orbitals=orbitals, points=points)
    molecule, coefficients, occupations = all_orbitals(system)
    coefficients, occupations = coefficients[:, :orbitals], occupations[:orbitals]
    basis = gaussian_basis(molecule)
    values = _values(basis, basis.to_own @ coefficients)
    density = _mixture(occupations)
    places, weights = integration_grid(system)
    at_places = weights * np.asarray(density(values(jnp.asarray(places, jnp.float32))), np.float64)
    shares = (np.cumsum(at_places) / at_places.sum()).astype(np.float32)

    def local(psi: BoundLogPsi, electrons: Electrons, system: System, key: Key) -> Float[Array, "n n"]:
        drawn = jnp.searchsorted(jnp.asarray(shares), jax.random.uniform(key, (points,), jnp.float32))
        there = jnp.asarray(places, electrons.dtype)[jnp.minimum(drawn, len(places) - 1)]
        new, old = values(there), values(electrons)
        new = new / density(new)[:, None] * at_places.sum().astype(np.float32)
        found = jnp.einsum("pi,pk,kj->ij", new, _ratios(psi, electrons, there, system), old, precision="highest")
        return (found + found.T) / (2.0 * points)

    return Observable("density_matrix", "", local, lambda mean, covariance: _natural(coefficients, mean), every=every)


def _values(basis: Any, coefficients: Float[np.ndarray, "n_functions n"]
                   ) -> Callable[[Electrons], Float[Array, "n_points n"]]:
    """Return the function from points in bohr to the values of orbitals there, in bohr^-3/2."""
    def values(points: Electrons) -> Float[Array, "n_points n"]:
        return jnp.matmul(gaussians(basis, points), jnp.asarray(coefficients, points.dtype), precision="highest")

    return values


def _mixture(occupations: Float[np.ndarray, "n"]) -> Callable[[Array], Array]:
    """Return the function from values of orbitals to the density that places are drawn from, in 1/bohr^3."""
    shares = 0.5 * occupations / occupations.sum() + 0.5 / len(occupations)
    return lambda values: jnp.matmul(values**2, jnp.asarray(shares, values.dtype), precision="highest")


def _ratios(psi: BoundLogPsi, electrons: Electrons, places: Float[Array, "n_points 3"], system: System
            ) -> Float[Array, "n_points n_electrons"]:
    """Return psi with one electron at another place over psi, for each place and each electron."""
    n, m = electrons.shape[0], places.shape[0]
    moved = jax.vmap(lambda place: jax.vmap(lambda k: electrons.at[k].set(place))(jnp.arange(n)))(places)
    everything = jnp.concatenate([electrons[None], moved.reshape(m * n, n, 3)])
    sign, logabs = jax.vmap(lambda walker: psi(walker, system))(everything)  # in one program, which compiles faster
    return (sign[1:] * sign[0] * jnp.exp(logabs[1:] - logabs[0])).reshape(m, n)


def _natural(coefficients: Float[np.ndarray, "n_functions n"], mean: Float[np.ndarray, "n n"]) -> dict[str, Any]:
    """Return the matrix, its eigenvalues and eigenvectors, and its trace."""
    occupations, vectors = np.linalg.eigh(mean)
    return {"value": mean, "occupations": occupations[::-1], "trace": np.trace(mean),
            "orbitals": fix_sign(coefficients @ vectors[:, ::-1])}
