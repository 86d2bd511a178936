"""Jumps between atoms and exchanges of spins keep the density, and find every distribution of electrons over atoms."""

from __future__ import annotations

from collections import Counter
from statistics import NormalDist

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnqmc.samplers import Metropolis
from nnqmc.samplers.jumps import jump_or_exchange
from nnqmc.typing import System, Walkers

ATOMS = jnp.asarray([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 3.0, 1.0]])
FAR = System(np.array([[-10.0, 0, 0], [10.0, 0, 0]]), np.ones(2), 1, 1, ("H", "H"))
N_WALKERS = 1000


def every_move(electrons, n_up):
    """All proposals from one walker, each as often as it is probable: 12 cells for each of the three random numbers."""
    cells = np.array([NormalDist().inv_cdf((k + 0.5) / 12) for k in range(12)])
    numbers = np.stack(np.meshgrid(cells, cells, cells, indexing="ij"), axis=-1).reshape(-1, 3)
    population = jnp.broadcast_to(electrons, (len(numbers), *electrons.shape))
    return jump_or_exchange(jnp.asarray(numbers, jnp.float32), population, ATOMS, jnp.asarray(n_up))


def counted(electrons, n_up):
    """How often each possible proposal is made, by its coordinates in hundredths of a bohr."""
    proposals, possible = every_move(electrons, n_up)
    rounded = np.round(100 * np.asarray(proposals)[np.asarray(possible)]).astype(int)
    return Counter(tuple(row.ravel().tolist()) for row in rounded)


@pytest.mark.parametrize(("n_up", "n_down"), [(1, 1), (2, 1), (1, 3), (3, 0), (0, 2), (1, 0)])
def test_a_move_and_its_way_back_are_equally_probable(n_up, n_down):
    """Counted over all moves, from positions between the atoms as well, where some jumps have no way back."""
    n = n_up + n_down
    impossible = 0
    for seed in range(4):
        electrons = jnp.asarray(np.random.default_rng(seed).uniform(-1.0, 3.0, size=(n, 3)).round(2), jnp.float32)
        here = tuple(np.round(100 * np.asarray(electrons)).astype(int).ravel().tolist())
        moves = counted(electrons, n_up)
        impossible += 12**3 - sum(moves.values())
        assert len(moves) > 1 or n == 1
        for there, times in moves.items():
            assert counted(jnp.asarray(there, jnp.float32).reshape(n, 3) / 100, n_up)[here] == times
    assert impossible > 0


def test_a_jump_keeps_the_place_relative_to_the_nucleus():
    electrons = ATOMS[jnp.asarray([0, 1, 1])] + jnp.asarray([0.1, -0.2, 0.3])
    proposals, possible = every_move(electrons, 3)
    moved = np.any(np.asarray(proposals != electrons), axis=-1)
    assert np.all(np.asarray(possible)) and np.all(moved.sum(axis=1) == 1)
    offsets = np.asarray(proposals)[moved][:, None] - np.asarray(ATOMS)
    np.testing.assert_allclose(np.min(np.abs(offsets - [0.1, -0.2, 0.3]).sum(axis=-1), axis=1), 0.0, atol=1e-6)


def test_an_exchange_swaps_two_electrons_of_opposite_spin():
    electrons = ATOMS + jnp.asarray([0.1, -0.2, 0.3])
    proposals, _ = every_move(electrons, 1)
    changed = np.any(np.asarray(proposals != electrons), axis=-1)
    swaps = np.asarray(proposals)[changed.sum(axis=1) == 2]
    assert 0.4 < len(swaps) / len(proposals) < 0.6
    found = {tuple(np.argmin(np.abs(row[:, None] - np.asarray(electrons)).sum(-1), axis=1).tolist()) for row in swaps}
    assert found == {(1, 0, 2), (2, 1, 0)}


@pytest.mark.slow
def test_no_move_changes_a_volume():
    electrons = jnp.asarray(np.random.default_rng(0).normal(size=(3, 3)), jnp.float32)
    for seed in range(12):
        numbers = jax.random.normal(jax.random.key(seed), (1, 3))
        jacobian = jax.jacobian(lambda r, z: jump_or_exchange(z, r[None], ATOMS, jnp.asarray(2))[0].ravel())(
            electrons, numbers).reshape(9, 9)
        assert abs(np.linalg.slogdet(jacobian)[1]) < 1e-6


SHARES = np.array([[0.1, 0.4], [0.3, 0.2]])
"""How often the up electron (row) and the down one (column) are on each atom: 0.1 and 0.2 of the walkers are ions."""


def shared_out(electrons):
    """A density that is a Gaussian around each atom for each electron, weighted by SHARES."""
    distance = jnp.sum((electrons[:, :, None] - jnp.asarray(FAR.atoms)) ** 2, axis=-1)
    up, down = -distance[:, 0], -distance[:, 1]
    return jax.nn.logsumexp(up[:, :, None] + down[:, None, :] + jnp.log(jnp.asarray(SHARES)), axis=(1, 2))


def run(sampler, n_steps, system=FAR, density=shared_out):
    """The places after every step, (n_steps, n_walkers, 2) numbers of atoms, the last state and the statistics."""
    start = jnp.asarray(system.atoms)[0] + 0.5 * jax.random.normal(jax.random.key(1), (N_WALKERS, 2, 3))
    state = sampler.init(Walkers(start.astype(jnp.float32), jnp.zeros(N_WALKERS)), system)

    def one(state, key):
        state, stats = sampler.step(key, density, state)
        return state, (state.walkers.electrons, stats)

    state, (electrons, stats) = jax.jit(lambda s, k: jax.lax.scan(one, s, k))(
        state, jax.random.split(jax.random.key(0), n_steps))
    return np.asarray(electrons), state, stats


@pytest.fixture(scope="module")
def jumping():
    return run(Metropolis(sweeps=4, width=0.5, jumps=0.4), 60)


def test_every_share_of_electrons_is_reached_and_kept(jumping):
    """All walkers start as ions on the first atom; without jumps they stay there."""
    electrons, _, stats = jumping
    places = (electrons[20:, :, :, 0] > 0).astype(int)
    for up in (0, 1):
        for down in (0, 1):
            chains = np.mean((places[..., 0] == up) & (places[..., 1] == down), axis=0)
            error = chains.std(ddof=1) / np.sqrt(N_WALKERS)
            assert abs(chains.mean() - SHARES[up, down]) < 4.5 * error and error < 0.01
    assert 0.2 < stats["jumped"].mean() < 0.9
    stay, _, stats = run(Metropolis(sweeps=2, width=0.5, jumps=0.0), 20)
    assert (stay[..., 0] < 0).all() and "jumped" not in stats


def test_the_place_around_the_nuclei_is_that_of_the_density(jumping):
    electrons, _, _ = jumping
    offset = electrons[20:] - np.where(electrons[20:, ..., :1] > 0, FAR.atoms[1], FAR.atoms[0])
    for values, expected in ((offset, 0.0), (offset**2, 0.5), (np.prod(offset, axis=2), 0.0)):
        chains = values.reshape(40, N_WALKERS, -1).mean(axis=(0, 2))
        assert abs(chains.mean() - expected) < 4.5 * chains.std(ddof=1) / np.sqrt(N_WALKERS)


def on_the_first(electrons):
    """A density on the first atom only, to which jumps to the other one are never accepted."""
    return -jnp.sum((electrons - jnp.asarray(FAR.atoms[0])) ** 2, axis=(1, 2))


def test_the_acceptance_that_decides_the_width_is_that_of_the_ordinary_moves():
    two_up = System(FAR.atoms, FAR.charges, 2, 0, FAR.symbols)
    _, _, stats = run(Metropolis(sweeps=6, jumps=0.6), 40, two_up, on_the_first)
    np.testing.assert_array_equal(stats["jumped"], 0.0)
    assert abs(stats["acceptance"][-10:].mean() - 0.4) < 0.04
    np.testing.assert_array_equal(stats["stuck"], 0.0)


@pytest.mark.slow
def test_jumps_say_nothing_of_whether_a_walker_is_stuck():
    """Exchanges of the two electrons are always accepted here, and far too long moves hardly ever."""
    _, state, stats = run(Metropolis(sweeps=10, jumps=0.7, width=1e3), 3, density=on_the_first)
    assert stats["jumped"].mean() > 0.4
    np.testing.assert_array_equal(state.per_walker.waiting, state.per_walker.waiting[0])
    assert 2 <= state.per_walker.waiting[0] < 20


def test_an_atom_is_sampled_as_if_there_were_no_jumps():
    atom = System(np.zeros((1, 3)), np.array([2.0]), 1, 1, ("He",))

    def helium(electrons):
        return -4.0 * jnp.sum(jnp.linalg.norm(electrons, axis=-1), axis=-1)

    with_jumps, without = (run(Metropolis(sweeps=2, jumps=jumps), 3, atom, helium)[0] for jumps in (0.5, 0.0))
    np.testing.assert_array_equal(with_jumps, without)
