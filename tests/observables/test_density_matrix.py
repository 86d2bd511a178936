"""Density matrix and pair density of functions for which both are known."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnqmc.errors import InputError
from nnqmc.observables import density_matrix, pair_density
from nnqmc.scf import all_orbitals, gaussian_basis, gaussians
from nnqmc.statistics import estimate_observable
from nnqmc.system import molecule
from nnqmc.typing import SignedLog

KEY = jax.random.key(0)
H2 = molecule("H2")


def entangled(share, electrons, system):
    """sqrt(1 - share) g(1) g(2) - sqrt(share) u(1) u(2) of the two lowest orbitals of H2: occupations 2 - 2 share."""
    g, u = values(electrons)[:, :2].T
    value = (1.0 - share) ** 0.5 * g[0] * g[1] - share**0.5 * u[0] * u[1]
    return SignedLog(jnp.sign(value), jnp.log(jnp.abs(value)))


def values(points):
    return jnp.matmul(gaussians(BASIS, points), jnp.asarray(BASIS.to_own @ COEFFICIENTS, jnp.float32))


MOLECULE, COEFFICIENTS, OCCUPATIONS = all_orbitals(H2)
BASIS = gaussian_basis(MOLECULE)


def walk(psi, steps, n):
    """Walkers of psi^2 after every ten Metropolis steps: (steps, n, 2, 3)."""
    density = jax.vmap(lambda x: 2.0 * psi(x, H2).logabs)

    def move(x, key):
        jump, accept = jax.random.split(key)
        new = x + 0.7 * jax.random.normal(jump, x.shape)
        ratio = density(new) - density(x)
        return jnp.where((jnp.log(jax.random.uniform(accept, ratio.shape)) < ratio)[:, None, None], new, x), None

    def row(x, keys):
        x, _ = jax.lax.scan(move, x, keys)
        return x, x

    keys = jax.random.split(jax.random.key(1), (steps, 10))
    return jax.lax.scan(row, jax.random.normal(jax.random.key(2), (n, 2, 3)), keys)[1][5:]


def test_orbitals_of_the_basis_are_orthonormal_and_the_lowest_are_occupied():
    overlap = COEFFICIENTS.T @ MOLECULE.intor_symmetric("int1e_ovlp") @ COEFFICIENTS
    np.testing.assert_allclose(overlap, np.eye(len(overlap)), atol=1e-9)
    np.testing.assert_allclose(OCCUPATIONS, [2.0] + [0.0] * 9, atol=1e-9)


@pytest.mark.slow
@pytest.mark.ci
def test_two_determinants_have_their_occupations_and_orbitals_with_error_bars_that_hold():
    """Exactly 2 (1 - 0.2) and 2 0.2 in the two lowest orbitals, whatever psi is normalised to."""
    psi = partial(entangled, 0.2)
    walkers = jax.jit(partial(walk, psi, 45), static_argnums=0)(400)
    observable = density_matrix(H2, orbitals=4)
    keys = jax.random.split(KEY, walkers.shape[:2])
    series = jax.jit(jax.vmap(jax.vmap(lambda x, key: observable.local(psi, x, H2, key))))(walkers, keys)
    found = estimate_observable(series, finalize=observable.finalize)
    expected = np.diag([1.6, 0.4, 0.0, 0.0])
    assert (np.abs(found.value - expected) < 4.0 * found.error + 1e-3).all() and np.max(found.error) < 0.06
    assert abs(found.parts["trace"].value - 2.0) < 4.0 * found.parts["trace"].error + 2e-3
    value, error = found.parts["occupations"]
    assert (np.abs(value[:2] - [1.6, 0.4]) < 4.0 * error[:2]).all() and (np.diff(value) < 0.0).all()
    value, error = found.parts["orbitals"]
    assert value.shape == (10, 4) and (np.abs(value[:, 0] - COEFFICIENTS[:, 0]) < 4.0 * error[:, 0] + 0.02).all()


def test_pairs_are_counted_in_shells_by_their_spins():
    lih, x = molecule("LiH"), np.random.default_rng(0).normal(size=(500, 4, 3)).astype(np.float32)

    def stranger(electrons, system):
        return SignedLog(jnp.ones(()), jnp.zeros(()))

    observable = pair_density(shells=12, reach=3.0, system=lih)
    values = jax.jit(jax.vmap(lambda walker: observable.local(stranger, walker, lih, KEY)))(x)
    found = estimate_observable({name: np.asarray(v).reshape(50, 10, -1) for name, v in values.items()},
                                finalize=observable.finalize)
    edges, outside = found.parts["edges"].value, 0.0
    for name, pairs in (("same", [(0, 1), (2, 3)]), ("opposite", [(0, 2), (0, 3), (1, 2), (1, 3)])):
        apart = np.concatenate([np.linalg.norm(x[:, i] - x[:, j], axis=-1) for i, j in pairs])
        counts = np.histogram(apart, np.append(edges, np.inf))[0] / len(x)
        density = counts[:-1] / (4.0 / 3.0 * np.pi * np.diff(edges**3))
        np.testing.assert_allclose(found.parts[name].value, density, rtol=1e-4, atol=1e-6)
        outside += counts[-1]
    np.testing.assert_allclose(found.value, found.parts["same"].value + found.parts["opposite"].value, rtol=1e-9)
    assert found.parts["outside"].value == pytest.approx(outside)
    with pytest.raises(InputError, match="pair_density needs two electrons, and H has one: leave pair_density out"):
        pair_density(system=molecule("H"))
