"""Carry Jets through determinants, where the forward Laplacian spends most of its time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from nnqmc.laplacian.jets import Jet, densify, own_derivatives, sum_out
from nnqmc.numerics import SLOGDET, named_slogdet, slogdet_and_inverse

_HIGHEST = jax.lax.Precision.HIGHEST
_WRITTEN_OUT = 16
"""Products of matrices of up to so many rows are written out, since libraries are slow for small ones."""


def is_slogdet(program: Any) -> bool:
    """Return whether a traced program is `nnqmc.numerics.slogdet` of matrices that are the last two axes of its input.

    The name alone doesn't say so: `jax.vmap` keeps it, and may put the batch on any axis. So the programs are compared.
    """
    equations = getattr(program, "jaxpr", program).eqns
    if len(equations) != 1 or equations[0].params.get("name") != SLOGDET:
        return False
    matrices = equations[0].invars[0].aval
    if matrices.ndim < 2 or matrices.shape[-1] != matrices.shape[-2]:
        return False
    known = jax.make_jaxpr(named_slogdet)(jax.ShapeDtypeStruct(matrices.shape, matrices.dtype)).eqns[0]
    return str(known.params["jaxpr"]) == str(equations[0].params["jaxpr"])


def slogdet(jet: Jet) -> list[Array | Jet]:
    """Return sign and log|det| of matrices A (*batch, m, m) with derivatives A_k and Laplacian L_A.

    With B_k = A_k A^-1, the derivatives are tr B_k and the Laplacian is tr(A^-1 L_A) - sum_k tr(B_k B_k). Blocks that
    belong to rows, such as derivatives of envelopes, have one row of B_k each and are kept apart: B_k = D_k + O_k.
    """
    jet = _only_rows(jet)
    sign, logabs, inverse = slogdet_and_inverse(jet.value)
    dense = _times(jet.dense, inverse)
    gradient = jnp.sum(_diagonal(dense), axis=-1)
    squares = jnp.sum(dense * jnp.swapaxes(dense, -1, -2), axis=(0, -2, -1))
    for block in jet.blocks:
        (part,), rows = block.parts, _times(block.values, inverse)
        diagonal = _diagonal(rows)
        crossed = own_derivatives(jnp.swapaxes(dense, -1, -2), part, jet.n_electrons)
        squares = squares + jnp.sum(2.0 * crossed * rows, axis=(0, -2, -1)) + jnp.sum(diagonal**2, axis=(0, -1))
        gradient = gradient + sum_out(diagonal, part, (logabs.ndim,), jet.n_electrons)
    laplacian = jnp.sum(jnp.swapaxes(inverse, -1, -2) * jet.laplacian, axis=(-2, -1)) - squares
    return [sign, Jet(logabs, (), gradient, laplacian, jet.n_electrons)]


def _only_rows(jet: Jet) -> Jet:
    """Return the same Jet with at most one block, that of the rows, and everything else dense."""
    is_rows = [[(part.axis, part.sign) for part in block.parts] == [(len(jet.shape) - 2, 1.0)] for block in jet.blocks]
    rows = tuple(block for block, yes in zip(jet.blocks, is_rows, strict=True) if yes)[:1]
    others = tuple(block for block in jet.blocks if not any(block is row for row in rows))
    return replace(densify(replace(jet, blocks=others)), blocks=rows)


def _diagonal(matrices: Array) -> Array:
    """Return the diagonals (..., m) of matrices (..., m, m)."""
    m = matrices.shape[-1]
    return matrices.reshape((*matrices.shape[:-2], m * m))[..., :: m + 1]


def _times(x: Array, y: Array) -> Array:
    """Return the products of matrices (..., m, m) and (..., m, m)."""
    m = y.shape[-1]
    if m == 0 or m > _WRITTEN_OUT:
        return jnp.matmul(x, y, precision=_HIGHEST)
    return sum(x[..., k, None] * y[..., k, None, :] for k in range(m))
