"""Compute norms, signed sums of exponentials and determinants so that values and derivatives stay finite."""

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
"""Matrices of up to so many rows are eliminated by operations over the whole batch, larger ones by a library."""

_HALVED_SIZE = 8
"""From so many rows on, two loops over half of the columns each take a third less time than one, but compile longer."""


SLOGDET = "nnqmc.numerics.slogdet"
"""This is the name of `slogdet` in traced programs, by which the forward Laplacian finds its rule. No function of a
user can have it, since it isn't an identifier."""


def safe_norm(vectors: Float[Array, "*batch d"]) -> Float[Array, "*batch"]:
    """Return the Euclidean norm over the last axis; its derivatives at the zero vector are 0, not NaN."""
    squared = jnp.sum(vectors * vectors, axis=-1)
    zero = squared == 0.0
    return jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, squared)))


def log_rescale(vectors: Float[Array, "*batch d"], lengths: Float[Array, "*batch"] | None = None
                ) -> tuple[Float[Array, "*batch d"], Float[Array, "*batch"]]:
    """Return vectors and lengths that grow with the logarithm of the length: v log(1 + l)/l and log(1 + l).

    Args:
        vectors: the vectors v.
        lengths: l of each vector; by default its norm.

    Source: von Glehn, Spencer, Pfau, arXiv:2211.13672 (Psiformer).
    """
    lengths = safe_norm(vectors) if lengths is None else lengths
    short = jnp.log1p(lengths)
    at_zero = lengths == 0.0
    scale = jnp.where(at_zero, 1.0, short / jnp.where(at_zero, 1.0, lengths))
    return vectors * scale[..., None], short


def signed_logsumexp(sign: Float[Array, "*batch k"], logabs: Float[Array, "*batch k"]) -> SignedLog:
    """Return sum_k sign_k exp(logabs_k) over the last axis as a SignedLog.

    A sum that is exactly zero gives (0, -inf), never NaN.
    """
    top = jax.lax.stop_gradient(jnp.max(logabs, axis=-1, keepdims=True))
    top = jnp.where(jnp.isfinite(top), top, 0.0)
    present = logabs != -jnp.inf
    terms = jnp.where(present, sign * jnp.exp(jnp.where(present, logabs, 0.0) - top), 0.0)
    total = jnp.sum(terms, axis=-1)
    zero = total == 0.0
    logabs_total = jnp.where(zero, -jnp.inf, jnp.log(jnp.where(zero, 1.0, jnp.abs(total))) + top[..., 0])
    return SignedLog(jnp.sign(total), logabs_total)


def slogdet(matrices: Float[Array, "*batch n n"]) -> SignedLog:
    """Return the sign and log|det| of a batch of square matrices.

    Derivatives stay finite at singular matrices. Small matrices are eliminated by operations over the whole batch,
    which is several times faster than one library call per matrix. An exactly singular matrix gives (0, -inf).
    """
    return SignedLog(*_slogdet(matrices))


@jax.custom_jvp
def _slogdet(matrices: Array) -> tuple[Array, Array]:
    """Return sign and log|det| as a pair, with the derivatives that are defined below."""
    return named_slogdet(matrices)


def _plain_slogdet(matrices: Array) -> tuple[Array, Array]:
    """Return sign and log|det| by the method that is fastest for this size."""
    if matrices.shape[-1] == 0:
        return jnp.ones(matrices.shape[:-2], matrices.dtype), jnp.zeros(matrices.shape[:-2], matrices.dtype)
    if matrices.shape[-1] > _ELIMINATED_SIZE:
        sign, logabs = jnp.linalg.slogdet(matrices)
        return sign, logabs
    return _eliminated(matrices)


_plain_slogdet.__name__ = SLOGDET
named_slogdet = jax.jit(_plain_slogdet)
"""This function gives sign and log|det| without derivatives of its own; as it `slogdet` appears in traced programs."""


@_slogdet.defjvp
def _slogdet_jvp(primals: tuple, tangents: tuple) -> tuple:
    """Return the value and d log|det A| = tr(A^-1 dA); the sign doesn't change."""
    (matrices,), (tangent,) = primals, tangents
    sign, logabs = _slogdet(matrices)
    return (sign, logabs), (jnp.zeros_like(sign), _trace_solve(matrices, tangent))


def _trace_of_product(x: Array, y: Array) -> Array:
    """Return tr(X Y)."""
    return jnp.einsum("...ab,...ba->...", x, y, precision=_HIGHEST)


@jax.custom_jvp
def _trace_solve(matrices: Array, other: Array) -> Array:
    """Return tr(A^-1 X)."""
    return _trace_of_product(guarded_inverse(matrices), other)


@_trace_solve.defjvp
def _trace_solve_jvp(primals: tuple, tangents: tuple) -> tuple:
    """Return the value and d tr(A^-1 X) = tr(A^-1 dX) - tr(A^-1 dA A^-1 X).

    For dA = X both factors of the second trace are the same product, so that it is computed once.
    """
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
    """Return the inverse of each matrix; where a matrix is exactly singular the numbers are finite and meaningless."""
    if matrices.shape[-1] == 0:
        return matrices
    if matrices.shape[-1] > _ELIMINATED_SIZE:
        inverse = jnp.linalg.inv(matrices)
        return jnp.where(jnp.isfinite(inverse), inverse, 0.0)
    return _inverted(matrices)[2]


@jax.custom_jvp
def slogdet_and_inverse(matrices: Float[Array, "*batch n n"]
                        ) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"], Float[Array, "*batch n n"]]:
    """Return sign, log|det| and inverse, as `slogdet` and `guarded_inverse` give them, by a single elimination."""
    if not 0 < matrices.shape[-1] <= _ELIMINATED_SIZE:
        return (*slogdet(matrices), guarded_inverse(matrices))
    return _inverted(matrices)


@slogdet_and_inverse.defjvp
def _slogdet_and_inverse_jvp(primals: tuple, tangents: tuple) -> tuple:
    """Return the values and their changes: 0, tr(A^-1 dA) and -A^-1 dA A^-1."""
    sign, logabs, inverse = slogdet_and_inverse(primals[0])
    relative = jnp.matmul(inverse, tangents[0], precision=_HIGHEST)
    change = -jnp.matmul(relative, inverse, precision=_HIGHEST)
    return (sign, logabs, inverse), (jnp.zeros_like(sign), jnp.trace(relative, axis1=-2, axis2=-1), change)


@guarded_inverse.defjvp
def _guarded_inverse_jvp(primals: tuple, tangents: tuple) -> tuple:
    """Return the inverse and its change -A^-1 dA A^-1."""
    inverse = guarded_inverse(primals[0])
    change = jnp.matmul(jnp.matmul(inverse, tangents[0], precision=_HIGHEST), inverse, precision=_HIGHEST)
    return inverse, -change


class _Elimination(NamedTuple):
    """A batch of matrices (n, n, b) in the course of elimination, with the sign and log|det| found so far.

    The batch is the last axis, so that every operation runs along it.
    """

    work: Array
    sign: Array
    logabs: Array
    pivots: Array


def _whole_batch(function: Callable[[Array], tuple[Array, ...]]) -> Callable[[Array], tuple[Array, ...]]:
    """Return the same function of matrices (*batch, n, n), to whose batch `jax.vmap` adds an axis."""
    batched = jax.custom_batching.custom_vmap(function)

    @batched.def_vmap
    def rule(axis_size: int, in_batched: list, matrices: Array) -> tuple[tuple[Array, ...], tuple[bool, ...]]:
        outputs = batched(matrices)
        return outputs, tuple(True for _ in outputs)

    return batched


@_whole_batch
def _eliminated(matrices: Array) -> tuple[Array, Array]:
    """Return sign and log|det| by Gaussian elimination, which leaves finished rows and columns behind half-way."""
    n, batch = matrices.shape[-1], matrices.shape[:-2]
    done = _start(matrices)
    for size in (n // 2, n - n // 2) if n >= _HALVED_SIZE else (n,):
        done = jax.lax.fori_loop(0, size, partial(_eliminate, invert=False), done)
        done = done._replace(work=done.work[size:, size:])
    return done.sign.reshape(batch), done.logabs.reshape(batch)


@_whole_batch
def _inverted(matrices: Array) -> tuple[Array, Array, Array]:
    """Return sign, log|det| and the inverse by Gauss-Jordan elimination in place."""
    n, batch = matrices.shape[-1], matrices.shape[:-2]
    done = jax.lax.fori_loop(0, n, partial(_eliminate, invert=True), _start(matrices))
    inverse = jax.lax.fori_loop(0, n, partial(_swap_columns_back, pivots=done.pivots.T), jnp.moveaxis(done.work, -1, 0))
    return done.sign.reshape(batch), done.logabs.reshape(batch), inverse.reshape(matrices.shape)


def _start(matrices: Array) -> _Elimination:
    """Return the matrices before the first column is eliminated."""
    n = matrices.shape[-1]
    work = jnp.moveaxis(matrices.reshape((-1, n, n)), 0, -1)
    one = jnp.ones(work.shape[-1], work.dtype)
    return _Elimination(work, one, jnp.zeros_like(one), jnp.zeros((n, work.shape[-1]), jnp.int32))


def _eliminate(column: Array, old: _Elimination, invert: bool) -> _Elimination:
    """Eliminate one column: swap the row with its largest entry into place, scale it, subtract it from the others."""
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
    """Undo one exchange of rows: exchanged rows of A are exchanged columns of its inverse, the last exchange first."""
    n = inverse.shape[-1]
    column, columns = n - 1 - step, jnp.arange(n)
    pivot = jax.lax.dynamic_index_in_dim(pivots, column, -1)[:, None]
    here = jax.lax.dynamic_index_in_dim(inverse, column, -1)
    there = jnp.take_along_axis(inverse, pivot, axis=-1, mode="clip")
    return jnp.where(columns == column, there, jnp.where(columns == pivot, here, inverse))


def log_sum_det(*blocks: Float[Array, "k _n _n"]) -> SignedLog:
    """Return sum_k prod_b det(blocks[b][k]) as a SignedLog: a sum over determinants, each a product of spin blocks.

    With one block this is a sum of full determinants, with two a sum of products of spin-up and spin-down determinants.
    A block without rows counts as 1. A block of one row is a factor, and no logarithm is taken of it, so that an entry
    of zero keeps its exact derivative.
    """
    blocks = tuple(block for block in blocks if block.shape[-1] > 0)
    if not blocks:
        return SignedLog(jnp.ones(()), jnp.zeros(()))
    factors = math.prod(block[:, 0, 0] for block in blocks if block.shape[-1] == 1)
    dets = [slogdet(block) for block in blocks if block.shape[-1] > 1]
    weights = math.prod((det.sign for det in dets), start=factors)
    return signed_logsumexp(weights, sum((det.logabs for det in dets), start=jnp.zeros_like(weights)))
