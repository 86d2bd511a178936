"""What every local operator must be: a finite number per walker that knows no order of equal electrons.

A new Hamiltonian term is one line in OPERATORS.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnqmc.hamiltonian import electron_electron, electron_nucleus, harmonic_trap, kinetic, molecular, nucleus_nucleus
from nnqmc.laplacian import loop_laplacian
from nnqmc.typing import LocalEnergy, SignedLog, System

OPERATORS = {
    "kinetic": kinetic(),
    "kinetic, loop": kinetic(loop_laplacian),
    "electron_electron": electron_electron,
    "electron_nucleus": electron_nucleus,
    "nucleus_nucleus": nucleus_nucleus,
    "harmonic_trap": harmonic_trap(0.5),
    "molecular": molecular(),
    "molecular in a trap": molecular(trap=harmonic_trap(0.5)),
}
LIH = System(np.array([[0.0, 0, 0], [0, 0, 3.0]]), np.array([3.0, 1.0]), 2, 2, ("Li", "H"))
WALKERS = np.random.default_rng(0).normal(size=(6, 4, 3))


def psi(electrons, system):
    """A determinant for each spin, of an exponential and a shifted one."""
    near = jnp.exp(-2.0 * jnp.linalg.norm(electrons - jnp.asarray(system.atoms[0]), axis=-1))
    far = jnp.exp(-jnp.linalg.norm(electrons - jnp.asarray(system.atoms[1]), axis=-1))
    psi = (near[0] * far[1] - near[1] * far[0]) * (near[2] * far[3] - near[3] * far[2])
    return SignedLog(jnp.sign(psi), jnp.log(jnp.abs(psi)))


@pytest.fixture(scope="module", params=OPERATORS.values(), ids=OPERATORS)
def values(request):
    """population, seed -> the operator's numbers for each walker."""
    with jax.enable_x64(True):
        compiled = jax.jit(lambda r, key: jax.vmap(lambda one: request.param(psi, one, LIH, key))(r))
        yield lambda r, seed=0: compiled(jnp.asarray(r), jax.random.key(seed))


def leaves(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def test_it_gives_finite_numbers_for_each_walker(values):
    found = values(WALKERS)
    for leaf in leaves(found):
        assert leaf.shape == (6,) and np.isfinite(leaf).all()
    if isinstance(found, LocalEnergy):
        np.testing.assert_allclose(found.total, sum(found.terms.values()), rtol=1e-12)


def test_the_order_of_electrons_of_one_spin_does_not_matter(values):
    for x, y in zip(leaves(values(WALKERS)), leaves(values(WALKERS[:, [1, 0, 3, 2]]))):
        np.testing.assert_allclose(x, y, rtol=1e-9)


def test_walkers_do_not_know_of_each_other(values):
    for x, y in zip(leaves(values(WALKERS)), leaves(values(WALKERS[::-1].copy()))):
        np.testing.assert_allclose(x, y[::-1], rtol=1e-12)


def test_the_same_key_gives_the_same_numbers(values):
    for x, y in zip(leaves(values(WALKERS, 3)), leaves(values(WALKERS, 3))):
        np.testing.assert_array_equal(x, y)
