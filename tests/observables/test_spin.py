"""<S^2>: exact for determinants whose spin is known, right for mixtures, and with words where it isn't what was asked.

The wavefunctions here are written down by hand; that the same holds for permutations of any psi is the slow twin below.
"""

from __future__ import annotations

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnqmc.errors import InputError
from nnqmc.observables import spin_squared
from nnqmc.statistics import ObservableEstimate
from nnqmc.typing import SignedLog, System

pytestmark = pytest.mark.usefixtures("double_precision")
RNG = np.random.default_rng(0)


def orbitals(electrons, exponents):
    """(n_electrons, n_orbitals): s and p functions around the origin."""
    distance = jnp.linalg.norm(electrons, axis=-1, keepdims=True)
    shapes = jnp.concatenate([jnp.ones_like(distance), distance, electrons], axis=1)
    return shapes[:, : len(exponents)] * jnp.exp(-distance * jnp.asarray(exponents))


def determinants(up, down, electrons, system):
    """The product of one determinant for each spin, with the same or with other orbitals."""
    parts = [jnp.linalg.slogdet(orbitals(part, exponents)) for part, exponents in
             ((electrons[: system.n_up], up), (electrons[system.n_up:], down)) if len(exponents)]
    return SignedLog(*(f(jnp.stack([part[k] for part in parts])) for k, f in ((0, jnp.prod), (1, jnp.sum))))


def atom(n_up, n_down):
    return System(np.zeros((1, 3)), np.array([float(n_up + n_down)]), n_up, n_down, ("X",))


def local(psi, system, walkers):
    observable = spin_squared(system=system)
    one = jax.jit(jax.vmap(lambda r, key: observable.local(psi, r, system, key)))
    return np.asarray(one(jnp.asarray(walkers), jax.random.split(jax.random.key(0), len(walkers))))


def all_pairs(psi, system, walker):
    """S_z (S_z + 1) + n_down less the ratios of all pairs, one by one."""
    @jax.jit
    def value(electrons):
        sign, logabs = psi(electrons, system)
        return sign * jnp.exp(logabs)

    total = 0.25 * system.spin * (system.spin + 2) + system.n_down
    for i, j in itertools.product(range(system.n_up), range(system.n_up, system.n_electrons)):
        exchanged = walker.copy()
        exchanged[[i, j]] = walker[[j, i]]
        total -= value(exchanged) / value(walker)
    return total


@pytest.mark.parametrize(("n_up", "n_down", "exact"), [(2, 1, 0.75), (1, 2, 0.75), (3, 1, 2.0), (5, 2, 3.75),
                                                       (3, 3, 0.0)])
def test_a_restricted_determinant_has_the_exact_value_at_every_walker(n_up, n_down, exact):
    exponents = (2.0, 1.1, 0.9, 0.8, 0.7)
    psi = partial(determinants, exponents[:n_up], exponents[:n_down])
    found = local(psi, atom(n_up, n_down), RNG.normal(size=(20, n_up + n_down, 3)))
    np.testing.assert_allclose(found, exact, atol=1e-7)


@pytest.mark.slow
def test_the_mean_over_the_electron_that_is_drawn_is_that_of_all_pairs():
    """For a determinant without a spin of its own, and electrons in any order of importance."""
    for n_up, n_down in ((3, 2), (2, 3)):
        psi = partial(determinants, (2.0, 1.1, 0.9)[:n_up], (1.5, 0.6, 1.2)[:n_down])
        walker = RNG.normal(size=(n_up + n_down, 3))
        found = local(psi, atom(n_up, n_down), np.repeat(walker[None], 4000, axis=0))
        assert len(np.unique(found.round(9))) == min(n_up, n_down)
        spread = found.std() / np.sqrt(len(found))
        if n_up > n_down:
            exact = all_pairs(psi, atom(n_up, n_down), walker)
        else:  # S_z has the other sign: exchange the spins
            flipped = partial(determinants, (1.5, 0.6, 1.2), (2.0, 1.1))
            exact = all_pairs(flipped, atom(n_down, n_up), np.concatenate([walker[n_up:], walker[:n_up]]))
        assert abs(found.mean() - exact) < 4.0 * spread


@pytest.mark.parametrize(("sign", "exact"), [(1, 0.0), (-1, 2.0)])
def test_two_electrons_in_a_symmetric_or_antisymmetric_function_are_a_singlet_or_a_triplet(sign, exact):
    def psi(electrons, system):
        a, b = orbitals(electrons, (1.5, 0.7)).T
        value = a[0] * b[1] + sign * a[1] * b[0]
        return SignedLog(jnp.sign(value), jnp.log(jnp.abs(value)))

    np.testing.assert_allclose(local(psi, atom(1, 1), RNG.normal(size=(20, 2, 3))), exact, atol=1e-9)


def test_two_separated_atoms_with_one_electron_each_are_half_singlet_and_half_triplet():
    """Broken symmetry: <S^2> is 1 - s^2 with the overlap s of the two orbitals (Lowdin), here Gaussians."""
    distance = 1.5
    overlap = np.exp(-0.5 * distance**2)

    def psi(electrons, system):
        left, right = electrons[0], electrons[1] - jnp.array([distance, 0.0, 0.0])
        return SignedLog(jnp.ones(()), -jnp.sum(left**2) - jnp.sum(right**2))

    walkers = 0.5 * RNG.normal(size=(40000, 2, 3)) + np.array([[0.0, 0, 0], [distance, 0, 0]])
    found = local(psi, atom(1, 1), walkers)
    assert abs(found.mean() - (1.0 - overlap**2)) < 4.0 * found.std() / 200.0 < 0.02


def test_words_where_it_is_not_the_wanted_state():
    system = atom(1, 1)

    def notes(value, error, system=system):
        return spin_squared(system=system).judged(system, ObservableEstimate(value, error)).notes

    assert notes(0.02, 0.02) == notes(0.005, 0.0001) == () == notes(0.75, 0.0, atom(2, 1))
    (mixture,) = notes(0.98, 0.02)
    assert "the singlet that was asked for has 0" in mixture and "no reason to distrust the energy" in mixture
    (triplet,) = notes(2.0, 0.0)
    assert "S = 1.00" in triplet
    (impossible,) = notes(0.5, 0.02, atom(2, 1))
    assert "below 0.75" in impossible and "isn't antisymmetric" in impossible


@pytest.mark.parametrize(("n_up", "n_down", "exact"), [(1, 0, "0.75"), (0, 1, "0.75"), (2, 0, "2"), (3, 0, "3.75")])
def test_electrons_of_one_spin_need_no_measurement(n_up, n_down, exact):
    with pytest.raises(InputError, match=f"needs electrons of both spins, .* has one: <S\\^2> is {exact} exactly"):
        spin_squared(system=atom(n_up, n_down))


def test_the_steps_between_two_measurements_grow_with_the_number_of_electrons_unless_they_are_given():
    assert [spin_squared(system=atom(n, 1)).every for n in (1, 3, 20)] == [2, 6, 40]
    assert spin_squared(3, system=atom(4, 1)).every == 3 and spin_squared().every == 10
    with pytest.raises(InputError, match="every=0"):
        spin_squared(0)
