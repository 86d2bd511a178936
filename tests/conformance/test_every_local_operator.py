"""What every local operator must be: a finite number per walker that knows no order of equal electrons.

Hamiltonian terms come from the catalogue; SETTINGS has what a term needs that has no default.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from compiling import quickly_compiled
from nnqmc import catalog
from nnqmc.hamiltonian import hamiltonian, harmonic_trap, kinetic, molecular
from nnqmc.laplacian import forward_laplacian, loop_laplacian
from nnqmc.typing import LocalEnergy, SignedLog, System

LIH = System(np.array([[0.0, 0, 0], [0, 0, 3.0]]), np.array([3.0, 1.0]), 2, 2, ("Li", "H"))
WALKERS = np.random.default_rng(0).normal(size=(6, 4, 3))


SETTINGS = {"harmonic_trap": {"omega": 0.5}}


def term(name):
    """The local operator of a term: what its maker makes, or the term itself if it has nothing to set."""
    if catalog.accepts("term", name, "electrons"):
        return catalog.find("term", name)
    return catalog.bind("term", {"name": name, **SETTINGS.get(name, {})}, system=LIH, laplacian=forward_laplacian)()


def noisy(psi, electrons, system, key):
    """An operator with random numbers: the mean of its noise and the potential of a trap."""
    return 0.1 * jax.random.normal(key, (5,)).mean() + 0.5 * jnp.sum(electrons**2)


OPERATORS = {name: operator for name in catalog.KINDS["term"].makers if (operator := term(name)) is not None} | {
    "kinetic, loop": kinetic(loop_laplacian),
    "molecular": molecular(),
    "molecular in a trap": molecular(trap=harmonic_trap(0.5)),
    "noisy": noisy,
    "noisy in a sum": hamiltonian({"first": noisy, "second": noisy}),
}


def psi(electrons, system):
    """A determinant for each spin, of an exponential and a shifted one."""
    near = jnp.exp(-2.0 * jnp.linalg.norm(electrons - jnp.asarray(system.atoms[0]), axis=-1))
    far = jnp.exp(-jnp.linalg.norm(electrons - jnp.asarray(system.atoms[1]), axis=-1))
    psi = (near[0] * far[1] - near[1] * far[0]) * (near[2] * far[3] - near[3] * far[2])
    return SignedLog(jnp.sign(psi), jnp.log(jnp.abs(psi)))


@pytest.fixture(scope="module", params=OPERATORS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def values(name):
    """population, seed -> the operator's numbers for each walker."""
    with jax.enable_x64(True):
        compiled = quickly_compiled(lambda r, key: jax.vmap(lambda one: OPERATORS[name](psi, one, LIH, key))(r))
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


def test_its_numbers_are_a_function_of_the_key(name, values):
    again, other = (leaves(values(WALKERS, seed)) for seed in (3, 4))
    for x, y, z in zip(leaves(values(WALKERS, 3)), again, other):
        np.testing.assert_array_equal(x, y)
        assert np.array_equal(x, z) != name.startswith("noisy")


def test_terms_of_a_sum_have_random_numbers_of_their_own():
    found = jax.jit(OPERATORS["noisy in a sum"], static_argnums=0)(psi, WALKERS[0], LIH, jax.random.key(0))
    assert found.terms["first"] != found.terms["second"]
