"""Keep a value together with its derivatives by all electron coordinates, stored only where they can differ from zero.

The Jacobian of an array is the sum of *blocks* and one *dense* part. A block belongs to an axis that counts electrons:
its entry at position p along that axis depends on the three coordinates of electron `start + p` alone, so three
numbers per entry are enough. An array that depends on differences r_i - r_j, as pair features do, needs no more than
that: its derivatives by electron j are those by electron i with the opposite sign, which the block stores as a sign.
Only an array that depends on every electron is stored densely, with 3 n_electrons numbers per entry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array


class Part(NamedTuple):
    """Says which electrons a block of derivatives belongs to: those along one axis of the array, with a common sign.

    Attributes:
        axis: the axis of the array along which electrons are counted.
        start: the number of the electron at index 0 of this axis.
        sign: the factor, 1 or -1, of the derivatives by these electrons.
    """

    axis: int
    start: int
    sign: float


Place = Callable[[int, int], tuple[int, int] | None]
"""A place maps an axis that counts electrons, and its first electron, to the new ones; to None if the axis is lost."""


@dataclass(frozen=True)
class Block:
    """The derivatives of every entry by the coordinates of one electron for each part.

    Attributes:
        parts: which electrons these are, and with which sign.
        values: the derivatives (3, *shape).
        unit: whether the entries are the coordinates themselves, so that values[k, ..., l] is 1 for k = l, else 0.
    """

    parts: tuple[Part, ...]
    values: Array
    unit: bool = False

    def moved(self, place: Place, values: Array, unit: bool = False) -> Block | None:
        """Return a block of other values whose axes went where `place` says, or None if one of them is lost."""
        places = [place(part.axis, part.start) for part in self.parts]
        if None in places:
            return None
        parts = (Part(*new, part.sign) for new, part in zip(places, self.parts, strict=True))
        return Block(tuple(parts), values, unit)

    def with_positive_sign(self) -> Block:
        """Return the same block; if it has a single part the sign is 1, so that it can be added to others."""
        if len(self.parts) > 1 or self.parts[0].sign == 1.0:
            return self
        return Block((self.parts[0]._replace(sign=1.0),), self.parts[0].sign * self.values)


@dataclass(frozen=True)
class Jet:
    """An array with its Jacobian and its Laplacian.

    Attributes:
        value: the array.
        blocks: the sparse parts of its Jacobian.
        dense: the rest of its Jacobian (3 n_electrons, *shape), None if there is none.
        laplacian: the Laplacian of every entry.
        n_electrons: how many electrons the derivatives belong to.
    """

    value: Array
    blocks: tuple[Block, ...]
    dense: Array | None
    laplacian: Array
    n_electrons: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of the value."""
        return self.value.shape


def seed(electrons: Array) -> Jet:
    """Return the coordinates (n_electrons, 3) themselves as a Jet."""
    n = electrons.shape[0]
    identity = jnp.broadcast_to(jnp.eye(3, dtype=electrons.dtype)[:, None, :], (3, n, 3))
    return Jet(electrons, (Block((Part(0, 0, 1.0),), identity, unit=True),), None, jnp.zeros_like(electrons), n)


def difference(x: Jet, y: Jet) -> Block | None:
    """Return the only block of x - y for coordinates x and y of electrons along different axes.

    The result is None if x and y are anything else.
    """
    if x.dense is not None or y.dense is not None or len(x.blocks) != 1 or len(y.blocks) != 1:
        return None
    (first,), (second,) = x.blocks, y.blocks
    if not (first.unit and second.unit) or first.parts[0].axis == second.parts[0].axis:
        return None
    return Block((*first.parts, *(part._replace(sign=-part.sign) for part in second.parts)), first.values)


def _along(vector: np.ndarray, axis: int, ndim: int) -> np.ndarray:
    """Return a vector laid along `axis` of an array of `ndim` dimensions."""
    return vector.reshape([-1 if i == axis else 1 for i in range(ndim)])


def electrons_along(part: Part, shape: tuple[int, ...]) -> np.ndarray:
    """Return the numbers of the electrons of a part, laid along its axis of an array of this shape."""
    return _along(np.arange(shape[part.axis]) + part.start, part.axis, len(shape))


def _spread(block: Block, n: int) -> Array:
    """Return a block as dense derivatives (3 n, *shape)."""
    values, shape = block.values, block.values.shape[1:]
    sign = np.zeros((n, *(1 for _ in shape)))
    for part in block.parts:
        sign = sign + part.sign * (_along(np.arange(n), 0, 1 + len(shape)) == electrons_along(part, shape))
    if len(block.parts) == 1:
        signed = block.parts[0].sign * values[None]
        return jnp.where(sign[:, None] != 0.0, signed, 0.0).reshape((3 * n, *shape))
    return (jnp.asarray(sign, values.dtype)[:, None] * values[None]).reshape((3 * n, *shape))


def densify(jet: Jet) -> Jet:
    """Return the same Jet without blocks."""
    if not jet.blocks and jet.dense is not None:
        return jet
    parts = [_spread(block, jet.n_electrons) for block in jet.blocks]
    if jet.dense is not None:
        parts.append(jet.dense)
    dense = sum(parts) if parts else jnp.zeros((3 * jet.n_electrons, *jet.shape), jet.value.dtype)
    return replace(jet, blocks=(), dense=dense)


def merge(blocks: list[Block]) -> tuple[Block, ...]:
    """Return the blocks with those of the same parts added up."""
    merged: dict[tuple[Part, ...], Block] = {}
    for block in blocks:
        old = merged.get(block.parts)
        merged[block.parts] = block if old is None else Block(block.parts, old.values + block.values)
    return tuple(merged.values())


def _overlap(first: Block, second: Block) -> np.ndarray | float:
    """Return the sum over the electrons that two blocks have in common of the products of their signs.

    It is one number, or one for each entry.
    """
    shape, total = first.values.shape[1:], 0.0
    for x in first.parts:
        for y in second.parts:
            if x[:2] == y[:2]:
                total = total + x.sign * y.sign
            elif x.axis != y.axis:
                total = total + x.sign * y.sign * (electrons_along(x, shape) == electrons_along(y, shape))
    return total


def _dot3(x: Array, y: Array) -> Array:
    """Return scalar products over the leading axis of length 3, written out so that they fuse with what follows."""
    return x[0] * y[0] + x[1] * y[1] + x[2] * y[2]


def inner(x: Jet, y: Jet) -> Array:
    """Return sum_k (dx/dr_k)(dy/dr_k), entry by entry, for Jets of one shape."""
    total = jnp.zeros_like(x.value)
    if x.dense is not None and y.dense is not None:
        total = jnp.sum(x.dense * y.dense, axis=0)
    for jet, other in ((x, y), (y, x)):
        if jet.dense is not None:
            for block in other.blocks:
                own = sum(part.sign * own_derivatives(jet.dense, part, jet.n_electrons) for part in block.parts)
                total = total + _dot3(own, block.values)
    for first in x.blocks:
        for second in y.blocks:
            if np.any(overlap := _overlap(first, second)):
                total = total + jnp.asarray(overlap, total.dtype) * _dot3(first.values, second.values)
    return total


def own_derivatives(dense: Array, part: Part, n: int) -> Array:
    """Return the derivatives by the electrons of a part, (3, *shape), out of dense derivatives (3 n, *shape)."""
    length = dense.shape[1 + part.axis]
    if 0 <= part.start <= n - length:
        moved = jnp.moveaxis(dense, 1 + part.axis, 1)
        rows = moved.reshape((3 * n * length, *moved.shape[2:]))
        first, step = 3 * part.start * length, 3 * length + 1
        own = [rows[first + x * length:: step][:length] for x in range(3)]
        return jnp.moveaxis(jnp.stack(own), 1, 1 + part.axis)
    chosen = electrons_along(part, dense.shape[1:])[None] == _along(np.arange(n), 0, dense.ndim)
    return jnp.sum(jnp.where(chosen[:, None], dense.reshape((n, 3, *dense.shape[1:])), 0.0), axis=0)


def sum_out(values: Array, part: Part, axes: tuple[int, ...], n: int) -> Array:
    """Return the dense derivatives of a sum over axes of which one is the axis of a part."""
    others = tuple(a + 1 for a in axes if a != part.axis)
    summed = part.sign * jnp.sum(values, axis=others, keepdims=True)
    summed = jnp.moveaxis(summed, 1 + part.axis, 0)
    length, rest = summed.shape[0], [s for a, s in enumerate(values.shape[1:]) if a not in axes]
    summed = summed.reshape((length, 3, *rest))
    first, last = max(0, -part.start), min(length, n - part.start)
    if first >= last:
        return jnp.zeros((3 * n, *rest), summed.dtype)
    summed = summed[first:last].reshape((-1, *rest))
    padding = (3 * (part.start + first), 3 * (n - part.start - last))
    return jnp.pad(summed, (padding, *((0, 0) for _ in rest)))


def combine(value: Array, terms: list[tuple[Any, Jet]], laplacian: Array) -> Jet:
    """Return the Jet with this value, this Laplacian and the Jacobian sum_t weight_t J_t of the terms."""
    blocks = [Block(b.parts, weight * b.values) for weight, jet in terms for b in jet.blocks]
    dense = [weight * jet.dense for weight, jet in terms if jet.dense is not None]
    return Jet(value, merge(blocks), sum(dense) if dense else None, laplacian, terms[0][1].n_electrons)
