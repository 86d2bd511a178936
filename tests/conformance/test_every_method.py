"""What every method must be: a step that lowers the energy, can be resumed, and survives walkers without an energy.

A new method comes from the catalogue; SETTINGS has what suits a run of a hundred steps.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catalogued import catalogued
from nnqmc.hamiltonian import molecular
from nnqmc.methods import Step, init_state
from nnqmc.optimizers import adam
from nnqmc.samplers import Metropolis
from nnqmc.typing import SignedLog, System

SETTINGS = {"lava": {"warm_up": 10.0}}
HYDROGEN = System(np.zeros((1, 3)), np.ones(1), 1, 0, ("H",))
OPTIMIZER, SAMPLER = adam(0.03), Metropolis(sweeps=3, width=0.7)


def log_psi(params, electrons, system):
    """exp(-a r), hydrogen's ground state at a = 1."""
    r = jnp.linalg.norm(electrons[0])
    return SignedLog(jnp.ones((), r.dtype), -params["a"] * r)


def trouble(psi, electrons, system, key):
    """Infinite for a few walkers in a hundred."""
    return jnp.where(electrons[0, 0] > 1.5, jnp.inf, 0.0)


@pytest.fixture(scope="module", params=catalogued("method", SETTINGS).items(), ids=lambda item: item[0])
def run(request):
    """The step, compiled, and all states and statistics of 60 steps from a = 0.6."""
    made = request.param[1](log_psi, HYDROGEN, molecular(trouble=trouble), SAMPLER, OPTIMIZER)
    assert isinstance(made, Step)
    step = made.compiled()
    electrons = jnp.asarray(np.random.default_rng(0).normal(size=(128, 1, 3)), jnp.float32)
    state = init_state(jax.random.key(0), HYDROGEN, {"a": jnp.float32(0.6)}, electrons, SAMPLER, OPTIMIZER)
    states, rows = [state], []
    for _ in range(60):
        state, stats = step(state)
        states.append(state)
        rows.append(stats)
    return step, states, rows


def test_a_step_keeps_the_form_of_the_state_and_counts(run):
    _, states, _ = run
    first, last = states[0], states[-1]
    assert jax.tree.structure(first) == jax.tree.structure(last) and int(last.step) == 60
    for x, y in zip(jax.tree.leaves(first), jax.tree.leaves(last), strict=True):
        assert x.shape == y.shape and x.dtype == y.dtype


def test_its_statistics_are_what_a_run_needs(run):
    rows = run[2]
    assert {"energy", "variance", "clipped", "excluded", "rejected", "update_norm", "acceptance"} <= rows[0].keys()
    assert all(np.shape(value) == () and np.isfinite(value) for row in rows for value in row.values())


def test_it_finds_the_ground_state_although_some_walkers_have_no_energy(run):
    _, states, rows = run
    assert max(row["excluded"] for row in rows) > 0.0 and not any(row["rejected"] for row in rows)
    assert abs(states[-1].params["a"] - 1.0) < 0.1
    assert np.mean([row["energy"] for row in rows[-10:]]) < rows[0]["energy"]


def test_a_state_from_a_file_goes_on_to_the_same_bits(run):
    step, states, _ = run
    kept = jax.tree.map(lambda x: x if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else jnp.asarray(np.array(x)),
                        states[30])
    again, _ = step(kept)
    for x, y in zip(jax.tree.leaves(again), jax.tree.leaves(states[31]), strict=True):
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        np.testing.assert_array_equal(x, y)
