"""Turn physics written for one walker into physics for a population, over chunks and devices.

The devices are those of a mesh whose only axis is "walkers"; `over_devices` enters it around everything that is to use
them. Inside, JAX puts every new array on all devices, `over_walkers` shares the walkers out, and the compiler derives
from that where everything is computed and which sums are taken over all devices. Without a mesh nothing of this
happens.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from nnqmc.errors import InputError
from nnqmc.parallel.chunking import in_chunks
from nnqmc.parallel.surroundings import AXIS, check_devices, usual_rules
from nnqmc.typing import PyTree

BY_WALKER, EVERYWHERE = PartitionSpec(AXIS), PartitionSpec()
"""On several devices the leading axis of an array is shared out (BY_WALKER), or each has a copy (EVERYWHERE)."""


def over_walkers(function: Callable[..., Any], chunk_size: int | None = None) -> Callable[..., Any]:
    """Return a function that maps `function(walker, *shared)` over the leading axis of its first argument.

    Args:
        function: works on one walker; its first argument is any pytree of that walker's arrays.
        chunk_size: how many walkers are evaluated together on one device. None chooses, from the program of one walker,
            as many as the processor's cache or the memory of a GPU has room for; call the result inside of `jax.jit`
            then. The results depend on it by rounding only.

    Returns:
        A function (population pytree, *shared) -> pytree with a leading walker axis.
    """

    def mapped(population: PyTree, *shared: Any) -> PyTree:
        def one(walker: PyTree) -> PyTree:
            return function(walker, *shared)

        n_walkers = jax.tree.leaves(population)[0].shape[0]
        run, size = one, chunk_size
        if size is None:
            walker = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), population)
            run, size = in_chunks(one, walker, n_walkers // n_devices())
        if (n := n_devices()) > 1 and n_walkers % n == 0:
            return _over_walkers_and_devices(run, population, n, size)
        if size >= n_walkers:
            return jax.vmap(run)(population)
        return jax.lax.map(run, population, batch_size=size)

    return mapped


def _over_walkers_and_devices(one: Callable[[PyTree], PyTree], population: PyTree, n: int, chunk_size: int) -> PyTree:
    """Return the results for all walkers, computed in chunks inside each device's block of walkers.

    Chunks along the whole axis would gather all walkers on every device. So the axis is viewed as (devices, walkers of
    a device), and the loop over chunks is vectorised over the first: operations that flatten their batch, such as the
    elimination of determinants, stay shared out only if the devices' axis is the leading one.
    """
    def of_one_device(walkers: PyTree) -> PyTree:
        if chunk_size >= jax.tree.leaves(walkers)[0].shape[0]:
            return jax.vmap(one)(walkers)
        return jax.lax.map(one, walkers, batch_size=chunk_size)

    shares = _constrained(jax.tree.map(lambda x: x.reshape((n, -1, *x.shape[1:])), population), BY_WALKER)
    result = _constrained(jax.vmap(of_one_device)(shares), BY_WALKER)
    return _constrained(jax.tree.map(lambda x: x.reshape((-1, *x.shape[2:])), result), BY_WALKER)


def _constrained(tree: PyTree, spec: PartitionSpec) -> PyTree:
    """Return the same arrays, of which the compiler knows where they lie."""
    return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, spec), tree)


def walker_keys(key: jax.Array, n_walkers: int) -> jax.Array:
    """Return one key for each walker, a function of `key` and the walker's number only."""
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(n_walkers, dtype=jnp.uint32))


def n_devices() -> int:
    """Return how many devices walkers are spread over here."""
    mesh = jax.sharding.get_abstract_mesh()
    return mesh.shape[AXIS] if AXIS in mesh.axis_names else 1


@contextlib.contextmanager
def over_devices(number: int | None = None) -> Iterator[None]:
    """Spread walkers over devices while the block runs.

    Args:
        number: how many of this machine's devices to use, from 1 on; by default all. Where several processes work
            together (`jax.distributed`), all devices of all of them are used.

    Raises:
        InputError: there are fewer devices, or a number is given where several processes use all of theirs.
    """
    check_devices()
    devices = jax.devices()
    if number is not None and jax.process_count() > 1:
        raise InputError(f"{number} devices were asked for, but several processes use all of theirs: leave it out, and "
                         "let each process see the devices it should use (CUDA_VISIBLE_DEVICES)")
    if number is not None and not 1 <= number <= len(devices):
        raise InputError(f"{number} devices were asked for, and there are {len(devices)} ({devices[0].device_kind}): "
                         f"give a number from 1 to {len(devices)}")
    with inside(Mesh(np.array(devices[:number]), (AXIS,))):
        yield


@contextlib.contextmanager
def inside(mesh: Mesh) -> Iterator[None]:
    """Use a mesh of devices, such as that of another thread, and `usual_rules`; an empty mesh counts as none."""
    with usual_rules(), jax.set_mesh(None if mesh.empty else mesh):
        yield


def shardings(places: PyTree) -> PyTree:
    """Return the places BY_WALKER and EVERYWHERE in a tree as shardings over the devices in use."""
    mesh = jax.sharding.get_mesh()
    return jax.tree.map(lambda place: NamedSharding(mesh, place), places,
                        is_leaf=lambda leaf: isinstance(leaf, PartitionSpec))


def placed(tree: PyTree, places: PyTree) -> PyTree:
    """Return the shapes and dtypes of a tree together with the places of its arrays on the devices in use.

    Args:
        tree: arrays, or `jax.ShapeDtypeStruct`s in their place.
        places: BY_WALKER or EVERYWHERE for the whole tree, or for each of its branches.
    """
    def place(sharding: NamedSharding, branch: PyTree) -> PyTree:
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), branch)

    return jax.tree.map(place, shardings(places), tree)
