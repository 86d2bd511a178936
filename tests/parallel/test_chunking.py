"""Chunks are as large as the memory one walker's program needs allows, and change no result."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnqmc.parallel import chunking
from nnqmc.parallel.chunking import in_chunks, peak_bytes


def shape(*sizes):
    return jax.ShapeDtypeStruct(sizes, jnp.float32)


def peak(function, *arguments):
    return peak_bytes(jax.make_jaxpr(function)(*arguments).jaxpr)


def test_what_is_used_no_more_makes_room():
    def twice(x):
        return jnp.sin(jnp.cos(x))

    def kept(x):
        y = jnp.cos(x)
        return jnp.sin(y) + y

    assert peak(twice, shape(100)) == 800
    assert peak(kept, shape(100)) == 1200


def test_what_no_result_depends_on_does_not_count():
    def wasteful(x):
        _ = jnp.cos(x[:, None] * x)
        return jnp.sin(x)

    assert peak(wasteful, shape(100)) == 400


def test_programs_inside_of_programs_count():
    def inside(x):
        return jax.jit(lambda y: jnp.sum(y[:, None] * y))(x)

    assert peak(inside, shape(100)) >= 4 * 100**2


def test_a_program_that_needs_more_memory_is_evaluated_for_fewer_walkers():
    sizes = [in_chunks(lambda x, n=n: jnp.sum(x[:, None] * jnp.ones(n)), shape(100), 64)[1] for n in (1, 100, 10000)]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > sizes[-1] >= 1


def test_an_accelerator_is_filled_and_not_overfilled(monkeypatch):
    class Accelerator:
        platform = "gpu"

        def memory_stats(self):
            return {"bytes_limit": 10 * 2**30}

    monkeypatch.setattr(chunking.jax, "local_devices", lambda: [Accelerator()])
    needed = 4 * 100 * 1000
    _, size = in_chunks(lambda x: jnp.sum(x[:, None] * jnp.ones(1000)), shape(100), 2**20)
    assert 0.05 < size * needed / (10 * 2**30) < 0.5


def test_an_accelerator_that_does_not_say_how_large_it_is_gets_chunks_too(monkeypatch):
    class Accelerator:
        platform = "metal"

        def memory_stats(self):
            raise NotImplementedError

    monkeypatch.setattr(chunking.jax, "local_devices", lambda: [Accelerator()])
    assert in_chunks(lambda x: jnp.sum(x[:, None] * jnp.ones(1000)), shape(100), 2**20)[1] > 1


def test_chunks_divide_the_walkers_where_they_can(monkeypatch):
    monkeypatch.setattr(chunking, "threads", lambda: 1)
    sizes = {n: in_chunks(lambda x: jnp.sum(x[:, None] * jnp.ones(100)), shape(100), n)[1] for n in (512, 1000, 997)}
    assert sizes[512] == sizes[997] == 16  # a prime number of walkers has no divisor
    assert sizes[1000] == 10


@pytest.mark.parametrize("n_walkers", [3, 1000])
def test_the_function_is_the_same(n_walkers):
    def function(walker):
        electrons, key = walker
        return {"sum": electrons.sum(), "noise": (jax.random.normal(key, (2,)), 1.0)}

    keys = jax.random.split(jax.random.key(0), n_walkers)
    electrons = jnp.arange(3.0 * n_walkers).reshape(n_walkers, 3)
    run, _ = in_chunks(function, (shape(3), jax.ShapeDtypeStruct((), keys.dtype)), n_walkers)
    for ours, plain in zip(jax.tree.leaves(jax.vmap(run)((electrons, keys))),
                           jax.tree.leaves(jax.vmap(function)((electrons, keys)))):
        np.testing.assert_array_equal(ours, plain)
