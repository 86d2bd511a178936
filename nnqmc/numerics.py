"""Numerically safe building blocks: norms, signed sums of exponentials, determinants."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nnqmc.typing import SignedLog

_HIGHEST = jax.lax.Precision.HIGHEST

_UNROLLED_SIZE = 16
"""Largest matrix eliminated by unrolled vector operations; larger ones go to LAPACK or its GPU counterpart."""


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

    Small matrices are eliminated by operations over the whole batch, which is many times faster than one
    library call per matrix. An exactly singular matrix gives (0, -inf).
    """
    return SignedLog(*_slogdet(matrices))


@jax.custom_jvp
def _slogdet(matrices: Array) -> tuple[Array, Array]:
    if matrices.shape[-1] > _UNROLLED_SIZE:
        sign, logabs = jnp.linalg.slogdet(matrices)
        return sign, logabs
    sign, logabs, _ = _gauss_jordan(matrices, None)
    return sign, logabs


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
    n = matrices.shape[-1]
    if n > _UNROLLED_SIZE:
        inverse = jnp.linalg.inv(matrices)
        return jnp.where(jnp.isfinite(inverse), inverse, 0.0)
    identity = jnp.broadcast_to(jnp.eye(n, dtype=matrices.dtype), matrices.shape)
    return _gauss_jordan(matrices, identity)[2]


@guarded_inverse.defjvp
def _guarded_inverse_jvp(primals: tuple, tangents: tuple) -> tuple:
    inverse = guarded_inverse(primals[0])
    change = jnp.matmul(jnp.matmul(inverse, tangents[0], precision=_HIGHEST), inverse, precision=_HIGHEST)
    return inverse, -change


def _gauss_jordan(matrices: Array, right: Array | None) -> tuple[Array, Array, Array | None]:
    """Elimination with row pivoting, unrolled over columns: sign and log|det|, and A^-1 right if `right` is given."""
    n = matrices.shape[-1]
    rows = jnp.arange(n)
    sign = jnp.ones(matrices.shape[:-2], matrices.dtype)
    logabs = jnp.zeros(matrices.shape[:-2], matrices.dtype)
    work = matrices if right is None else jnp.concatenate([matrices, right], axis=-1)
    for column in range(n):
        candidates = jnp.where(rows >= column, jnp.abs(work[..., column]), -1.0)
        best = jnp.argmax(candidates, axis=-1)
        is_best = (rows == best[..., None])[..., None]
        is_here = (rows == column)[:, None]
        pivot_row = jnp.sum(jnp.where(is_best, work, 0.0), axis=-2)
        swapped = jnp.where(is_best & ~is_here, work[..., column, None, :], work)
        pivot = pivot_row[..., column]
        sign = sign * jnp.sign(pivot) * jnp.where(best == column, 1.0, -1.0)
        logabs = logabs + jnp.where(pivot == 0.0, -jnp.inf, jnp.log(jnp.where(pivot == 0.0, 1.0, jnp.abs(pivot))))
        scaled = pivot_row / jnp.where(pivot == 0.0, 1.0, pivot)[..., None]
        factor = swapped[..., column, None] if right is not None else jnp.where(
            (rows > column)[:, None], swapped[..., column, None], 0.0)
        work = jnp.where(is_here, scaled[..., None, :], swapped - factor * scaled[..., None, :])
    return sign, logabs, None if right is None else work[..., n:]


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
