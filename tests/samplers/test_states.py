"""What belongs to each walker is told from what is shared by its place, whatever the lengths of the axes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnqmc.errors import InputError
from nnqmc.samplers import check_state, resized, selected
from nnqmc.typing import SamplerState, Walkers

N = 4


class Marked(NamedTuple):
    """Walkers with more arrays of their own, one of which has as many columns as there are walkers."""

    electrons: jax.Array
    log_weight: jax.Array
    square: jax.Array
    key: jax.Array
    more: dict


def state():
    """A population of four, and shared arrays whose leading axis is four as well."""
    number = jnp.arange(N)
    walkers = Marked(jnp.broadcast_to(number[:, None, None], (N, 2, 3)).astype(float), 0.1 * number,
                     jnp.broadcast_to(number[:, None], (N, N)), jax.random.split(jax.random.key(0), N),
                     {"age": 10 * number})
    return SamplerState(walkers, {"histogram": jnp.arange(N), "table": jnp.eye(N), "width": jnp.float32(0.3)})


def assert_rows(found, expected):
    """Every array of a walker is that of the walker of this number."""
    walkers, parent = found.per_walker, np.asarray(expected)
    assert found.n_walkers == len(parent)
    np.testing.assert_array_equal(walkers.electrons[:, 0, 0], parent)
    np.testing.assert_array_equal(walkers.square, np.tile(parent[:, None], N))
    np.testing.assert_array_equal(walkers.more["age"], 10 * parent)
    np.testing.assert_array_equal(walkers.log_weight, np.asarray(state().walkers.log_weight)[parent])
    np.testing.assert_array_equal(jax.random.key_data(walkers.key), jax.random.key_data(state().per_walker.key)[parent])
    for ours, before in zip(jax.tree.leaves(found.shared), jax.tree.leaves(state().shared)):
        np.testing.assert_array_equal(ours, before)


@pytest.mark.parametrize("index", [[2, 2, 0], [3, 1, 0, 2], [1], [0, 1, 2, 3, 3, 3]], ids=str)
def test_walkers_are_selected_with_everything_that_belongs_to_them(index):
    assert_rows(selected(state(), jnp.asarray(index)), index)


@pytest.mark.parametrize(("n_walkers", "parents"), [(2, [0, 1]), (4, [0, 1, 2, 3]), (6, [0, 1, 2, 3, 0, 1]),
                                                    (9, [0, 1, 2, 3, 0, 1, 2, 3, 0])])
def test_a_population_is_made_of_the_walkers_that_there_are_in_turn(n_walkers, parents):
    assert_rows(resized(state(), n_walkers), parents)
    assert_rows(jax.jit(resized, static_argnums=1)(state(), n_walkers), parents)


@pytest.mark.parametrize("n_walkers", [0, -3])
def test_no_walkers_are_refused(n_walkers):
    with pytest.raises(InputError, match=f"n_walkers is {n_walkers}: it must be at least 1"):
        resized(state(), n_walkers)


def test_walkers_alone_are_enough():
    plain = SamplerState(Walkers(jnp.zeros((3, 1, 3)), jnp.arange(3.0)), ())
    assert check_state(plain) is plain and plain.n_walkers == 3 and isinstance(plain.walkers, Walkers)
    np.testing.assert_array_equal(resized(plain, 5).walkers.log_weight, [0, 1, 2, 0, 1])


def test_a_state_of_another_form_is_refused_by_name():
    with pytest.raises(InputError, match=r"init returned a SimpleNamespace: it must return .*SamplerState"):
        check_state(SimpleNamespace(walkers=state().walkers))
    with pytest.raises(InputError, match=r"returned SamplerState\(dict, \.\.\.\): .* electrons and log_weight"):
        check_state(SamplerState({"electrons": jnp.zeros((N, 1, 3))}, ()))
    for wrong, shape in ((jnp.zeros((N + 1, 2)), r"\(5, 2\)"), (jnp.zeros(()), r"\(\)")):
        walkers = state().per_walker._replace(more={"age": wrong})
        with pytest.raises(InputError, match=rf"per_walker\.more\['age'\] has the shape {shape}: .* the 4 walkers"):
            check_state(state()._replace(per_walker=walkers))
