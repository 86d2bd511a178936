"""The forces on the nuclei as derivatives of the energy at fixed parameters, by the space-warp transformation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nnqmc.hamiltonian import molecular
from nnqmc.observables.coulomb import rough_energy
from nnqmc.observables.forces import UNIT, ZVZB, Parts, clean, disagreement, doubts, local_zvzb, report
from nnqmc.observables.observable import Observable
from nnqmc.ranges import Between
from nnqmc.typing import BoundLogPsi, Electrons, Key, LocalEnergy, LocalOperator, System

_PARTS = Parts("d_energy", -1.0, "pulay")


def forces_space_warp(system: System, hamiltonian: LocalOperator | None = None,
                      every: Annotated[int, Between(1, 10**6)] = 4,
                      epsilon: Annotated[float, Between(0.0, 1.0)] = 0.02) -> Observable:
    """Return -dE/dR_I (n_atoms, 3) in hartree/bohr at fixed parameters, with electrons that follow the nuclei.

    Moving nucleus I by dR moves every electron by w_I(r_i) dR, with w_I = |r_i - R_I|^-4 / sum_J |r_i - R_J|^-4. With d
    the whole derivative along that, the dependence of psi and of the Hamiltonian on R included,

        F_I = -<d_I E_L> - 2 <(E_L - E) (d_I log|psi| + 1/2 div w_I)>.

    Near a node, where |grad log|psi|| > 1/epsilon, both means have a tail without a variance; it is damped by
    7 x^6 - 15 x^4 + 9 x^2 with x = 1/(epsilon |grad log|psi||), which leaves a bias of third order in epsilon. The
    derivative of the energy at fixed parameters is not that of the lowest energy unless the training is at its minimum.
    "sum", "torque" and "balanced" are as in `forces`; "difference" (n_atoms, 3) is what AC-ZVZB gives from the same
    walkers less these forces, balanced both, in hartree/bohr: both are right for the exact psi, so that a difference
    tells of a bias (but not how large it is). Beyond four error bars neither is trusted. One walker
    costs several times its local energy. Sources: Filippi, Umrigar, Phys. Rev. B 61, R16291 (2000),
    doi:10.1103/PhysRevB.61.R16291; Sorella, Capriotti, J. Chem. Phys. 133, 234111 (2010), doi:10.1063/1.3516208;
    Pathak, Wagner, AIP Adv. 10, 085213 (2020), doi:10.1063/5.0004008.

    Args:
        system: the molecule.
        hamiltonian: that of the evaluation; by default that of a molecule.
        every: they are measured at every so many steps.
        epsilon: distance to the nodes in bohr below which walkers are damped; 0 damps nothing.

    Raises:
        InputError: `every` or `epsilon` is out of range.
    """
    return Observable("forces_space_warp", UNIT, partial(_local, hamiltonian or molecular(), epsilon),
                      partial(_reported, system), every=every, doubts=doubts, compare=disagreement)


def warp_weights(electrons: Float[Array, "*batch 3"], atoms: Float[Array | np.ndarray, "n_atoms 3"]
                 ) -> Float[Array, "*batch n_atoms"]:
    """Return the share w_I that electrons have in the move of each nucleus; the shares of an electron add up to 1."""
    distances = jnp.linalg.norm(electrons[..., None, :] - jnp.asarray(atoms, electrons.dtype), axis=-1)
    return jax.nn.softmax(-4.0 * jnp.log(distances), axis=-1)


def warped(electrons: Float[Array, "*batch 3"], before: Float[Array | np.ndarray, "n_atoms 3"],
           after: Float[Array | np.ndarray, "n_atoms 3"]) -> Float[Array, "*batch 3"]:
    """Return electrons (bohr) that have followed the nuclei from `before` to `after`."""
    moves = jnp.asarray(after - before, electrons.dtype)
    return electrons + jnp.matmul(warp_weights(electrons, before), moves, precision="highest")


def _local(hamiltonian: LocalOperator, epsilon: float, psi: BoundLogPsi, electrons: Electrons, system: System, key: Key
           ) -> dict[str, Array]:
    """Return what both kinds of forces of one walker consist of, in bohr and hartree."""
    atoms = jnp.asarray(system.atoms, electrons.dtype)

    def energy(electrons: Electrons, atoms: Array) -> Array:
        return hamiltonian(psi, electrons, replace(system, atoms=atoms), key).total

    def log_abs(electrons: Electrons, atoms: Array) -> Array:
        return psi(electrons, replace(system, atoms=atoms)).logabs

    weights = warp_weights(electrons, atoms)

    def along(by_electrons: Electrons, by_atoms: Array) -> Array:
        """Return the derivatives (n_atoms, 3) along the warp of each nucleus."""
        return by_atoms + jnp.einsum("iI,ia->Ia", weights, by_electrons, precision="highest")

    total, d_energy = jax.value_and_grad(energy, argnums=(0, 1))(electrons, atoms)
    d_log = jax.grad(log_abs, argnums=(0, 1))(electrons, atoms)
    damping = _damping(epsilon * jnp.linalg.norm(d_log[0]))
    pulay = damping * (along(*d_log) + 0.5 * _divergence(weights, electrons, atoms))
    centred = total - rough_energy(system)
    both = local_zvzb(psi, electrons, system, key, LocalEnergy(total, {}))
    return both | {"d_energy": damping * along(*d_energy), "pulay": pulay, "energy_pulay": centred * pulay}


def _divergence(weights: Float[Array, "n_electrons n_atoms"], electrons: Electrons, atoms: Float[Array, "n_atoms 3"]
                ) -> Float[Array, "n_atoms 3"]:
    """Return sum_i dw_I(r_i)/dr_i, of whose components div w_I consists for a move of nucleus I along each axis."""
    vectors = electrons[:, None] - atoms
    slopes = -4.0 * vectors / jnp.sum(vectors**2, axis=-1, keepdims=True)
    pairs = weights[:, :, None] * weights[:, None, :]
    return jnp.einsum("iIJ,iIJa->Ia", pairs, slopes[:, :, None] - slopes[:, None], precision="highest")


def _damping(inverse: Array) -> Array:
    """Return the factor of a walker near a node, from 1/x with x its distance to the node over epsilon."""
    squared = 1.0 / jnp.maximum(inverse, 1.0) ** 2
    return jnp.where(inverse > 1.0, squared * (9.0 + squared * (-15.0 + 7.0 * squared)), 1.0)


def _reported(system: System, mean: Mapping[str, Any], covariance: np.ndarray) -> dict[str, Any]:
    """Return what `forces` reports, and the difference from AC-ZVZB; errors are found by the jackknife."""
    found, other = (report(system, parts, mean, covariance) for parts in (_PARTS, ZVZB))
    both = [getattr(forces.get("balanced"), "value", forces["value"]) for forces in (other, found)]
    return found | {"difference": clean(both[0] - both[1])}
