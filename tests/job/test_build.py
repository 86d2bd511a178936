"""What is refused before anything is computed, because it can't fit into memory."""

from __future__ import annotations

import math

import jax
import pytest

from nnqmc.config import Layer, resolve
from nnqmc.errors import InputError
from nnqmc.job.build import build, check_memory, state_template
from nnqmc.system import molecule


def test_scores_kept_in_factors_are_counted_as_such() -> None:
    wide = {"wavefunction": {"layers": 2, "hidden_one": 128}, "train": {"walkers": 64}}
    config = resolve(molecule("He"), [Layer("test", wide)])
    parts = build(config)
    n_params = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(state_template(config, parts).params))
    explicit = 4 * 64 * n_params
    check_memory(config, parts, available=explicit)
    with pytest.raises(InputError, match=r"64 walkers and \d+ parameters need at least"):
        check_memory(config, parts, available=16 * n_params)
