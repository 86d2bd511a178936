"""The Metropolis chain samples the density it is given, and survives densities that aren't finite."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnqmc.errors import InputError
from nnqmc.samplers import Metropolis
from nnqmc.typing import Sampler, System, Walkers

N_WALKERS = 500
NOWHERE = System(np.zeros((0, 3)), np.zeros(0), 1, 0, ())
HYDROGEN = System(np.zeros((1, 3)), np.ones(1), 1, 0, ("H",))
H2 = System(np.array([[-1.0, 0, 0], [1.0, 0, 0]]), np.array([4.0, 1.0]), 1, 0, ("Be", "H"))
PLAIN = {"local": False, "adapt": False}


def walkers(spread=1.0, n_walkers=N_WALKERS, seed=0):
    electrons = spread * np.random.default_rng(seed).normal(size=(n_walkers, 1, 3))
    return Walkers(jnp.asarray(electrons, jnp.float32), jnp.arange(n_walkers, dtype=jnp.float32))


def run(sampler, log_density, n_steps, start=None, key=0, system=HYDROGEN):
    """States and statistics after every step: the last state, electrons (n_steps, n_walkers, 3), statistics."""
    state = sampler.init(walkers() if start is None else start, system)

    def one(state, key):
        state, stats = sampler.step(key, log_density, state)
        return state, (state.walkers.electrons[:, 0], stats)

    state, (electrons, stats) = jax.jit(lambda s, k: jax.lax.scan(one, s, k))(
        state, jax.random.split(jax.random.key(key), n_steps))
    return state, np.asarray(electrons, np.float64), {name: np.asarray(v) for name, v in stats.items()}


def assert_mean(samples, expected, sigmas=4.5):
    """The mean over independent chains (n_steps, n_chains) is the expected one within its error."""
    chains = samples.mean(axis=0)
    error = chains.std(ddof=1) / np.sqrt(len(chains))
    assert abs(chains.mean() - expected) < sigmas * error, (chains.mean(), expected, error)
    assert error < 0.05 * max(abs(expected), 0.3), "the test is too weak to tell"


def gaussian(electrons):
    return -jnp.sum(electrons**2, axis=(1, 2))


def hydrogen(electrons):
    return -2.0 * jnp.linalg.norm(electrons[:, 0], axis=-1)


def lopsided(electrons):
    """A density on x with weights 3 : 1 at +1 and -1, and x and y correlated."""
    x, y, z = electrons[:, 0, 0], electrons[:, 0, 1], electrons[:, 0, 2]
    peaks = jnp.logaddexp(jnp.log(3.0) - 2.0 * (x - 1.0) ** 2, -2.0 * (x + 1.0) ** 2)
    return peaks - 0.5 * (y - x) ** 2 - 0.5 * z**2


@pytest.mark.parametrize("system", [NOWHERE, HYDROGEN, H2], ids=["no nucleus", "one nucleus", "two nuclei"])
def test_the_moments_of_a_gaussian_are_sampled(system):
    """With moves of one length and with moves that are shorter near nuclei, whatever the nuclei have to do with it."""
    _, r, _ = run(Metropolis(sweeps=5, width=0.7, adapt=False), gaussian, 60, system=system)
    r = r[10:]
    for axis in range(3):
        assert_mean(r[..., axis], 0.0)
        assert_mean(r[..., axis] ** 2, 0.5)
    assert_mean(r[..., 0] ** 4, 0.75)
    assert_mean(r[..., 0] ** 2 * r[..., 1] ** 2, 0.25)


@pytest.mark.parametrize("local", [True, False], ids=["local moves", "plain moves"])
def test_the_radius_of_hydrogen_is_sampled(local):
    _, r, _ = run(Metropolis(sweeps=5, width=0.7, adapt=False, local=local), hydrogen, 80)
    radius = np.linalg.norm(r[20:], axis=-1)
    for power, expected in ((1, 1.5), (2, 3.0), (-1, 1.0)):
        assert_mean(radius**power, expected)


def test_a_lopsided_density_keeps_its_weights_and_correlations():
    _, r, _ = run(Metropolis(sweeps=10, width=0.9, **PLAIN), lopsided, 80)
    x, y = r[20:, :, 0], r[20:, :, 1]
    assert_mean(x, 0.5)
    assert_mean(y, 0.5)
    assert_mean(x * y, 1.25)
    assert_mean(y**2, 2.25)


def test_only_finite_proposals_are_accepted():
    """The density is NaN behind one wall and infinite behind another: a half-space remains."""

    def walled(electrons):
        x, y = electrons[:, 0, 0], electrons[:, 0, 1]
        density = jnp.where(x < 0.0, jnp.nan, gaussian(electrons))
        return jnp.where(y < 0.0, jnp.where(x > 1.0, jnp.inf, -jnp.inf), density)

    start = walkers()
    start = start._replace(electrons=jnp.abs(start.electrons))
    state, r, stats = run(Metropolis(sweeps=5, width=0.6, **PLAIN), walled, 60, start)
    assert (r[..., :2] >= 0.0).all() and np.isfinite(r).all()
    assert np.isfinite(state.per_walker.log_density).all()
    assert 0.05 < stats["bad_proposals"].mean() < 0.95
    assert_mean(r[10:, :, 0], np.pi**-0.5)
    assert_mean(r[10:, :, 0] ** 2, 0.5)


@pytest.mark.parametrize("value", [jnp.nan, jnp.inf, -jnp.inf], ids=str)
def test_walkers_that_start_where_the_density_is_not_finite_get_out(value):
    def ringed(electrons):
        return jnp.where(jnp.sum(electrons**2, axis=(1, 2)) < 0.25, value, gaussian(electrons))

    start = Walkers(jnp.zeros((20, 1, 3)), jnp.zeros(20))
    state, r, _ = run(Metropolis(sweeps=10, width=0.3, local=False), ringed, 5, start)
    assert np.isfinite(state.per_walker.log_density).all()
    assert (np.sum(r[-1] ** 2, axis=-1) >= 0.25).all()


def test_the_width_adapts_until_the_acceptance_is_reached():
    for acceptance in (0.3, 0.7):
        sampler = Metropolis(width=5.0, acceptance=acceptance)
        _, _, stats = run(sampler, gaussian, 40)
        assert abs(stats["acceptance"][-10:].mean() - acceptance) < 0.04
        assert stats["width"][-1] < 2.0


def test_moves_are_short_near_a_heavy_nucleus_and_long_far_away():
    """One sweep of a flat density accepts nearly everything: the displacements are the moves."""
    places = {"at the heavy nucleus": -1.0, "at the light one": 1.0, "far away": 50.0}
    lengths = {}
    for name, x in places.items():
        start = Walkers(jnp.zeros((N_WALKERS, 1, 3)).at[..., 0].set(x), jnp.zeros(N_WALKERS))
        sampler = Metropolis(sweeps=1, jumps=0.0, width=0.01, adapt=False)
        _, r, stats = run(sampler, lambda electrons: 0.0 * electrons[:, 0, 0], 1, start, system=H2)
        assert stats["acceptance"][0] > 0.9
        lengths[name] = np.std(r[0] - [x, 0.0, 0.0])
    np.testing.assert_allclose(lengths["at the light one"], 0.01, rtol=0.1)
    np.testing.assert_allclose(lengths["at the heavy nucleus"], 0.01 / 4, rtol=0.1)
    np.testing.assert_allclose(lengths["far away"], 0.01 * 50 / (1 + 49 / 6), rtol=0.1)


def test_a_frozen_chain_keeps_its_width():
    adapting = Metropolis(width=1.3)
    _, _, stats = run(Metropolis(width=1.3, adapt=False), gaussian, 5)
    np.testing.assert_array_equal(stats["width"], np.float32(1.3))
    state, _, _ = run(adapting, gaussian, 5)
    kept, _ = jax.jit(lambda s: adapting.step(jax.random.key(9), gaussian, s))(adapting.freeze(state))
    assert kept.shared.width == state.shared.width != np.float32(1.3)


def test_walkers_that_can_not_move_are_reported():
    home = walkers().electrons

    def pinned(electrons):
        """The first half of the walkers has a density nowhere else."""
        away = jnp.any(electrons != home, axis=(1, 2)) & (jnp.arange(N_WALKERS) < N_WALKERS // 2)
        return jnp.where(away, -jnp.inf, gaussian(electrons))

    state, r, stats = run(Metropolis(sweeps=5, width=0.3, patience=20, adapt=False), pinned, 6, system=NOWHERE)
    np.testing.assert_array_equal(stats["stuck"][:3], 0.0)
    assert stats["stuck"][3] == stats["stuck"][5] == 0.5
    np.testing.assert_array_equal(r[-1, : N_WALKERS // 2], home[: N_WALKERS // 2, 0])
    assert int(state.per_walker.waiting[0]) == 30


def test_the_density_is_evaluated_anew_when_the_wavefunction_has_changed():
    sampler = Metropolis(sweeps=1, adapt=False)
    state, _, _ = run(sampler, gaussian, 2)
    changed, _ = jax.jit(lambda s: sampler.step(jax.random.key(0), hydrogen, s))(state)
    np.testing.assert_allclose(changed.per_walker.log_density, hydrogen(changed.walkers.electrons), rtol=1e-5)


def test_the_walk_is_a_function_of_the_key():
    _, first, _ = run(Metropolis(), gaussian, 2, key=1)
    _, again, _ = run(Metropolis(), gaussian, 2, key=1)
    _, other, _ = run(Metropolis(), gaussian, 2, key=2)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_weights_travel_with_their_walkers():
    state, _, _ = run(Metropolis(), gaussian, 2)
    np.testing.assert_array_equal(state.walkers.log_weight, np.arange(N_WALKERS))
    assert isinstance(Metropolis(), Sampler)


@pytest.mark.parametrize(("setting", "value"), [
    ("sweeps", 0), ("sweeps", 2.5), ("patience", 0), ("width", 0.0), ("width", float("nan")), ("acceptance", 0.0),
    ("acceptance", 1.0)])
def test_settings_that_make_no_chain_are_refused(setting, value):
    with pytest.raises((InputError, TypeError), match=setting):
        Metropolis(**{setting: value})
