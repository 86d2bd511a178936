"""Carry Jets through products of matrices, those of attention included, in which both factors depend on the electrons.

For a product B(a, b), with J the Jacobian and L the Laplacian of a factor,

    J' = B(J_a, b) + B(a, J_b),    L' = B(L_a, b) + B(a, L_b) + 2 sum_k B(J_ak, J_bk).

A block of a factor stays one where its axis is an axis of the product: scores q_i . k_j of electrons that have not seen
each other carry six derivatives each. Where the axis is summed over, as in sum_j w_ij v_j, the derivatives by electron
j are the one term with j, so that they cost no sum. In the last term only derivatives by the same electron meet.

Source: Li et al., Nat. Mach. Intell. 6, 209 (2024), doi:10.1038/s42256-024-00794-x, for the idea of sparse attention.
"""

from __future__ import annotations

import string
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from nnqmc.laplacian.jets import (
    Block,
    Jet,
    Part,
    densify,
    electrons_along,
    merge,
    own_derivatives,
    sum_out,
)
from nnqmc.laplacian.rules import bind


class _Factor(NamedTuple):
    """One factor of a product, and a letter for each of its axes: axes that belong together have the same letter."""

    jet: Jet
    letters: str


class _Product(NamedTuple):
    """Two factors, the letters of their product, and `einsum` in the precision of the operation."""

    factors: tuple[_Factor, _Factor]
    out: str
    einsum: Any


def dot_general(eqn: Any, inputs: list) -> list[Jet]:
    """Multiply matrices; derivatives stay sparse unless their electron axis is summed over."""
    left, right = inputs
    if isinstance(left, Jet) and isinstance(right, Jet):
        value = bind(eqn, left.value, right.value)[0]
        return [_of_jets(_lettered(eqn, _within_range(left), _within_range(right)), value)]
    return [_with_constant(eqn, inputs)]


def _with_constant(eqn: Any, inputs: list) -> Jet:
    """Return the product of a Jet and an array that doesn't depend on the electrons."""
    side = 0 if isinstance(inputs[0], Jet) else 1
    (contract, batch) = (dims[side] for dims in eqn.params["dimension_numbers"])
    jet, other = inputs[side], inputs[1 - side]
    free = [a for a in range(len(jet.shape)) if a not in contract and a not in batch]
    n_free_left = 0 if side == 0 else other.ndim - len(contract) - len(batch)

    def place(axis: int, start: int) -> tuple[int, int] | None:
        if axis in contract:
            return None
        return batch.index(axis) if axis in batch else len(batch) + n_free_left + free.index(axis), start

    def function(x: Array) -> Array:
        return bind(eqn, *((x, other) if side == 0 else (other, x)))[0]

    if any(part.axis in contract for block in jet.blocks for part in block.parts):
        jet = densify(jet)
    parts = [jet.value[None], *(block.values for block in jet.blocks), jet.laplacian[None]]
    bounds = np.cumsum([len(part) for part in parts])[:-1]
    value, *blocks, laplacian = jnp.split(jax.vmap(function)(jnp.concatenate(parts)), bounds)
    dense = None if jet.dense is None else jax.vmap(function)(jet.dense)
    blocks = [block.moved(place, values) for block, values in zip(jet.blocks, blocks, strict=True)]
    return Jet(value[0], tuple(blocks), dense, laplacian[0], jet.n_electrons)


def _within_range(jet: Jet) -> Jet:
    """Return the same Jet, dense if the axis of a block counts anything that is no electron."""
    n = jet.n_electrons
    is_within = [0 <= part.start <= n - jet.shape[part.axis] for block in jet.blocks for part in block.parts]
    return jet if all(is_within) else densify(jet)


def _lettered(eqn: Any, left: Jet, right: Jet) -> _Product:
    """Return a product of two Jets with letters for all axes; the product has those of batches first."""
    (contract_left, contract_right), (batch_left, batch_right) = eqn.params["dimension_numbers"]
    unused = iter(string.ascii_lowercase)
    names = [next(unused) for _ in left.shape]
    pairs = zip((*contract_left, *batch_left), (*contract_right, *batch_right), strict=True)
    same = {axis: names[partner] for partner, axis in pairs}
    others = [same.get(axis) or next(unused) for axis in range(len(right.shape))]
    free_left = [c for axis, c in enumerate(names) if axis not in (*contract_left, *batch_left)]
    free_right = [c for axis, c in enumerate(others) if axis not in same]
    out = [*(names[axis] for axis in batch_left), *free_left, *free_right]
    einsum = partial(jnp.einsum, precision=eqn.params["precision"],
                     preferred_element_type=eqn.params["preferred_element_type"])
    return _Product((_Factor(left, "".join(names)), _Factor(right, "".join(others))), "".join(out), einsum)


def _of_jets(product: _Product, value: Array) -> Jet:
    """Return the product of two Jets."""
    (left, right), out, einsum = product
    blocks, dense = [], []
    for factor, other in ((left, right), (right, left)):
        kept, rest = _derivatives(product, factor, other)
        blocks += kept
        dense += rest
    formula = f"{left.letters},{right.letters}->{out}"
    laplacian = einsum(formula, left.jet.laplacian, right.jet.value) + einsum(formula, left.jet.value,
                                                                             right.jet.laplacian)
    laplacian = laplacian + 2.0 * _crossed(product)
    return Jet(value, merge(blocks), sum(dense) if dense else None, laplacian, left.jet.n_electrons)


def _derivatives(product: _Product, factor: _Factor, other: _Factor) -> tuple[list[Block], list[Array]]:
    """Return the part of the Jacobian that comes from one factor, as blocks and as dense terms."""
    _, out, einsum = product
    (jet, letters), blocks, dense = factor, [], []
    if jet.dense is not None:
        dense.append(einsum(f"Z{letters},{other.letters}->Z{out}", jet.dense, other.jet.value))
    for block in jet.blocks:
        stays = tuple(part._replace(axis=out.index(letters[part.axis]))
                      for part in block.parts if letters[part.axis] in out)
        if stays:
            values = einsum(f"X{letters},{other.letters}->X{out}", block.values, other.jet.value)
            blocks.append(Block(stays, values).with_positive_sign())
        for part in block.parts:
            if (axis := letters[part.axis]) not in out:
                values = einsum(f"X{letters},{other.letters}->X{axis}{out}", block.values, other.jet.value)
                dense.append(sum_out(values, Part(0, part.start, part.sign), (0,), jet.n_electrons))
    return blocks, dense


def _crossed(product: _Product) -> Array | float:
    """Return sum_k B(J_ak, J_bk), in which every block meets derivatives by its own electrons alone."""
    (left, right), out, einsum = product
    total: Array | float = 0.0
    if left.jet.dense is not None and right.jet.dense is not None:
        total = einsum(f"Z{left.letters},Z{right.letters}->{out}", left.jet.dense, right.jet.dense)
    for factor, other in ((left, right), (right, left)):
        for block in factor.jet.blocks if other.jet.dense is not None else ():
            for part in block.parts:
                total = total + part.sign * _block_and_dense(product, (factor, other), block, part)
    for first in left.jet.blocks:
        for second in right.jet.blocks:
            for x in first.parts:
                for y in second.parts:
                    total = total + x.sign * y.sign * _blocks_crossed(product, (first, x), (second, y))
    return total


def _block_and_dense(product: _Product, pair: tuple[_Factor, _Factor], block: Block, part: Part) -> Array:
    """Return the sum over the electrons of one part of a block of products with the other factor's derivatives."""
    (_, letters), (other, other_letters) = pair
    axis, n = letters[part.axis], other.n_electrons
    if axis in other_letters:
        own = own_derivatives(other.dense, Part(other_letters.index(axis), part.start, 1.0), n)
        return product.einsum(f"X{letters},X{other_letters}->{product.out}", block.values, own)
    own = other.dense.reshape((n, 3, *other.shape))[part.start:part.start + block.values.shape[1 + part.axis]]
    return product.einsum(f"X{letters},{axis}X{other_letters}->{product.out}", block.values, own)


def _blocks_crossed(product: _Product, first: tuple[Block, Part], second: tuple[Block, Part]) -> Array | float:
    """Return the sum over the electrons that parts of two blocks have in common.

    Axes of different letters count the same electron on a diagonal, which a factor has or, if none has, the product.
    """
    (left, right), out, einsum = product
    (x, x_part), (y, y_part) = first, second
    a, b = left.letters[x_part.axis], right.letters[y_part.axis]
    values = [x.values, y.values]
    formula = f"X{left.letters},X{right.letters}->{out}"
    if a == b:
        return einsum(formula, *values) if x_part.start == y_part.start else 0.0
    for side, (jet, letters) in enumerate((left, right)):
        if a in letters and b in letters:
            is_same = _diagonal(letters, jet.shape, (a, x_part.start), (b, y_part.start))
            values[side] = jnp.where(is_same, values[side], 0.0)
            return einsum(formula, *values)
    found = einsum(formula, *values)
    return jnp.where(_diagonal(out, found.shape, (a, x_part.start), (b, y_part.start)), found, 0.0)


def _diagonal(letters: str, shape: tuple[int, ...], first: tuple[str, int], second: tuple[str, int]) -> np.ndarray:
    """Return where two axes, given by their letters and first electrons, count the same electron."""
    numbers = [electrons_along(Part(letters.index(axis), start, 1.0), shape) for axis, start in (first, second)]
    return numbers[0] == numbers[1]
