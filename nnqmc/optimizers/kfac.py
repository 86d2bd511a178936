"""K-FAC: the natural gradient with a metric of one Kronecker product for each dense layer."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from nnqmc.errors import InputError
from nnqmc.optimizers.scores import Scores, combined, make_scores
from nnqmc.optimizers.simple import Delay, Rate, hyperbolic_decay
from nnqmc.ranges import Between, check
from nnqmc.typing import LogPsi, Params, VMCBatch

_HIGHEST = jax.lax.Precision.HIGHEST

_LARGEST_BLOCK = 256
"""Parameters of an array other than a layer's up to which the metric of the array is a full matrix, not a diagonal."""

Block = tuple[Array, ...]
"""The metric of one block: (A, G) of a layer, a full matrix, or a diagonal."""


class KfacState(NamedTuple):
    """The state of K-FAC.

    Attributes:
        weight: the sum of the weights in the moving averages.
        blocks: the averaged metric of each block, by the place of its first array among the leaves of the parameters.
    """

    weight: Float[Array, ""]
    blocks: dict[int, Block]


def kfac(log_psi: LogPsi, *, learning_rate: Rate = 0.05, delay: Delay = 1000.0,
         damping: Annotated[float, Between(1e-12)] = 1e-3, decay: Annotated[float, Between(0.0, 0.9999)] = 0.95,
         norm_constraint: Annotated[float, Between(1e-12)] = 1e-3, chunk_size: int | None = None
         ) -> optax.GradientTransformationExtraArgs:
    """Return K-FAC: natural-gradient steps with a metric that is one Kronecker product for each dense layer.

    With a the inputs of a layer and 1 for its bias, and g the derivatives of log|psi| by its outputs, the metric of
    its weights is A x G, where A is the mean of a a^T over walkers and uses (the electrons or pairs that share the
    layer) and G the mean over walkers of the sum of g g^T over uses. It is exact for a layer that is used once if A
    and G are independent. Both are moving averages, and are damped by sqrt(damping) each, times and over
    pi = sqrt(mean diagonal of A / mean diagonal of G). A layer that is called inside of a transformation, such as
    `jax.vmap`, has the factors <S S^T> and <S^T S> of its scores S in place of them. Any other array has the covariance
    of its scores, or the diagonal of that if the array is larger than 256.

    The direction d is this metric's inverse times half of the gradient, and the step is -eta d with
    eta = learning_rate/(1 + t/delay), shortened by min(1, sqrt(norm_constraint/(eta^2 d.g))), g half of the gradient.
    Sources: Martens, Grosse, arXiv:1503.05671; Ba, Grosse, Martens, ICLR 2017; for wavefunctions Pfau et al., Phys.
    Rev. Research 2, 033429 (2020), doi:10.1103/PhysRevResearch.2.033429.

    Args:
        log_psi: the wavefunction being trained.
        learning_rate: rate at step 0.
        delay: steps after which the rate has halved.
        damping: Tikhonov regularisation of the metric, relative to unit scores.
        decay: how much of the averaged factors is kept from step to step.
        norm_constraint: largest squared length of a step in the metric of the wavefunction.
        chunk_size: walkers whose scores are computed together; None chooses by itself (see `over_walkers`).

    Raises:
        InputError: a setting is out of range.
    """
    check(kfac, damping=damping, decay=decay, norm_constraint=norm_constraint)
    rate = hyperbolic_decay(learning_rate, delay)
    direction = scale_by_kfac(log_psi, damping=damping, decay=decay, chunk_size=chunk_size)

    def init(params: Params) -> tuple[KfacState, Array]:
        return direction.init(params), jnp.zeros((), jnp.int32)

    def update(grads: Params, state: tuple[KfacState, Array], params: Params | None = None, **extra: Any
               ) -> tuple[Params, tuple[KfacState, Array]]:
        (inner, step), eta = state, rate(state[1])
        found, inner = direction.update(grads, inner, params, **extra)
        squared = 0.5 * eta**2 * jnp.vdot(ravel_pytree(grads)[0], ravel_pytree(found)[0])
        length = eta * jnp.minimum(1.0, jnp.sqrt(norm_constraint / jnp.maximum(squared, 1e-30)))
        return jax.tree.map(lambda d: (-length * d).astype(d.dtype), found), (inner, step + 1)

    return optax.GradientTransformationExtraArgs(init, update)


def scale_by_kfac(log_psi: LogPsi, *, damping: float, decay: float, chunk_size: int | None = None
                  ) -> optax.GradientTransformationExtraArgs:
    """Return an optax transformation to the direction of K-FAC (see `kfac`); its `update` needs the keyword `batch`."""

    def init(params: Params) -> KfacState:
        leaves = jax.tree.leaves(params)
        weight, blocks = jnp.zeros((), leaves[0].dtype), {}
        for place, bias in _blocks(params).items():
            leaf = leaves[place]
            if bias is None and not _is_kernel(params, place):
                sizes: list[tuple[int, ...]] = [(leaf.size,) * (2 if leaf.size <= _LARGEST_BLOCK else 1)]
            else:
                sizes = [(rows := leaf.shape[0] + (bias is not None), rows), (leaf.shape[1],) * 2]
            blocks[place] = tuple(jnp.zeros(size, leaf.dtype) for size in sizes)
        return KfacState(weight, blocks)

    def update(grads: Params, state: KfacState, params: Params | None = None, *, batch: VMCBatch | None = None,
               **unused: Any) -> tuple[Params, KfacState]:
        if params is None or batch is None:
            raise InputError("K-FAC needs optimizer.update(grads, state, params, batch=batch) with a VMCBatch")
        walkers = jax.nn.softmax(batch.log_weight)
        with jax.named_scope("scores"):
            make = make_scores(log_psi, batch.system, chunk_size, is_worth=lambda kernel, outputs: True)
            scores = make(params, batch.electrons)
        with jax.named_scope("factors"):
            weight, new = decay * state.weight + 1.0, _factors(scores, walkers, params, state.blocks)
            blocks = jax.tree.map(lambda old, now: old + (now - old) / weight, state.blocks, new)
        with jax.named_scope("direction"):
            half = combined(scores, walkers * batch.residual, params)
            if batch.gradient is not None:
                half = jax.tree.map(lambda h, g: h + 0.5 * g, half, batch.gradient)
            return _solved(half, blocks, damping), KfacState(weight, blocks)

    return optax.GradientTransformationExtraArgs(init, update)


def _paths(params: Params) -> list[str]:
    """Return the path of every leaf as a text."""
    return [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]


def _is_kernel(params: Params, place: int) -> bool:
    """Tell whether a leaf is the kernel of a dense layer, by its name and its two axes."""
    return _paths(params)[place].endswith("['kernel']") and jax.tree.leaves(params)[place].ndim == 2


def _blocks(params: Params) -> dict[int, int | None]:
    """Return the first leaf of each block, and the bias that belongs to it if it is the kernel of a layer that has one.
    """
    paths, leaves = _paths(params), jax.tree.leaves(params)
    biases: dict[int, int] = {}
    for place, path in enumerate(paths):
        bias = path.removesuffix("['kernel']") + "['bias']"
        if _is_kernel(params, place) and bias in paths:
            if leaves[other := paths.index(bias)].shape == leaves[place].shape[1:]:
                biases[place] = other
    return {place: biases.get(place) for place in range(len(leaves)) if place not in biases.values()}


def _factors(scores: Scores, walkers: Float[Array, "b"], params: Params, like: dict[int, Block]) -> dict[int, Block]:
    """Return the metric of every block in this sample."""
    root, biases = jnp.sqrt(walkers)[:, None], _blocks(params)
    others, columns, start = jax.tree.leaves(params), {}, 0
    for place, leaf in enumerate(others):
        if place not in scores.layers:
            columns[place] = scores.rest[:, start:start + leaf.size].reshape(-1, *leaf.shape)
            start += leaf.size
    found: dict[int, Block] = {}
    for place, block in like.items():
        bias = biases[place]
        if place in scores.layers:
            inputs, outputs = scores.layers[place]
            if bias is not None:
                inputs = jnp.concatenate([inputs, jnp.ones_like(inputs[..., :1])], axis=-1)
            a, g = (_flat(root[..., None] * x) for x in (inputs, outputs))
            found[place] = _square(a) / inputs.shape[1], _square(g)
        elif len(block) == 2:
            own = columns[place] if bias is None else jnp.concatenate([columns[place], columns[bias][:, None]], axis=1)
            a, g = _square(_flat(root[..., None] * own.swapaxes(1, 2))), _square(_flat(root[..., None] * own))
            scale = jnp.sqrt(jnp.maximum(jnp.trace(a), 1e-30))
            found[place] = a / scale, g / scale
        else:
            own = columns[place].reshape(root.shape[0], -1)
            own = root * (own - jnp.matmul(walkers, own, precision=_HIGHEST))
            found[place] = (_square(own) if block[0].ndim == 2 else jnp.sum(own**2, axis=0),)
    return found


def _flat(rows: Array) -> Array:
    """Return all rows of all walkers as the rows of one matrix."""
    return rows.reshape(-1, rows.shape[-1])


def _square(rows: Array) -> Array:
    """Return the sum of the outer products of rows with themselves."""
    return jnp.matmul(rows.T, rows, precision=_HIGHEST)


def _solved(gradient: Params, blocks: dict[int, Block], damping: float) -> Params:
    """Return the inverse of the damped metric times a gradient; the solves are done in float64."""
    leaves, tree = jax.tree.flatten(gradient)
    found = list(leaves)
    for place, bias in _blocks(gradient).items():
        leaf, block = leaves[place], blocks[place]
        with jax.enable_x64(True):
            wide = leaf.astype(jnp.float64)
            if len(block) == 2:
                if bias is not None:
                    wide = jnp.concatenate([wide, leaves[bias].astype(jnp.float64)[None]])
                wide = _solved_layer(wide, *(factor.astype(jnp.float64) for factor in block), damping)
            elif block[0].ndim == 2:
                wide = _solve(block[0].astype(jnp.float64), wide.reshape(-1, 1), damping).reshape(wide.shape)
            else:
                wide = wide / (block[0].astype(jnp.float64).reshape(wide.shape) + damping)
            if bias is not None:
                wide, found[bias] = wide[:-1], wide[-1].astype(leaf.dtype)
            found[place] = wide.astype(leaf.dtype)
    return jax.tree.unflatten(tree, found)


def _solved_layer(gradient: Array, a: Array, g: Array, damping: float) -> Array:
    """Return (A + pi sqrt(damping))^-1 gradient (G + sqrt(damping)/pi)^-1."""
    pi = jnp.sqrt(jnp.maximum(jnp.trace(a) / len(a), 1e-30) / jnp.maximum(jnp.trace(g) / len(g), 1e-30))
    return _solve(g, _solve(a, gradient, pi * damping**0.5).T, damping**0.5 / pi).T


def _solve(matrix: Array, rhs: Array, damping: Array | float) -> Array:
    """Return (matrix + damping)^-1 rhs for a positive matrix."""
    damped = matrix + damping * jnp.eye(len(matrix), dtype=matrix.dtype)
    return jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(damped, lower=True), rhs)
