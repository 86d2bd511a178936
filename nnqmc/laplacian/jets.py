"""A value with its derivatives with respect to all electron coordinates, stored only where they can be non-zero.

The Jacobian of an array is the sum of *blocks* and one *dense* part. A block belongs to an axis that counts electrons:
its entry at position p along that axis depends on the three coordinates of electron `start + p` alone, so three
numbers per entry are enough. Pair features have two blocks, one for either electron. Only what really depends on
every electron is stored densely, with 3 n_electrons numbers per entry.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array


@dataclass(frozen=True)
class Block:
    """Derivatives (3, *shape) with respect to the electron that `axis` counts, whose first one is `start`."""

    axis: int
    start: int
    values: Array

    @property
    def place(self) -> tuple[int, int]:
        """What two blocks must share to describe the same electrons."""
        return self.axis, self.start


@dataclass(frozen=True)
class Jet:
    """An array, its Jacobian (blocks plus dense (3 n_electrons, *shape)) and its Laplacian."""

    value: Array
    blocks: tuple[Block, ...]
    dense: Array | None
    laplacian: Array
    n_electrons: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the value."""
        return self.value.shape


def seed(electrons: Array) -> Jet:
    """The coordinates (n_electrons, 3) themselves as a Jet."""
    n = electrons.shape[0]
    identity = jnp.broadcast_to(jnp.eye(3, dtype=electrons.dtype)[:, None, :], (3, n, 3))
    return Jet(electrons, (Block(0, 0, identity),), None, jnp.zeros_like(electrons), n)


def _along(vector: Array, axis: int, ndim: int) -> Array:
    """A vector laid along `axis` of an array of `ndim` dimensions."""
    return vector.reshape([-1 if i == axis else 1 for i in range(ndim)])


def _spread(block: Block, n: int) -> Array:
    """A block as dense derivatives (3 n, *shape)."""
    values, axis = block.values, block.axis
    electron = _along(jnp.arange(values.shape[1 + axis]) + block.start, axis, values.ndim - 1)
    chosen = jnp.arange(n).reshape((n,) + (1,) * (values.ndim - 1)) == electron[None]
    return jnp.where(chosen[:, None], values[None], 0.0).reshape((3 * n, *values.shape[1:]))


def densify(jet: Jet) -> Jet:
    """The same Jet with no blocks."""
    if not jet.blocks and jet.dense is not None:
        return jet
    parts = [_spread(block, jet.n_electrons) for block in jet.blocks]
    if jet.dense is not None:
        parts.append(jet.dense)
    dense = sum(parts) if parts else jnp.zeros((3 * jet.n_electrons, *jet.shape), jet.value.dtype)
    return replace(jet, blocks=(), dense=dense)


def merge(blocks: list[Block]) -> tuple[Block, ...]:
    """Blocks at the same place added up."""
    merged: dict[tuple[int, int], Block] = {}
    for block in blocks:
        old = merged.get(block.place)
        merged[block.place] = block if old is None else replace(block, values=old.values + block.values)
    return tuple(merged.values())


def _same_electron(first: Block, second: Block) -> Array | None:
    """Where two blocks on different axes mean the same electron (a mask over the shape), None if nowhere."""
    ndim = first.values.ndim - 1
    length_1, length_2 = first.values.shape[1 + first.axis], second.values.shape[1 + second.axis]
    if first.axis == second.axis:
        return None
    if first.start + length_1 <= second.start or second.start + length_2 <= first.start:
        return None
    electron_1 = _along(jnp.arange(length_1) + first.start, first.axis, ndim)
    electron_2 = _along(jnp.arange(length_2) + second.start, second.axis, ndim)
    return electron_1 == electron_2


def _dot3(x: Array, y: Array) -> Array:
    """Scalar products over the leading axis of length 3, written out so that they fuse with what follows."""
    return x[0] * y[0] + x[1] * y[1] + x[2] * y[2]


def inner(x: Jet, y: Jet) -> Array:
    """sum_k (dx/dr_k)(dy/dr_k), entry by entry, for Jets of one shape."""
    total = jnp.zeros_like(x.value)
    if x.dense is not None and y.dense is not None:
        total = jnp.sum(x.dense * y.dense, axis=0)
    for jet, other in ((x, y), (y, x)):
        if jet.dense is not None:
            for block in other.blocks:
                total = total + _dot3(own_derivatives(jet.dense, block, jet.n_electrons), block.values)
    for first in x.blocks:
        for second in y.blocks:
            if first.place == second.place:
                total = total + _dot3(first.values, second.values)
                continue
            mask = _same_electron(first, second)
            if mask is not None:
                total = total + jnp.where(mask, _dot3(first.values, second.values), 0.0)
    return total


def own_derivatives(dense: Array, block: Block, n: int) -> Array:
    """What dense derivatives (3 n, *shape) say about the electrons of a block, as (3, *shape)."""
    length = dense.shape[1 + block.axis]
    if 0 <= block.start <= n - length:
        moved = jnp.moveaxis(dense, 1 + block.axis, 1)
        rows = moved.reshape((3 * n * length, *moved.shape[2:]))
        first, step = 3 * block.start * length, 3 * length + 1
        own = [rows[first + x * length:: step][:length] for x in range(3)]
        return jnp.moveaxis(jnp.stack(own), 1, 1 + block.axis)
    electron = _along(jnp.arange(length) + block.start, block.axis, dense.ndim - 1)
    chosen = electron[None] == jnp.arange(n).reshape((n,) + (1,) * (dense.ndim - 1))
    return jnp.sum(jnp.where(chosen[:, None], dense.reshape((n, 3, *dense.shape[1:])), 0.0), axis=0)


def sum_out(block: Block, axes: tuple[int, ...], n: int) -> Array:
    """The dense derivatives of a sum over the block's own axis (and others)."""
    others = tuple(a + 1 for a in axes if a != block.axis)
    values = jnp.sum(block.values, axis=others, keepdims=True)
    values = jnp.moveaxis(values, 1 + block.axis, 0)
    length, rest = values.shape[0], [s for a, s in enumerate(block.values.shape[1:]) if a not in axes]
    values = values.reshape((length, 3, *rest))
    first, last = max(0, -block.start), min(length, n - block.start)
    if first >= last:
        return jnp.zeros((3 * n, *rest), values.dtype)
    values = values[first:last].reshape((-1, *rest))
    padding = (3 * (block.start + first), 3 * (n - block.start - last))
    return jnp.pad(values, (padding, *((0, 0) for _ in rest)))


def combine(value: Array, terms: list[tuple[Any, Jet]], laplacian: Array) -> Jet:
    """The Jet with Jacobian sum_t weight_t J_t, whose value and Laplacian are known."""
    blocks = [replace(b, values=weight * b.values) for weight, jet in terms for b in jet.blocks]
    dense = [weight * jet.dense for weight, jet in terms if jet.dense is not None]
    return Jet(value, merge(blocks), sum(dense) if dense else None, laplacian, terms[0][1].n_electrons)
