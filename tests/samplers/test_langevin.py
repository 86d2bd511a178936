"""Moves along the gradient and of one electron: their probabilities are those of the formulas, there and back."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnqmc.samplers import Langevin, OneElectron
from nnqmc.samplers.langevin import density_and_velocity, drift, log_move
from nnqmc.samplers.metropolis import displaced
from nnqmc.typing import System, Walkers

LIH = System(np.array([[0.0, 0, 0], [3.0, 0, 0]]), np.array([3.0, 1.0]), 1, 1, ("Li", "H"))
HELIUM = System(np.zeros((1, 3)), np.array([2.0]), 1, 1, ("He",))


def moves(system, **settings):
    return Langevin(**settings).init(Walkers(jnp.zeros((1, 2, 3)), jnp.zeros(1)), system).shared


def gaussian(at, mean, length):
    """The logarithm of a normal density in three dimensions."""
    return -0.5 * np.sum((at - mean) ** 2) / length**2 - 3.0 * np.log(length)


def test_a_move_has_the_probability_of_umrigars_limited_drift():
    rng, width = np.random.default_rng(0), 0.4
    start, end, velocity = rng.normal(size=(3, 5, 2, 3))
    start[0, 0], velocity[1] = [0.001, 0.0, 0.0], 1e4  # at a nucleus, at a node
    shared = moves(LIH, width=width)
    found = log_move(*(jnp.asarray(x, jnp.float32) for x in (start, end, velocity)), shared)
    for k in range(5):
        expected = 0.0
        for r, to, v in zip(start[k], end[k], velocity[k]):
            offsets = r - LIH.atoms
            nearest = np.argmin(np.linalg.norm(offsets, axis=1))
            z, charge = offsets[nearest], LIH.charges[nearest]
            d, speed = np.linalg.norm(z), np.linalg.norm(v)
            length = width * (1 / charge + d) / (1 + d / 6)
            a = 0.5 * (1 + v @ z / (speed * d)) + (charge * d) ** 2 / (10 * (4 + (charge * d) ** 2))
            x = max(a, 1e-3) * (speed * length) ** 2
            step = v * length**2 * (np.sqrt(1 + 2 * x) - 1) / x
            step *= min(1.0, length / np.linalg.norm(step))
            expected += gaussian(to, r + step, length)
        assert found[k] == pytest.approx(expected, rel=1e-3)


def test_the_velocity_is_half_of_the_gradient_and_zero_where_there_is_none():
    electrons = jnp.asarray(np.random.default_rng(0).normal(size=(3, 2, 3)), jnp.float32).at[1, 0].set(0.0)
    _, velocity = density_and_velocity(
        lambda r: -4.0 * jnp.sum(jnp.linalg.norm(r, axis=-1), axis=-1), electrons)
    expected = -2.0 * electrons / jnp.linalg.norm(electrons, axis=-1, keepdims=True)
    np.testing.assert_allclose(velocity, jnp.where(jnp.isnan(expected), 0.0, expected), rtol=1e-5)
    assert np.all(np.linalg.norm(drift(electrons, 1e6 * velocity, moves(HELIUM)), axis=-1) < 10.0)


def test_one_electron_moves_and_all_are_as_probable_whatever_the_acceptance():
    noise = jax.random.normal(jax.random.key(0), (30_000, 11))
    electrons = jnp.ones((30_000, 3, 3))
    moved = np.asarray(OneElectron()._shaped(noise, electrons))
    is_moved = np.any(moved != 0.0, axis=-1)
    assert np.all(is_moved.sum(axis=1) == 1)
    np.testing.assert_array_equal(moved[is_moved], np.asarray(noise[:, :9]).reshape(-1, 3, 3)[is_moved])
    for likely in (np.sum(noise[:, -2:] ** 2, axis=1) < 1.0, np.sum(noise[:, -2:] ** 2, axis=1) > 1.0):
        share = is_moved[np.asarray(likely)].mean(axis=0)
        assert np.all(np.abs(share - 1 / 3) < 4.5 * np.sqrt(2 / 9 / likely.sum()))


def test_the_way_of_one_electron_and_its_way_back_differ_by_its_length_alone():
    shared, rng = moves(LIH, width=0.3), np.random.default_rng(1)
    noise = np.where([[True], [False]], rng.normal(size=(4, 2, 3)), 0.0)
    electrons = rng.normal(size=(4, 2, 3))
    proposal, asymmetry = displaced(*(jnp.asarray(x, jnp.float32) for x in (noise, electrons)), shared)
    np.testing.assert_array_equal(proposal[:, 1], electrons[:, 1].astype(np.float32))
    for k in range(4):
        lengths = []
        for r in (electrons[k, 0], np.asarray(proposal[k, 0])):
            distances = np.linalg.norm(r - LIH.atoms, axis=1)
            near = np.argmin(distances)
            lengths.append(0.3 * (1 / LIH.charges[near] + distances[near]) / (1 + distances[near] / 6))
        there, back = electrons[k, 0], np.asarray(proposal[k, 0])
        assert asymmetry[k] == pytest.approx(gaussian(there, back, lengths[1]) - gaussian(back, there, lengths[0]),
                                             abs=1e-3)


@pytest.mark.parametrize("sampler", [Langevin(sweeps=5, width=0.5), OneElectron(sweeps=8, width=0.4)],
                         ids=["langevin", "one"])
def test_the_density_at_a_nucleus_is_kept(sampler):
    """Hydrogen-like electrons, exp(-4 r): <r> = 3/4, <r^2> = 3/4, <1/r> = 2, from walkers that follow it already."""
    rng, n_walkers = np.random.default_rng(3), 2000
    direction = rng.normal(size=(n_walkers, 2, 3))
    radius = rng.gamma(3.0, 0.25, size=(n_walkers, 2, 1))
    electrons = radius * direction / np.linalg.norm(direction, axis=-1, keepdims=True)
    state = sampler.freeze(sampler.init(Walkers(jnp.asarray(electrons, jnp.float32), jnp.zeros(n_walkers)), HELIUM))

    def one(state, key):
        state, stats = sampler.step(
            key, lambda r: -4.0 * jnp.sum(jnp.linalg.norm(r, axis=-1), axis=-1), state)
        return state, (jnp.linalg.norm(state.walkers.electrons, axis=-1), stats["acceptance"])

    _, (r, acceptance) = jax.jit(lambda s, k: jax.lax.scan(one, s, k))(state, jax.random.split(jax.random.key(0), 40))
    assert 0.3 < acceptance.mean() < 0.95
    for values, expected in ((r, 0.75), (r**2, 0.75), (1.0 / r, 2.0)):
        chains = np.mean(np.asarray(values, np.float64), axis=(0, 2))
        assert abs(chains.mean() - expected) < 4.5 * chains.std(ddof=1) / np.sqrt(n_walkers)
