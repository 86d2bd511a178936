"""The work in a program, counted from its trace: nothing is compiled or run for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

_MOVES = frozenset((
    "broadcast_in_dim", "concatenate", "convert_element_type", "copy", "copy_p", "dynamic_slice",
    "dynamic_update_slice", "gather", "iota", "pad", "random_bits", "random_fold_in", "random_seed", "random_split",
    "random_unwrap", "random_wrap", "reshape", "rev", "select_n", "slice", "split", "squeeze", "stop_gradient",
    "transpose"))
"""Operations that move numbers or make random ones: no floating-point operation is counted for them."""

_SMALL, _SINGLE = 80.0, 40.0
"""How far from the peak small matrices and single numbers are: a product takes 1 + 80/(its smallest dimension) times
as long as at the peak, and an operation on a single number 40 times as long as one within a large product.

Fitted to the measured times of training and evaluation steps of He, LiH, C and N2 with the networks of the preset
standard, on one core of a server processor with 140 GFLOP/s.
"""


class Work(NamedTuple):
    """Floating-point operations, and the time they take in operations at the peak of large matrix products."""

    flops: float = 0.0
    effort: float = 0.0

    def __add__(self, other: Work) -> Work:  # type: ignore[override]
        return Work(self.flops + other.flops, self.effort + other.effort)

    def times(self, count: float) -> Work:
        """The work of `count` repetitions."""
        return Work(count * self.flops, count * self.effort)


def work(program: Any, outputs: Collection[int] | None = None) -> Work:
    """What a traced program computes; a loop counts as often as it is repeated.

    Of a condition the cheapest branch counts, and of a loop without a fixed length one repetition.

    Args:
        program: `jax.jit(function).trace(...).jaxpr`, or `jax.make_jaxpr(function)(...)`.
        outputs: the places of the results that are wanted; what only others need isn't counted. None wants all.
    """
    jaxpr = getattr(program, "jaxpr", program)
    return sum(map(_work, _needed(jaxpr, outputs)), Work())


def operations(program: Any, outputs: Collection[int] | None = None) -> int:
    """The operations in a traced program, those in loops once: what a compiler has to deal with."""
    jaxpr = getattr(program, "jaxpr", program)
    return sum(1 + sum(map(operations, _inner(equation))) for equation in _needed(jaxpr, outputs))


def live_bytes(program: Any) -> float:
    """The most bytes of arrays that are wanted at one time, if operations come one after the other, as traced."""
    jaxpr = getattr(program, "jaxpr", program)
    equations = _needed(jaxpr, None)
    last = {variable: place for place, equation in enumerate(equations) for variable in _variables(equation.invars)}
    last |= dict.fromkeys(_variables(jaxpr.outvars), len(equations))
    live = most = sum(map(_bytes, (*jaxpr.invars, *jaxpr.constvars)))
    for place, equation in enumerate(equations):
        live += sum(map(_bytes, equation.outvars))
        within = max((live_bytes(inner) for inner in _inner(equation)), default=0.0)
        most = max(most, live + within)
        gone = {v for v in (*_variables(equation.invars), *equation.outvars) if last.get(v, -1) <= place}
        live -= sum(map(_bytes, gone))
    return most


def _needed(jaxpr: Any, outputs: Collection[int] | None) -> list[Any]:
    """The operations that wanted results depend on."""
    wanted = set(_variables(jaxpr.outvars if outputs is None else [jaxpr.outvars[place] for place in outputs]))
    found = []
    for equation in reversed(jaxpr.eqns):
        if not wanted.isdisjoint(equation.outvars):
            wanted.update(_variables(equation.invars))
            found.append(equation)
    return found[::-1]


def _variables(atoms: Collection[Any]) -> list[Any]:
    """Without the constants that stand among them."""
    return [atom for atom in atoms if not hasattr(atom, "val")]


def _bytes(variable: Any) -> float:
    kind = getattr(variable.aval, "dtype", None)
    return float(math.prod(getattr(variable.aval, "shape", ())) * getattr(kind, "itemsize", 0))


def _inner(equation: Any) -> Iterator[Any]:
    """The programs inside of an operation."""
    for value in equation.params.values():
        for part in value if isinstance(value, tuple | list) else (value,):
            if hasattr(getattr(part, "jaxpr", part), "eqns"):
                yield part


def _work(equation: Any) -> Work:
    """The work of one operation."""
    name = equation.primitive.name
    if name in _PRODUCTS:
        flops, smallest = _PRODUCTS[name](equation)
        return Work(flops, flops * (1.0 + _SMALL / max(smallest, 1)))
    if name in _MOVES:
        return Work()
    if name.startswith(("reduce", "scatter", "arg", "cum")):
        return _single(equation.invars[-1:] if name.startswith("scatter") else equation.invars[:1])
    inner = [work(program) for program in _inner(equation)]
    if name == "scan":
        return inner[0].times(equation.params["length"])
    if name == "cond":
        return min(inner, key=lambda branch: branch.effort)
    return sum(inner, Work()) if inner else _single(equation.outvars)


def _single(variables: Collection[Any]) -> Work:
    """One operation for each number in these arrays."""
    count = float(sum(math.prod(getattr(variable.aval, "shape", ())) for variable in variables))
    return Work(count, _SINGLE * count)


def _dot_general(equation: Any) -> tuple[float, int]:
    (contracted, _), (shared, _) = equation.params["dimension_numbers"]
    left, right = (variable.aval.shape for variable in equation.invars)
    batch, inner = (math.prod(left[axis] for axis in axes) for axes in (shared, contracted))
    rows, columns = (math.prod(shape) // max(batch * inner, 1) for shape in (left, right))
    return 2.0 * batch * inner * rows * columns, min(inner, rows, columns)


def _cubed(factor: float) -> Callable[[Any], tuple[float, int]]:
    """For a stack of square matrices: factor n^3 each."""

    def count(equation: Any) -> tuple[float, int]:
        shape = equation.invars[0].aval.shape
        return factor * math.prod(shape) * shape[-1], shape[-1]

    return count


def _triangular_solve(equation: Any) -> tuple[float, int]:
    matrix, right = (variable.aval.shape for variable in equation.invars)
    return float(math.prod(right) * matrix[-1]), min(right[-2:])


_PRODUCTS: Mapping[str, Callable[[Any], tuple[float, int]]] = MappingProxyType({
    "dot_general": _dot_general, "cholesky": _cubed(1 / 3), "lu": _cubed(2 / 3), "qr": _cubed(4 / 3),
    "eigh": _cubed(9.0), "svd": _cubed(20.0), "triangular_solve": _triangular_solve,
})
"""Operations (only the leading term counts) and the smallest dimension; Golub, Van Loan, Matrix Computations."""
