"""Coulomb's law between electrons and nuclei."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnqmc.hamiltonian import electron_electron, electron_nucleus, nucleus_nucleus
from nnqmc.typing import System

pytestmark = pytest.mark.usefixtures("double_precision")
TERMS = [electron_electron, electron_nucleus, nucleus_nucleus]
RNG = np.random.default_rng(0)
WATER = System(RNG.normal(size=(3, 3)), np.array([8.0, 1.0, 1.0]), 5, 5, ("O", "H", "H"))
ELECTRONS = RNG.normal(size=(10, 3))


def no_psi(electrons, system):
    raise NotImplementedError("potentials don't look at the wavefunction")


def value(term, electrons, system):
    return float(term(no_psi, jnp.asarray(electrons), system, jax.random.key(0)))


def energy_of_pairs(first, second=None, charges_first=None, charges_second=None):
    total = 0.0
    for i, x in enumerate(first):
        for j, y in enumerate(first[:i] if second is None else second):
            total += charges_first[i] * charges_second[j] / np.linalg.norm(x - y)
    return total


def test_the_terms_are_sums_over_pairs_of_charges():
    minus = -np.ones(10)
    expected = [energy_of_pairs(ELECTRONS, None, minus, minus),
                energy_of_pairs(ELECTRONS, WATER.atoms, minus, WATER.charges),
                energy_of_pairs(WATER.atoms, None, WATER.charges, WATER.charges)]
    np.testing.assert_allclose([value(term, ELECTRONS, WATER) for term in TERMS], expected, rtol=1e-12)


@pytest.mark.parametrize("term", TERMS, ids=lambda f: f.__name__)
def test_no_term_depends_on_the_order_of_particles_or_the_place_of_the_molecule(term):
    order, shift = RNG.permutation(3), RNG.normal(size=3)
    other = replace(WATER, atoms=WATER.atoms[order] + shift, charges=WATER.charges[order],
                    symbols=tuple(WATER.symbols[i] for i in order))
    expected = value(term, ELECTRONS, WATER)
    np.testing.assert_allclose(value(term, RNG.permutation(ELECTRONS) + shift, other), expected, rtol=1e-12)


def test_a_lone_electron_and_a_lone_nucleus_repel_nothing():
    hydrogen = System(np.zeros((1, 3)), np.ones(1), 1, 0, ("H",))
    assert value(electron_electron, np.ones((1, 3)), hydrogen) == 0.0
    assert value(nucleus_nucleus, np.ones((1, 3)), hydrogen) == 0.0


def test_minus_the_gradient_of_the_nuclear_repulsion_is_a_repulsive_force():
    pair = System(np.array([[0.0, 0, 0], [0, 0, 2.0]]), np.array([3.0, 1.0]), 2, 2, ("Li", "H"))

    def energy(atoms):
        return nucleus_nucleus(no_psi, jnp.zeros((4, 3)), replace(pair, atoms=atoms), jax.random.key(0))

    force = -jax.grad(energy)(jnp.asarray(pair.atoms))
    np.testing.assert_allclose(force, [[0, 0, -0.75], [0, 0, 0.75]], atol=1e-12)
