"""What is refused before anything is computed, because it can't fit into memory."""

from __future__ import annotations

import math

import jax
import pytest

from nnqmc.config import Layer, resolve
from nnqmc.cost.machine import check_memory
from nnqmc.errors import InputError
from nnqmc.job.build import build, state_template
from nnqmc.system import molecule


def refused(n_walkers: int, has_scores: bool, room: int) -> bool:
    """Return whether helium with a wide network is refused for so many bytes for each parameter and 1 MB."""
    wide = {"wavefunction": {"layers": 2, "hidden_one": 128}, "train": {"walkers": n_walkers}}
    config = resolve(molecule("He"), [Layer("test", wide)])
    made = build(config)
    state = state_template(config, made)
    n_params = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(state.params))
    try:
        check_memory(state, made.log_psi, made.system, has_scores=has_scores, available=room * n_params + 10**6)
    except InputError as error:
        assert f"{n_walkers} walkers and {n_params} parameters need at least" in str(error)
        return True
    return False


@pytest.mark.parametrize(("has_scores", "room", "expected"), [
    (True, 24, True), (False, 24, False), (True, 24 + 4 * 1000, False), (False, 0, True)])
def test_scores_and_the_matrix_between_walkers_are_counted_where_they_are_needed(
    has_scores: bool, room: int, expected: bool
) -> None:
    assert refused(1000, has_scores, room) is expected
