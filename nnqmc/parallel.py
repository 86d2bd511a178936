"""The walker axis: one function turns physics written for one walker into physics for a population, in chunks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from nnqmc.chunking import in_chunks
from nnqmc.typing import PyTree


def over_walkers(function: Callable[..., Any], chunk_size: int | None = None) -> Callable[..., Any]:
    """Map `function(walker_argument, *shared)` over the leading axis of its first argument.

    Args:
        function: works on one walker; its first argument is any pytree of that walker's arrays.
        chunk_size: walkers evaluated together. None chooses as many as the processor's cache, or the memory of a GPU,
            has room for, from the program of one walker. The result does not depend on it.

    Returns:
        A function (population pytree, *shared) -> pytree with a leading walker axis.
    """

    def mapped(population: PyTree, *shared: Any) -> PyTree:
        def one(walker: PyTree) -> PyTree:
            return function(walker, *shared)

        n_walkers = jax.tree.leaves(population)[0].shape[0]
        run, size = one, chunk_size
        if size is None:
            run, size = in_chunks(one, jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), population))
        if size >= n_walkers:
            return jax.vmap(run)(population)
        return jax.lax.map(run, population, batch_size=size)

    return mapped


def walker_keys(key: jax.Array, n_walkers: int) -> jax.Array:
    """One key for each walker, a function of `key` and the walker's number only."""
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(n_walkers, dtype=jnp.uint32))
