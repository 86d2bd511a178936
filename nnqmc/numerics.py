"""Numerically safe building blocks: norms, signed sums of exponentials, determinants."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nnqmc.typing import SignedLog

_HIGHEST = jax.lax.Precision.HIGHEST

_ELIMINATED_SIZE = 16
"""Largest matrix that is eliminated by operations over the whole batch; larger ones go to LAPACK or its GPU twin."""

_HALVED_SIZE = 8
"""From so many rows on, two loops over half of the columns are faster than one, by a third; they compile for longer."""


SLOGDET = "nnqmc.numerics.slogdet"
"""The name of `slogdet` in traced programs, where the forward Laplacian has a rule for it; no function of a user's can
be called so, since it isn't an identifier."""


def safe_norm(vectors: Float[Array, "*batch d"]) -> Float[Array, "*batch"]:
    """Euclidean norm over the last axis whose derivatives are 0, not NaN, at the zero vector."""
    squared = jnp.sum(vectors * vectors, axis=-1)
    zero = squared == 0.0
    return jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, squared)))


def log_rescale(vectors: Float[Array, "*batch d"], lengths: Float[Array, "*batch"] | None = None
                ) -> tuple[Float[Array, "*batch d"], Float[Array, "*batch"]]:
    """vectors log(1 + l)/l and log(1 + l), for the vectors' norms l or the given `lengths`; linear near 0.

    Source: von Glehn, Spencer, Pfau, arXiv:2211.13672 (Psiformer).
    """
    lengths = safe_norm(vectors) if lengths is None else lengths
    short = jnp.log1p(lengths)
    at_zero = lengths == 0.0
    scale = jnp.where(at_zero, 1.0, short / jnp.where(at_zero, 1.0, lengths))
    return vectors * scale[..., None], short


def signed_logsumexp(sign: Float[Array, "*batch k"], logabs: Float[Array, "*batch k"]) -> SignedLog:
    """sum_k sign_k exp(logabs_k) over the last axis as a SignedLog; an exact zero gives (0, -inf), never NaN."""
    top = jax.lax.stop_gradient(jnp.max(logabs, axis=-1, keepdims=True))
    top = jnp.where(jnp.isfinite(top), top, 0.0)
    present = logabs != -jnp.inf
    terms = jnp.where(present, sign * jnp.exp(jnp.where(present, logabs, 0.0) - top), 0.0)
    total = jnp.sum(terms, axis=-1)
    zero = total == 0.0
    logabs_total = jnp.where(zero, -jnp.inf, jnp.log(jnp.where(zero, 1.0, jnp.abs(total))) + top[..., 0])
    return SignedLog(jnp.sign(total), logabs_total)


def slogdet(matrices: Float[Array, "*batch n n"]) -> SignedLog:
    """Sign and log|det| of a batch of square matrices; derivatives stay finite at singular matrices.

    Small matrices are eliminated by operations over the whole batch, which is several times faster than one
    library call per matrix. An exactly singular matrix gives (0, -inf).
    """
    return SignedLog(*_slogdet(matrices))


@jax.custom_jvp
def _slogdet(matrices: Array) -> tuple[Array, Array]:
    return named_slogdet(matrices)


def _plain_slogdet(matrices: Array) -> tuple[Array, Array]:
    if matrices.shape[-1] == 0:
        return jnp.ones(matrices.shape[:-2], matrices.dtype), jnp.zeros(matrices.shape[:-2], matrices.dtype)
    if matrices.shape[-1] > _ELIMINATED_SIZE:
        sign, logabs = jnp.linalg.slogdet(matrices)
        return sign, logabs
    return _eliminated(matrices)


_plain_slogdet.__name__ = SLOGDET
named_slogdet = jax.jit(_plain_slogdet)
"""Sign and log|det| without derivatives of its own: how `slogdet` appears in traced programs."""


@_slogdet.defjvp
def _slogdet_jvp(primals: tuple, tangents: tuple) -> tuple:
    (matrices,), (tangent,) = primals, tangents
    sign, logabs = _slogdet(matrices)
    return (sign, logabs), (jnp.zeros_like(sign), _trace_solve(matrices, tangent))


def _trace_of_product(x: Array, y: Array) -> Array:
    """tr(X Y)."""
    return jnp.einsum("...ab,...ba->...", x, y, precision=_HIGHEST)


@jax.custom_jvp
def _trace_solve(matrices: Array, other: Array) -> Array:
    """tr(A^-1 X)."""
    return _trace_of_product(guarded_inverse(matrices), other)


@_trace_solve.defjvp
def _trace_solve_jvp(primals: tuple, tangents: tuple) -> tuple:
    """d tr(A^-1 X) = tr(A^-1 dX) - tr(A^-1 dA A^-1 X); for dA = X both factors are the same product."""
    matrices, other = primals
    d_matrices, d_other = tangents
    inverse = guarded_inverse(matrices)
    value = _trace_of_product(inverse, other)
    first = jnp.matmul(inverse, d_matrices, precision=_HIGHEST)
    second = jnp.matmul(inverse, other, precision=_HIGHEST)
    tangent = _trace_of_product(inverse, d_other) - _trace_of_product(first, second)
    return value, tangent


@jax.custom_jvp
def guarded_inverse(matrices: Float[Array, "*batch n n"]) -> Float[Array, "*batch n n"]:
    """Inverse of each matrix; finite (and meaningless) where a matrix is exactly singular."""
    if matrices.shape[-1] == 0:
        return matrices
    if matrices.shape[-1] > _ELIMINATED_SIZE:
        inverse = jnp.linalg.inv(matrices)
        return jnp.where(jnp.isfinite(inverse), inverse, 0.0)
    return _inverted(matrices)[2]


@jax.custom_jvp
def slogdet_and_inverse(matrices: Float[Array, "*batch n n"]
                        ) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"], Float[Array, "*batch n n"]]:
    """Sign, log|det| and guarded inverse, as `slogdet` and `guarded_inverse` give them, by one elimination."""
    if not 0 < matrices.shape[-1] <= _ELIMINATED_SIZE:
        return (*slogdet(matrices), guarded_inverse(matrices))
    return _inverted(matrices)


@slogdet_and_inverse.defjvp
def _slogdet_and_inverse_jvp(primals: tuple, tangents: tuple) -> tuple:
    sign, logabs, inverse = slogdet_and_inverse(primals[0])
    relative = jnp.matmul(inverse, tangents[0], precision=_HIGHEST)
    change = -jnp.matmul(relative, inverse, precision=_HIGHEST)
    return (sign, logabs, inverse), (jnp.zeros_like(sign), jnp.trace(relative, axis1=-2, axis2=-1), change)


@guarded_inverse.defjvp
def _guarded_inverse_jvp(primals: tuple, tangents: tuple) -> tuple:
    inverse = guarded_inverse(primals[0])
    change = jnp.matmul(jnp.matmul(inverse, tangents[0], precision=_HIGHEST), inverse, precision=_HIGHEST)
    return inverse, -change


class _Elimination(NamedTuple):
    """Matrices (n, n, b) half-way; the batch is the last axis, so that every operation runs along it."""

    work: Array
    sign: Array
    logabs: Array
    pivots: Array


def _whole_batch(function: Callable[[Array], tuple[Array, ...]]) -> Callable[[Array], tuple[Array, ...]]:
    """`function` of (*batch, n, n) such that jax.vmap adds an axis to the batch."""
    batched = jax.custom_batching.custom_vmap(function)

    @batched.def_vmap
    def rule(axis_size: int, in_batched: list, matrices: Array) -> tuple[tuple[Array, ...], tuple[bool, ...]]:
        outputs = batched(matrices)
        return outputs, tuple(True for _ in outputs)

    return batched


@_whole_batch
def _eliminated(matrices: Array) -> tuple[Array, Array]:
    """Sign and log|det| by Gaussian elimination; half-way what is done with is left behind."""
    n, batch = matrices.shape[-1], matrices.shape[:-2]
    done = _start(matrices)
    for size in (n // 2, n - n // 2) if n >= _HALVED_SIZE else (n,):
        done = jax.lax.fori_loop(0, size, partial(_eliminate, invert=False), done)
        done = done._replace(work=done.work[size:, size:])
    return done.sign.reshape(batch), done.logabs.reshape(batch)


@_whole_batch
def _inverted(matrices: Array) -> tuple[Array, Array, Array]:
    """Sign, log|det| and the inverse by Gauss-Jordan elimination in place."""
    n, batch = matrices.shape[-1], matrices.shape[:-2]
    done = jax.lax.fori_loop(0, n, partial(_eliminate, invert=True), _start(matrices))
    inverse = jax.lax.fori_loop(0, n, partial(_swap_columns_back, pivots=done.pivots.T), jnp.moveaxis(done.work, -1, 0))
    return done.sign.reshape(batch), done.logabs.reshape(batch), inverse.reshape(matrices.shape)


def _start(matrices: Array) -> _Elimination:
    n = matrices.shape[-1]
    work = jnp.moveaxis(matrices.reshape((-1, n, n)), 0, -1)
    one = jnp.ones(work.shape[-1], work.dtype)
    return _Elimination(work, one, jnp.zeros_like(one), jnp.zeros((n, work.shape[-1]), jnp.int32))


def _eliminate(column: Array, old: _Elimination, invert: bool) -> _Elimination:
    """One column: swap the row with the largest entry into place, scale it, subtract it from the others."""
    rows = jnp.arange(old.work.shape[0])[:, None]
    entries = jax.lax.dynamic_index_in_dim(old.work, column, 1, keepdims=False)
    best = jnp.argmax(jnp.where(rows >= column, jnp.abs(entries), -1.0), axis=0)
    is_here, is_best = rows == column, rows == best
    pivot_row = jnp.take_along_axis(old.work, best[None, None], axis=0, mode="clip")[0]
    pivot = jax.lax.dynamic_index_in_dim(pivot_row, column, 0, keepdims=False)
    guarded = jnp.where(pivot == 0.0, 1.0, pivot)
    sign = old.sign * jnp.sign(pivot) * jnp.where(best == column, 1.0, -1.0)
    logabs = old.logabs + jnp.where(pivot == 0.0, -jnp.inf, jnp.log(jnp.abs(guarded)))
    factor = jnp.where(is_best, jax.lax.dynamic_index_in_dim(entries, column, 0), entries)
    others = jnp.where(is_best[:, None], jax.lax.dynamic_index_in_dim(old.work, column, 0), old.work)
    if not invert:
        return _Elimination(others - factor[:, None] * (pivot_row / guarded), sign, logabs, old.pivots)
    scaled = jnp.where(is_here, 1.0, pivot_row) / guarded
    others = jnp.where(is_here, 0.0, others) - factor[:, None] * scaled
    pivots = jnp.where(is_here, best.astype(jnp.int32), old.pivots)
    return _Elimination(jnp.where(is_here[:, None], scaled, others), sign, logabs, pivots)


def _swap_columns_back(step: Array, inverse: Array, pivots: Array) -> Array:
    """Undo the row exchanges: exchanged rows of A are exchanged columns of its inverse, the last one first."""
    n = inverse.shape[-1]
    column, columns = n - 1 - step, jnp.arange(n)
    pivot = jax.lax.dynamic_index_in_dim(pivots, column, -1)[:, None]
    here = jax.lax.dynamic_index_in_dim(inverse, column, -1)
    there = jnp.take_along_axis(inverse, pivot, axis=-1, mode="clip")
    return jnp.where(columns == column, there, jnp.where(columns == pivot, here, inverse))


def log_sum_det(*blocks: Float[Array, "k _n _n"]) -> SignedLog:
    """log|sum_k prod_b det(blocks[b][k])| with its sign, the sum over determinants of spin blocks.

    One block is a sum of full determinants; two are products of spin-up and spin-down determinants. Blocks of
    size 0 count as 1. Blocks of size 1 are multiplied into a row of the next block, so that a vanishing entry
    keeps its exact derivative.
    """
    blocks = tuple(block for block in blocks if block.shape[-1] > 0)
    if not blocks:
        return SignedLog(jnp.ones(()), jnp.zeros(()))
    factors = math.prod(block[:, 0, 0] for block in blocks if block.shape[-1] == 1)
    dets = [slogdet(block) for block in blocks if block.shape[-1] > 1]
    weights = math.prod((det.sign for det in dets), start=factors)
    return signed_logsumexp(weights, sum((det.logabs for det in dets), start=jnp.zeros_like(weights)))
