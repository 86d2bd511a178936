"""Counts the arithmetic of a traced program; nothing is compiled or run for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

from nnqmc.parallel.traces import inner_programs, needed

_NO_ARITHMETIC = frozenset((
    "broadcast_in_dim", "concatenate", "convert_element_type", "copy", "copy_p", "dynamic_slice",
    "dynamic_update_slice", "gather", "iota", "pad", "reshape", "rev", "select_n", "slice", "split", "squeeze",
    "stop_gradient", "transpose"))
"""Operations that move numbers: as for random ones, no floating-point operation is counted for them."""

_SMALL, _SINGLE = 80.0, 40.0
"""How far small matrices and single numbers stay behind the peak: a matrix product takes 1 + 80/(its smallest
dimension) times as long as at the peak, and an operation on a single number 40 times as long as one within a large
product. Both were fitted to measured times of training and evaluation steps (docs/estimate.md)."""


class Work(NamedTuple):
    """Holds a number of operations (flops), and the number in a large matrix product that takes as long (effort)."""

    flops: float = 0.0
    effort: float = 0.0

    def __add__(self, other: Work) -> Work:  # type: ignore[override]
        return Work(self.flops + other.flops, self.effort + other.effort)

    def times(self, count: float) -> Work:
        """Return the work of `count` repetitions."""
        return Work(count * self.flops, count * self.effort)


def work(program: Any, outputs: Collection[int] | None = None) -> Work:
    """Return the work of a traced program; the body of a loop counts as often as it is repeated.

    The cheapest branch of a condition counts, and one repetition of a loop without a fixed length.

    Args:
        program: `jax.jit(function).trace(...).jaxpr`, or `jax.make_jaxpr(function)(...)`.
        outputs: the positions of the wanted results; what only others need isn't counted. None wants all of them.
    """
    return sum(map(_work, needed(program, outputs)), Work())


def n_operations(program: Any) -> int:
    """Return the number of operations that a compiler has to translate; the body of a loop counts once."""
    return sum(1 + sum(map(n_operations, inner_programs(equation))) for equation in needed(program))


def _work(equation: Any) -> Work:
    """Return the work of one operation."""
    name = equation.primitive.name
    if name in _PRODUCTS:
        flops, smallest = _PRODUCTS[name](equation)
        return Work(flops, flops * (1.0 + _SMALL / max(smallest, 1)))
    if name in _NO_ARITHMETIC or name.startswith("random_"):
        return Work()
    if name.startswith(("reduce", "scatter", "arg", "cum")):
        return _elementwise(equation.invars[-1:] if name.startswith("scatter") else equation.invars[:1])
    inner = [work(program) for program in inner_programs(equation)]
    if name == "scan":
        return inner[0].times(equation.params["length"])
    if name == "cond":
        return min(inner, key=lambda branch: branch.effort)
    return sum(inner, Work()) if inner else _elementwise(equation.outvars)


def _elementwise(variables: Collection[Any]) -> Work:
    """Return the work of one operation for each number in these arrays."""
    count = float(sum(math.prod(getattr(variable.aval, "shape", ())) for variable in variables))
    return Work(count, _SINGLE * count)


def _dot_general(equation: Any) -> tuple[float, int]:
    """Count a matrix product."""
    (contracted, _), (shared, _) = equation.params["dimension_numbers"]
    left, right = (variable.aval.shape for variable in equation.invars)
    batch, inner = (math.prod(left[axis] for axis in axes) for axes in (shared, contracted))
    rows, columns = (math.prod(shape) // max(batch * inner, 1) for shape in (left, right))
    return 2.0 * batch * inner * rows * columns, min(inner, rows, columns)


def _cubed(factor: float, equation: Any) -> tuple[float, int]:
    """Count factor n^3 operations for each matrix in a stack of square ones."""
    shape = equation.invars[0].aval.shape
    return factor * math.prod(shape) * shape[-1], shape[-1]


def _triangular_solve(equation: Any) -> tuple[float, int]:
    """Count the solution of a triangular system."""
    matrix, right = (variable.aval.shape for variable in equation.invars)
    return float(math.prod(right) * matrix[-1]), min(right[-2:])


_PRODUCTS: Mapping[str, Callable[[Any], tuple[float, int]]] = MappingProxyType({
    "dot_general": _dot_general, "triangular_solve": _triangular_solve,
    **{name: partial(_cubed, factor) for name, factor in
       {"cholesky": 1 / 3, "lu": 2 / 3, "qr": 4 / 3, "eigh": 9.0, "svd": 20.0}.items()},
})
"""For each operation a function that gives its leading number of operations and its smallest dimension.

Source: Golub, Van Loan, Matrix Computations, 4th edition (2013).
"""
