"""Scores, the derivatives of log|psi| with respect to the parameters, of every walker, and inner products of them.

The weights of a dense layer are differentiated by outer products of its inputs a and the derivatives g with respect to
its outputs. Where that is cheaper, a layer's part of the products between walkers s and t,

    sum_ij (a_si . a_tj)(g_si . g_tj)    (i, j: the electrons or pairs the layer acts on),

is formed from a and g, and the walkers-by-weights matrix of scores is never built.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.extend.core import get_opaque_trace_state
from jaxtyping import Array, Float

from nnqmc.parallel import over_walkers
from nnqmc.typing import Electrons, LogPsi, Params, Population, System

_HIGHEST = jax.lax.Precision.HIGHEST

_OVERHEAD = 64
"""The cost of writing, multiplying and adding two inner products, in multiplications of numbers that are at hand."""

_WORTH = 2.0
"""Factors may take this many times the multiplications of the walkers-by-weights matrix, which is large and has to be
written, centred and read."""

_PLAIN = nn.Dense(1, parent=None)

Layers = dict[int, list[tuple[int, ...]]]
"""The layers kept in factors: which leaf of the parameters is the kernel, and the shape of the outputs of every use."""

IsWorth = Callable[[tuple[int, int], list[Array]], bool]
"""(shape of a kernel, outputs of all uses of its layer) -> whether the layer is kept in factors."""


class Scores(NamedTuple):
    """The scores of a population, not centred.

    layers: for each kernel kept in factors, by its place among the leaves of the parameters, the inputs of its layer
        and the derivatives with respect to its outputs, (n_walkers, n_uses, d_in) and (n_walkers, n_uses, d_out).
    rest: derivatives with respect to all other parameters, flattened.
    """

    layers: dict[int, tuple[Float[Array, "n_walkers _uses _d_in"], Float[Array, "n_walkers _uses _d_out"]]]
    rest: Float[Array, "n_walkers n_rest"]


def make_scores(log_psi: LogPsi, system: System, chunk_size: int | None = None, factored: bool = True,
                is_worth: IsWorth | None = None) -> Callable[[Params, Population], Scores]:
    """Return a function (params, electrons) -> the scores of every walker.

    Args:
        log_psi: any function of that form. The layers of flax's `nn.Dense` in it are found, others are not looked for.
        system: the molecule.
        chunk_size: walkers whose scores are computed together; None chooses by itself (see `over_walkers`).
        factored: whether any dense layers are kept in factors.
        is_worth: which of them are, by the shape of the kernel and the outputs of all uses; None keeps those whose
            inner products are cheaper that way.
    """

    def scores(params: Params, electrons: Population) -> Scores:
        layers = _kept_layers(log_psi, params, electrons[0], system, is_worth or _is_cheap) if factored else {}

        def one(walker: Electrons) -> Scores:
            return _walker_scores(log_psi, params, walker, system, layers)

        return over_walkers(one, chunk_size)(electrons)

    return scores


def gram(scores: Scores) -> Float[Array, "n_walkers n_walkers"]:
    """Return the inner products of the scores of all walkers with one another."""
    products = jnp.matmul(scores.rest, scores.rest.T, precision=_HIGHEST)
    half = jnp.zeros_like(products)
    for inputs, outputs in scores.layers.values():
        if inputs.shape[1] == 1:
            products = products + _products(inputs[:, 0], inputs[:, 0]) * _products(outputs[:, 0], outputs[:, 0])
        else:
            half = _add_half_of_layer(half, inputs, outputs)
    is_used = any(inputs.shape[1] > 1 for inputs, _ in scores.layers.values())
    return products + 0.5 * (half + half.T) if is_used else products


def times(scores: Scores, direction: Params) -> Float[Array, "n_walkers"]:
    """Return the derivative of every walker's log|psi| along a direction in parameter space."""
    kernels, rest = _split(direction, scores.layers)
    along = jnp.matmul(scores.rest, rest, precision=_HIGHEST)
    for leaf, (inputs, outputs) in scores.layers.items():
        moved = jnp.matmul(inputs, kernels[leaf].astype(inputs.dtype), precision=_HIGHEST)
        along = along + jnp.sum(moved * outputs, axis=(1, 2))
    return along


def combined(scores: Scores, weights: Float[Array, "n_walkers"], like: Params) -> Params:
    """Return the sum over walkers of weight times score, in the form of the parameters `like`."""
    rest = jnp.matmul(weights, scores.rest, precision=_HIGHEST)
    kernels = {leaf: jnp.einsum("wud,wuf->df", weights[:, None, None] * inputs, outputs, precision=_HIGHEST)
               for leaf, (inputs, outputs) in scores.layers.items()}
    return _join(kernels, rest, like)


def _products(first: Array, second: Array) -> Array:
    """Return the inner products of all rows of one matrix with all rows of another."""
    return jnp.matmul(first, second.T, precision=_HIGHEST)


def _add_half_of_layer(total: Array, inputs: Array, outputs: Array) -> Array:
    """Return the total plus a matrix whose symmetric part is sum_ij (a_si . a_tj)(g_si . g_tj).

    The part j, i is the transpose of the part i, j. Sums of matrices and their transposes are taken once, of what comes
    out of the loops: reading along the other axis is what costs most.
    """
    first, second = np.tril_indices(inputs.shape[1])
    inputs, outputs = jnp.swapaxes(inputs, 0, 1), jnp.swapaxes(outputs, 0, 1)

    def add(total: Array, pair: tuple[Array, Array, Array]) -> tuple[Array, None]:
        i, j, weight = pair
        return total + weight * _products(inputs[i], inputs[j]) * _products(outputs[i], outputs[j]), None

    pairs = (jnp.asarray(first), jnp.asarray(second), jnp.where(first == second, 1.0, 2.0).astype(inputs.dtype))
    return jax.lax.scan(add, total, pairs)[0]


def _walker_scores(log_psi: LogPsi, params: Params, walker: Electrons, system: System, layers: Layers) -> Scores:
    """Return the scores of one walker by one pass backwards, which stops at the outputs of layers kept in factors."""

    def log_abs(params: Params, shifts: dict[int, list[Array]]) -> tuple[Array, dict[int, list[Array]]]:
        used: dict[int, list[Array]] = {leaf: [] for leaf in layers}

        def intercept(leaf: int, layer: Callable[[Array], Array], inputs: Array) -> Array:
            if leaf not in layers:
                return layer(inputs)
            used[leaf].append(inputs)
            return layer(inputs) + shifts[leaf][len(used[leaf]) - 1]

        with _watching(params, intercept):
            return log_psi(params, walker, system).logabs, used

    shifts = {leaf: [jnp.zeros(shape, walker.dtype) for shape in shapes] for leaf, shapes in layers.items()}
    (by_params, by_outputs), used = jax.grad(log_abs, argnums=(0, 1), has_aux=True)(params, shifts)
    factors = {leaf: (_rows(used[leaf]), _rows(by_outputs[leaf])) for leaf in layers}
    return Scores(factors, _split(by_params, layers)[1])


def _kept_layers(log_psi: LogPsi, params: Params, walker: Electrons, system: System, is_worth: IsWorth) -> Layers:
    """Return the dense layers that are worth keeping in factors and whose kernel is used nowhere else."""
    uses: dict[int, list[Array]] = {}

    def log_abs_without_layers(params: Params, walker: Electrons) -> Array:
        def intercept(leaf: int, layer: Callable[[Array], Array], inputs: Array) -> Array:
            kernel = jax.tree.leaves(params)[leaf]
            output = jnp.zeros((*inputs.shape[:-1], kernel.shape[-1]), jnp.result_type(inputs, kernel))
            uses.setdefault(leaf, []).append(output)
            return output

        with _watching(params, intercept):
            return log_psi(params, walker, system).logabs

    program = jax.make_jaxpr(log_abs_without_layers)(params, walker).jaxpr
    elsewhere = {id(variable) for equation in program.eqns for variable in equation.invars}
    leaves = jax.tree.leaves(params)
    return {leaf: [output.shape for output in outputs] for leaf, outputs in uses.items()
            if id(program.invars[leaf]) not in elsewhere and is_worth(leaves[leaf].shape, outputs)}


def _is_cheap(kernel: tuple[int, int], outputs: list[Array]) -> bool:
    """Tell whether the inner products of a layer cost less from factors."""
    n_uses = sum(math.prod(output.shape[:-1]) for output in outputs)
    return n_uses * (n_uses + 1) * (sum(kernel) + _OVERHEAD) < _WORTH * math.prod(kernel)


@contextlib.contextmanager
def _watching(params: Params, intercept: Callable[[int, Callable[[Array], Array], Array], Array]) -> Iterator[None]:
    """Let `intercept(leaf, layer, inputs)` stand for every call of an `nn.Dense` whose kernel is a leaf of `params`.

    Plain layers only, at the level of `log_psi` itself: what is called inside of a transformation of its own, such as
    `jax.vmap`, `nn.remat` or `nn.scan`, is left alone.
    """
    level = get_opaque_trace_state(convention="flax")
    places = {id(leaf): place for place, leaf in enumerate(jax.tree.leaves(params))}

    def around(call: Callable[..., Any], args: tuple, kwargs: dict[str, Any], context: Any) -> Any:
        layer, place = context.module, None
        if _is_plain(layer) and context.method_name == "__call__" and not kwargs:
            if not layer.is_initializing() and get_opaque_trace_state(convention="flax") == level:
                place = places.get(id(layer.variables["params"]["kernel"]))
        return call(*args, **kwargs) if place is None else intercept(place, call, *args)

    with nn.intercept_methods(around):
        yield


def _is_plain(layer: nn.Module) -> bool:
    """Tell whether it is an `nn.Dense` that multiplies by its kernel and does nothing else to it."""
    return type(layer) is nn.Dense and all(
        getattr(layer, name) == getattr(_PLAIN, name)
        for name in ("dtype", "dot_general", "dot_general_cls", "promote_dtype"))


def _rows(values: list[Array]) -> Array:
    """Return all uses of a layer as the rows of one matrix."""
    return jnp.concatenate([value.reshape((-1, value.shape[-1])) for value in values])


def _split(tree: Params, layers: Mapping[int, Any]) -> tuple[dict[int, Array], Array]:
    """Return the kernels of the layers, and all other leaves flattened into one array."""
    leaves = jax.tree.leaves(tree)
    rest = [leaf.ravel() for place, leaf in enumerate(leaves) if place not in layers]
    return {place: leaves[place] for place in layers}, jnp.concatenate(rest) if rest else jnp.zeros(0)


def _join(kernels: Mapping[int, Array], rest: Array, like: Params) -> Params:
    """Return the tree of which `_split` made these parts."""
    leaves, tree = jax.tree.flatten(like)
    joined, start = [], 0
    for place, leaf in enumerate(leaves):
        if place in kernels:
            joined.append(kernels[place].astype(leaf.dtype))
        else:
            joined.append(rest[start:start + leaf.size].reshape(leaf.shape).astype(leaf.dtype))
            start += leaf.size
    return jax.tree.unflatten(tree, joined)
