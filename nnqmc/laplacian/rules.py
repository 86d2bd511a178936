"""Carry Jets through each kind of operation: elementwise functions, rearrangements and sums.

A rule takes the traced equation and its inputs (Jets, and plain arrays where nothing depends on the electrons) and
returns the list of outputs. With J the Jacobian and L the Laplacian of the input x,

    y = f(x):      J' = f'J,             L' = f'L + f'' sum_k J_k^2
    y = A x:       J' = A J,             L' = A L
    y = a b:       J' = b J_a + a J_b,   L' = b L_a + a L_b + 2 sum_k J_ak J_bk

Source: Li et al., Nat. Mach. Intell. 6, 209 (2024), doi:10.1038/s42256-024-00794-x; the blocks are our own.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from nnqmc.laplacian.jets import Block, Jet, Part, Place, combine, densify, difference, inner, merge, sum_out

_LOG = logging.getLogger("nnqmc")


def bind(eqn: Any, *values: Any) -> list[Array]:
    """Apply an equation's operation to plain arrays, as the JAX guide on custom interpreters does."""
    params = eqn.primitive.get_bind_params(eqn.params)
    functions, params = params if isinstance(params, tuple) else ((), params)
    out = eqn.primitive.bind(*functions, *values, **params)
    return list(out) if eqn.primitive.multiple_results else [out]


def _value(x: Any) -> Any:
    """Return the plain value of a Jet or an array."""
    return x.value if isinstance(x, Jet) else x


def _fill(inputs: list, active: list[int], values: tuple) -> list:
    """Return the plain values of all inputs, with those at the positions `active` replaced."""
    filled = [_value(x) for x in inputs]
    for place, value in zip(active, values, strict=True):
        filled[place] = value
    return filled


def _broadcast(jet: Jet, shape: tuple[int, ...]) -> Jet:
    """Return a Jet stretched from a scalar or along axes of length 1 to `shape`, as elementwise operations allow."""
    if jet.shape == shape:
        return jet

    def stretch(x: Array) -> Array:
        return jnp.broadcast_to(x, shape)

    def place(axis: int, start: int) -> tuple[int, int] | None:
        return (axis, start) if jet.shape[axis] == shape[axis] else None

    return rearrange(jet, stretch, place, keeps_coordinates=jet.shape[-1:] == shape[-1:])


def elementwise(eqn: Any, inputs: list) -> list[Jet]:
    """Apply any function entry by entry, with first and second derivatives from JAX."""
    shape = eqn.outvars[0].aval.shape
    active = [i for i, x in enumerate(inputs) if isinstance(x, Jet)]
    jets = [_broadcast(inputs[i], shape) for i in active]
    if any(jet.dense is not None for jet in jets):
        jets = [densify(jet) for jet in jets]
    values = tuple(jet.value for jet in jets)

    def function(*arguments: Array) -> Array:
        return bind(eqn, *_fill(inputs, active, arguments))[0]

    def partial(f: Callable, place: int) -> Callable:
        def derivative(*arguments: Array) -> Array:
            def of_one(x: Array) -> Array:
                return f(*arguments[:place], x, *arguments[place + 1:])
            return jax.jvp(of_one, (arguments[place],), (jnp.ones_like(arguments[place]),))[1]
        return derivative

    firsts = [partial(function, i) for i in range(len(jets))]
    slopes = [first(*values) for first in firsts]
    laplacian = sum(slope * jet.laplacian for slope, jet in zip(slopes, jets, strict=True))
    for i in range(len(jets)):
        for j in range(i, len(jets)):
            second = partial(firsts[i], j)(*values)
            laplacian = laplacian + (1.0 if i == j else 2.0) * second * inner(jets[i], jets[j])
    return [combine(function(*values), list(zip(slopes, jets, strict=True)), laplacian)]


def add(eqn: Any, inputs: list) -> list[Jet]:
    """Add or subtract: x + y and x - y."""
    sign = -1.0 if eqn.primitive.name == "sub" else 1.0
    shape = eqn.outvars[0].aval.shape
    terms = [(factor, _broadcast(x, shape)) for factor, x in zip((1.0, sign), inputs, strict=True)
             if isinstance(x, Jet)]
    laplacian = sum(jet.laplacian if factor > 0 else -jet.laplacian for factor, jet in terms)
    value = bind(eqn, *[_value(x) for x in inputs])[0]
    if sign < 0.0 and len(terms) == 2 and (block := difference(terms[0][1], terms[1][1])) is not None:
        return [Jet(value, (block,), None, laplacian, terms[0][1].n_electrons)]
    return [combine(value, [(jnp.asarray(factor, value.dtype), jet) for factor, jet in terms], laplacian)]


def multiply(eqn: Any, inputs: list) -> list[Jet]:
    """Multiply entry by entry: x y."""
    x, y = inputs
    if not (isinstance(x, Jet) and isinstance(y, Jet)):
        jet, factor = (x, y) if isinstance(x, Jet) else (y, x)
        jet = _broadcast(jet, eqn.outvars[0].aval.shape)
        return [combine(jet.value * factor, [(factor, jet)], factor * jet.laplacian)]
    shape = eqn.outvars[0].aval.shape
    x, y = (densify(jet) if jet.dense is not None else jet for jet in (_broadcast(x, shape), _broadcast(y, shape)))
    laplacian = x.value * y.laplacian + y.value * x.laplacian + 2.0 * inner(x, y)
    return [combine(x.value * y.value, [(y.value, x), (x.value, y)], laplacian)]


def divide(eqn: Any, inputs: list) -> list[Jet]:
    """Divide entry by entry: x / y, where the reciprocal of y is taken before y is stretched to the shape of x."""
    x, y = inputs
    if not (isinstance(x, Jet) and isinstance(y, Jet)):
        return elementwise(eqn, inputs)
    inverse = 1.0 / y.value
    curvature = 2.0 * inverse**3 * inner(y, y) - inverse**2 * y.laplacian
    return multiply(eqn, [x, combine(inverse, [(-inverse**2, y)], curvature)])


def without_derivatives(eqn: Any, inputs: list) -> list[Array]:
    """Return the plain value, as `stop_gradient` does."""
    return bind(eqn, _value(inputs[0]))


def extremum(eqn: Any, inputs: list) -> list[Jet]:
    """Take the largest or smallest entries along axes, which have their own derivatives; equal ones share them."""
    (jet,), axes = inputs, tuple(eqn.params["axes"])
    value = bind(eqn, jet.value)[0]
    chosen = (jet.value == jnp.expand_dims(value, axes)).astype(value.dtype)
    weight = chosen / jnp.sum(chosen, axis=axes, keepdims=True)
    (out,) = reduce_sum(eqn, [combine(jet.value * weight, [(weight, jet)], weight * jet.laplacian)])
    return [replace(out, value=value)]


def rearrange(jet: Jet, function: Callable[[Array], Array], place: Place, keeps_coordinates: bool = False) -> Jet:
    """Apply a linear function that maps entries to entries; `place` says where axes that count electrons go."""
    along_coordinates = jax.vmap(function)
    blocks = [block.moved(place, along_coordinates(block.values), block.unit and keeps_coordinates)
              for block in jet.blocks]
    if None in blocks:
        jet, blocks = densify(jet), []
    dense = None if jet.dense is None else along_coordinates(jet.dense)
    return Jet(function(jet.value), merge(blocks), dense, function(jet.laplacian), jet.n_electrons)


def structural(eqn: Any, inputs: list) -> list[Jet]:
    """Apply broadcast_in_dim, transpose, reshape, squeeze, slice, a change of sign or a conversion of type."""
    (jet,), name, params = inputs, eqn.primitive.name, eqn.params
    place = _placement(name, params, jet.shape)
    keeps = name == "broadcast_in_dim" and params["broadcast_dimensions"][-1:] == (len(params["shape"]) - 1,)
    return [rearrange(jet, lambda x: bind(eqn, x)[0], place, keeps and params["shape"][-1] == jet.shape[-1])]


def _placement(name: str, params: dict, shape: tuple[int, ...]) -> Place:
    """Return the function that says where an operation moves the axes of an array of this shape."""

    def place(axis: int, start: int) -> tuple[int, int] | None:
        if name == "broadcast_in_dim":
            target = params["broadcast_dimensions"][axis]
            return (target, start) if params["shape"][target] == shape[axis] else None
        if name == "transpose":
            return params["permutation"].index(axis), start
        if name == "squeeze":
            dimensions = [d % len(shape) for d in params["dimensions"]]
            return None if axis in dimensions else (axis - sum(d < axis for d in dimensions), start)
        if name == "reshape":
            target = _reshaped_axis(shape, params["new_sizes"], axis)
            return None if target is None or params.get("dimensions") is not None else (target, start)
        if name == "slice":
            strides = params["strides"]
            return (axis, start + params["start_indices"][axis]) if strides is None or strides[axis] == 1 else None
        return axis, start

    return place


def _reshaped_axis(old: tuple[int, ...], new: tuple[int, ...], axis: int) -> int | None:
    """Return the axis of the shape `new` that counts what `axis` of `old` counted, None if there is none."""
    before = math.prod(old[:axis])
    for target, size in enumerate(new):
        if size == old[axis] and math.prod(new[:target]) == before:
            return target
    return None


def reduce_sum(eqn: Any, inputs: list) -> list[Jet]:
    """Sum over axes; an electron axis among them becomes the leading axis of the dense Jacobian, without a scatter."""
    (jet,), axes = inputs, tuple(eqn.params["axes"])
    kept, summed = [], [] if jet.dense is None else [jnp.sum(jet.dense, axis=tuple(a + 1 for a in axes))]
    for block in jet.blocks:
        stays = tuple(part._replace(axis=part.axis - sum(a < part.axis for a in axes))
                      for part in block.parts if part.axis not in axes)
        if stays:
            values = jnp.sum(block.values, axis=tuple(a + 1 for a in axes))
            kept.append(Block(stays, values).with_positive_sign())
        summed += [sum_out(block.values, part, axes, jet.n_electrons) for part in block.parts if part.axis in axes]
    return [Jet(jnp.sum(jet.value, axes), merge(kept), sum(summed) if summed else None,
                jnp.sum(jet.laplacian, axes), jet.n_electrons)]


def concatenate(eqn: Any, inputs: list) -> list[Jet]:
    """Join arrays along an axis, which may count electrons."""
    return [_joined(inputs, eqn.params["dimension"])]


def stack(eqn: Any, inputs: list) -> list[Jet]:
    """Join arrays along a new axis."""
    axis = eqn.params["axis"]

    def place(at: int, start: int) -> tuple[int, int]:
        return at + (at >= axis), start

    def expand(x: Array) -> Array:
        return jnp.expand_dims(x, axis)

    return [_joined([rearrange(x, expand, place) if isinstance(x, Jet) else expand(x) for x in inputs], axis)]


def _joined(inputs: list, axis: int) -> Jet:
    """Return arrays and Jets joined along an axis."""
    jets = [x for x in inputs if isinstance(x, Jet)]
    offsets = [sum(_value(x).shape[axis] for x in inputs[:i]) for i in range(len(inputs))]

    def join(pieces: list[Array | None], lead: int | None) -> Array:
        shape = [() if lead is None else (lead,)] * len(inputs)
        filled = [jnp.zeros(s + _value(x).shape, jets[0].value.dtype) if p is None else p
                  for s, p, x in zip(shape, pieces, inputs, strict=True)]
        return jnp.concatenate(filled, axis=axis + (lead is not None))

    places: dict[tuple[Part, ...], list] = {}
    for i, x in enumerate(inputs):
        for block in x.blocks if isinstance(x, Jet) else ():
            parts = tuple(part._replace(start=part.start - offsets[i] * (part.axis == axis)) for part in block.parts)
            places.setdefault(parts, [None] * len(inputs))[i] = block.values
    blocks = tuple(Block(parts, join(pieces, 3)) for parts, pieces in places.items())
    dense = None
    if any(jet.dense is not None for jet in jets):
        dense = join([x.dense if isinstance(x, Jet) else None for x in inputs], 3 * jets[0].n_electrons)
    laplacian = join([x.laplacian if isinstance(x, Jet) else None for x in inputs], None)
    return Jet(join([_value(x) for x in inputs], None), blocks, dense, laplacian, jets[0].n_electrons)


def split(eqn: Any, inputs: list) -> list[Jet]:
    """Cut an array along an axis, which may count electrons."""
    (jet,), axis, outputs, offset = inputs, eqn.params["axis"], [], 0
    for size in eqn.params["sizes"]:
        def cut(x: Array, offset: int = offset, size: int = size) -> Array:
            return jax.lax.slice_in_dim(x, offset, offset + size, axis=axis)

        def place(at: int, start: int, offset: int = offset) -> tuple[int, int]:
            return at, start + (offset if at == axis else 0)

        outputs.append(rearrange(jet, cut, place))
        offset += size
    return outputs


def black_box(eqn: Any, inputs: list) -> list[Jet | Array]:
    """Apply any operation that JAX can differentiate twice, coordinate by coordinate: always right, seldom fast.

    It says once for each kind of operation that it is used.
    With X_k the Jacobian's rows, L' = f'(L) + sum_k f''(X_k, X_k) by nested forward-mode derivatives. Work that does
    not depend on k, such as the inverse of a matrix, is done once.
    """
    say_slow(str(eqn.params.get("name") or eqn.primitive.name))
    active = [i for i, x in enumerate(inputs) if isinstance(x, Jet)]
    jets = [densify(inputs[i]) for i in active]
    values = tuple(jet.value for jet in jets)
    outputs = bind(eqn, *[_value(x) for x in inputs])
    real = [i for i, out in enumerate(outputs) if jnp.issubdtype(jnp.result_type(out), jnp.floating)]

    def function(*arguments: Array) -> tuple:
        out = bind(eqn, *_fill(inputs, active, arguments))
        return tuple(out[i] for i in real)

    def along(*tangents: Array) -> tuple[tuple, tuple]:
        def slope(*arguments: Array) -> tuple:
            return jax.jvp(function, arguments, tangents)[1]
        return jax.jvp(slope, values, tangents)

    first, second = jax.vmap(along)(*[jet.dense for jet in jets])
    drift = jax.jvp(function, values, tuple(jet.laplacian for jet in jets))[1]
    for i, place in enumerate(real):
        laplacian = drift[i] + jnp.sum(second[i], axis=0)
        outputs[place] = Jet(outputs[place], (), first[i], laplacian, jets[0].n_electrons)
    return outputs


@cache
def say_slow(name: str) -> None:
    """Say that an operation has no rule of its own, the first time that it is met."""
    _LOG.warning("forward Laplacian: no rule for %r, differentiated coordinate by coordinate (right, but slower)", name)
