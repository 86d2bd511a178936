"""Slopes at the cusps from local energies alone: of functions whose slopes are known; what is said of wrong ones."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnqmc.errors import InputError
from nnqmc.hamiltonian import molecular
from nnqmc.observables import always_observed, cusps
from nnqmc.statistics import ObservableEstimate, Quantity, estimate_observable
from nnqmc.system import molecule
from nnqmc.typing import SignedLog, System

LIH3 = System(np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 2.0]]), np.array([3.0, 1.0]), 2, 1, ("Li", "H"))
KEY = jax.random.key(0)


def psi(slopes):
    """Electrons around two nuclei whose slopes at nuclei, for opposite and for equal spins are these times Kato's."""
    def function(electrons, system):
        far = jnp.linalg.norm(electrons[:, None] - jnp.asarray(system.atoms), axis=-1)
        charges = slopes[0] * jnp.asarray(system.charges)
        one = jnp.sum(jnp.log(jnp.sum(jnp.exp(-charges * far) * jnp.array([1.0, 0.4]), axis=-1)))
        apart = [jnp.linalg.norm(electrons[i] - electrons[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
        pairs = sum(slope * r / (1.0 + r) for slope, r in zip((slopes[2] / 4, slopes[1] / 2, slopes[1] / 2), apart))
        node = electrons[0, 2] - electrons[1, 2]
        return SignedLog(jnp.sign(node), one + pairs + jnp.log(jnp.abs(node)))

    return function


def near_each_other(rng, n):
    """Walkers in which an electron is near a nucleus, or two electrons are near each other; the third one rests."""
    x = np.tile([[1.0, 0.5, -0.6], [-0.9, 0.3, 1.1], [0.4, -1.2, 2.9]], (n, 1, 1))
    away = rng.normal(size=(n, 3))
    away *= (0.3 * rng.random((n, 1)) / np.linalg.norm(away, axis=1, keepdims=True))
    kind = np.arange(n) % 4
    x[kind == 0, 0] = away[kind == 0]
    x[kind == 1, 1] = away[kind == 1] + np.array([0.0, 0.0, 2.0])
    x[kind == 2, 2] = x[kind == 2, 0] + away[kind == 2]
    x[kind == 3, 1] = x[kind == 3, 0] + away[kind == 3] * [0.3, 0.3, 1.0]  # off the node
    return jnp.asarray(x, jnp.float32)


def test_slopes_are_found_without_a_derivative_of_psi():
    """Of a two-centre function with a node and its slopes built in; the rest of psi bends within reach by a few %."""
    observable, walkers = cusps(LIH3, reach=0.3), near_each_other(np.random.default_rng(0), 4000)

    def one(electrons, slopes):
        function = psi(slopes)
        return observable.local(function, electrons, LIH3, KEY, molecular()(function, electrons, LIH3, KEY))

    compiled = jax.jit(jax.vmap(one, (0, None)))
    for slopes in ((1.0, 1.0, 1.0), (0.8, 0.5, 1.5)):
        values = compiled(walkers, jnp.array(slopes))
        found = estimate_observable({"sums": np.asarray(values["sums"]).reshape(50, 80, 4, 5)},
                                    finalize=observable.finalize)
        assert found.value is None
        for name, expected in zip(("nuclei", "opposite", "same"), slopes):
            value, error = (np.atleast_1d(x) for x in found.parts[name])
            assert (np.abs(value - expected) < 0.08 + 4.0 * error).all() and (error < 0.03).all(), (name, value, error)


def test_wrong_slopes_are_said_and_small_or_uncertain_differences_are_not():
    def judged(nuclei, error, opposite=1.0):
        parts = {"nuclei": Quantity(np.array([1.0, nuclei]), np.array([0.01, error])),
                 "opposite": Quantity(opposite, 0.01)}
        return cusps(LIH3).doubts(ObservableEstimate(None, None, parts=parts))

    assert judged(1.05, 0.001) == judged(0.7, 0.1) == judged(np.nan, np.nan) == ()
    (sentence,) = judged(0.7, 0.02)
    assert sentence.startswith("the slope of psi at a nucleus is 0.70 of what it has to be")
    assert "electrons of opposite spin is 0.50" in judged(1.0, 0.01, 0.5)[0]


def test_what_every_evaluation_measures_depends_on_what_it_could_find():
    trapped = molecular(trap=lambda psi, electrons, system, key: jnp.sum(electrons**2))
    assert always_observed(molecule("He")) == ("spin_squared", "cusps", "virial")
    assert always_observed(molecule("H")) == ("cusps", "virial")
    stretched = molecule("Li 0 0 0; H 0 0 4", unit="bohr")
    for hamiltonian in (None, molecular()):
        assert always_observed(molecule("LiH"), hamiltonian) == ("spin_squared", "cusps", "virial")
        assert always_observed(stretched, hamiltonian, ["dipole"]) == ("spin_squared", "cusps")
        assert always_observed(stretched, hamiltonian, ["forces_space_warp"]) == ("spin_squared", "cusps", "virial")
    assert always_observed(molecule("He"), trapped) == ("spin_squared",)
    assert always_observed(molecule("LiH", core=[2, 0])) == ("spin_squared",)
    with pytest.raises(InputError, match="differs in the term 'trap': leave cusps out"):
        cusps(molecule("He"), trapped)
