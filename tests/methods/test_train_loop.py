"""The training loop: how many steps it does, what it yields, and when it gives up."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnqmc.errors import NumericalError
from nnqmc.hamiltonian import molecular
from nnqmc.methods import burn_in, finish, init_state, make_step, train
from nnqmc.optimizers import adam
from nnqmc.samplers import Metropolis
from nnqmc.typing import SignedLog, System, TrainState


def counting_step(rejected_from=10**9, rejected_until=10**9):
    def step(state):
        bad = (state.step >= rejected_from) & (state.step < rejected_until)
        stats = {"energy": -1.0 * state.step, "rejected": bad, "excluded": jnp.where(bad, 0.2, 0.0)}
        return state._replace(step=state.step + 1, params=state.params + 1.0), stats
    return step


def start(step=0):
    return TrainState(jnp.asarray(step), jax.random.key(0), jnp.zeros(()), jnp.zeros(()), (), ())


def test_burn_in_forgets_where_walkers_started_and_leaves_everything_else():
    hydrogen = System(np.zeros((1, 3)), np.ones(1), 1, 0, ("H",))

    def log_psi(params, electrons, system):
        return SignedLog(jnp.ones(()), -params["a"] * jnp.linalg.norm(electrons[0]))

    sampler, optimizer = Metropolis(sweeps=10), adam()
    step = make_step(log_psi, hydrogen, molecular(), sampler, optimizer)
    far_away = jnp.full((500, 1, 3), 4.0)
    before = init_state(jax.random.key(0), hydrogen, {"a": jnp.float32(1.0)}, far_away, sampler, optimizer)
    seen = []
    after = burn_in(step, before, 30, key=jax.random.key(1), progress=lambda done, stats: seen.append((done, stats)))
    assert [done for done, _ in seen] == list(range(1, 31)) and 0.2 < float(seen[-1][1]["acceptance"]) < 0.6
    radii = np.linalg.norm(after.sampler.walkers.electrons[:, 0], axis=-1)
    assert abs(radii.mean() - 1.5) < 5.0 * radii.std() / np.sqrt(500)  # <r> of the density exp(-2r) is 3/2
    assert (int(after.step), float(after.params["a"]), float(after.average["a"])) == (0, 1.0, 1.0)
    again = burn_in(step, before, 30, key=jax.random.key(1))
    np.testing.assert_array_equal(again.sampler.walkers.electrons, after.sampler.walkers.electrons)
    other = burn_in(step, before, 30, key=jax.random.key(2))
    assert not np.array_equal(other.sampler.walkers.electrons, after.sampler.walkers.electrons)
    assert burn_in(step, before, 0, key=jax.random.key(1)) is before


def test_it_yields_every_step_until_all_are_done():
    seen = list(train(counting_step(), start(), 4))
    assert [done for done, _, _ in seen] == [1, 2, 3, 4]
    assert [stats["energy"] for _, _, stats in seen] == [0.0, -1.0, -2.0, -3.0]
    assert all(isinstance(value, float) for _, _, stats in seen for value in stats.values())
    assert [float(state.params) for _, state, _ in seen] == [1.0, 2.0, 3.0, 4.0]


def test_steps_already_done_count():
    assert [done for done, _, _ in train(counting_step(), start(3), 5)] == [4, 5]
    assert list(train(counting_step(), start(5), 5)) == []


def test_finish_collects_the_series_and_calls_back():
    called = []
    state, series = finish(train(counting_step(), start(), 3), lambda *row: called.append(row[0]))
    assert int(state.step) == 3 and called == [1, 2, 3]
    np.testing.assert_array_equal(series["energy"], [0.0, -1.0, -2.0])
    assert finish(train(counting_step(), start(3), 3)) == (None, {})


def test_it_gives_up_after_twenty_rejected_steps_in_a_row():
    with pytest.raises(NumericalError, match="20 training steps in a row up to step 25"):
        finish(train(counting_step(rejected_from=5), start(), 1000))


def test_it_gives_up_where_many_walkers_have_no_finite_energy():
    def step(state):
        state, stats = counting_step()(state)
        return state, stats | {"excluded": jnp.asarray(0.15)}

    with pytest.raises(NumericalError, match="15% of the walkers"):
        finish(train(step, start(), 1000))


def test_rejected_steps_between_good_ones_are_forgiven():
    steps = list(train(counting_step(rejected_from=5, rejected_until=24), start(), 40))
    assert len(steps) == 40 and sum(stats["rejected"] for _, _, stats in steps) == 19
