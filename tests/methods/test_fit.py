"""The fit of Slater functions to Hartree-Fock: its orbitals are localized, and their determinant stays the same."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from compiling import quickly_compiled
from nnqmc.methods.fit import fit_to_hartree_fock, localized
from nnqmc.samplers import first_walkers
from nnqmc.scf import hartree_fock
from nnqmc.system import molecule
from nnqmc.wavefunctions import FermiNet, init_params
from nnqmc.wavefunctions.slater_functions import function_atoms

TWO_HELIUM = molecule("He 0 0 0; He 0 0 8", unit="bohr")


def test_orbitals_spread_over_two_atoms_come_apart() -> None:
    left, right = np.diag([1.0, 0.0]), np.diag([0.0, 1.0])
    spread = np.array([[1.0, 1.0], [1.0, -1.0]]) / np.sqrt(2.0)
    rotation = localized([spread.T @ left @ spread, spread.T @ right @ spread])
    np.testing.assert_allclose(np.abs(spread @ rotation), np.eye(2)[::-1] if abs((spread @ rotation)[0, 0]) < 0.5
                               else np.eye(2), atol=1e-12)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_rotation_is_orthogonal_and_no_pair_can_be_improved(seed: int) -> None:
    rng = np.random.default_rng(seed)
    orbitals = np.linalg.qr(rng.normal(size=(12, 4)))[0]
    populations = [orbitals[3 * atom:3 * atom + 3].T @ orbitals[3 * atom:3 * atom + 3] for atom in range(4)]
    rotation = localized(populations)
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(4), atol=1e-12)

    def measure(turn: np.ndarray) -> float:
        return sum(float(np.sum(np.diag(turn.T @ each @ turn) ** 2)) for each in populations)

    best = measure(rotation)
    assert best >= measure(np.eye(4))
    for first, second in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]:
        for angle in np.linspace(0.02, 1.55, 40):
            turn = np.eye(4)
            turn[np.ix_((first, second), (first, second))] = [[np.cos(angle), -np.sin(angle)],
                                                              [np.sin(angle), np.cos(angle)]]
            assert measure(rotation @ turn) <= best + 1e-9


def test_the_start_of_two_distant_atoms_has_no_ions() -> None:
    """With an electron of each spin on each atom psi is as before, and with both of one spin on one atom about 0."""
    network = FermiNet(layers=1, hidden_one=4, hidden_two=2, n_determinants=1, slater_functions=True)
    mean_field = hartree_fock(TWO_HELIUM)
    params = init_params(network, jax.random.key(0), TWO_HELIUM)
    params = fit_to_hartree_fock(network, params, TWO_HELIUM, mean_field, jax.random.key(1))
    reach = np.asarray(params["constants"]["orbital_layer"]["reach0"])[0]
    kernel = params["params"]["orbital_layer"]["slater0"]["kernel"] * reach.T[function_atoms(TWO_HELIUM)]
    functions = np.asarray(network.apply(params, jnp.asarray([[0.0, 0.0, 0.3], [0.0, 0.0, 8.3]]), TWO_HELIUM,
                                         method="functions"))
    on_left, on_right = np.abs(functions @ kernel[:, :2])
    assert (on_left.argmax() != on_right.argmax() and min(on_left) < 0.02 * max(on_left)
            and min(on_right) < 0.02 * max(on_right))
    walkers = first_walkers(jax.random.key(2), TWO_HELIUM, 200, mean_field.populations)
    log_psi = quickly_compiled(jax.vmap(lambda r: network.apply(params, r, TWO_HELIUM).logabs))
    ions = walkers.at[:, 0, 2].add(jnp.where(walkers[:, 0, 2] < 4.0, 8.0, -8.0))
    assert float(jnp.median(log_psi(walkers) - log_psi(ions))) > 4.0
    np.testing.assert_allclose(np.sort(reach, axis=1), np.broadcast_to([0.01, 1.0], reach.shape), atol=0.01)
    assert reach[0].argmax() != reach[1].argmax() and reach[2].argmax() != reach[3].argmax()
