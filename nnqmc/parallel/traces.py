"""Walks over traced programs (jaxprs): which operations are needed, and how much memory their results take."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import Any


def needed(program: Any, outputs: Collection[int] | None = None) -> list[Any]:
    """Return the operations of a traced program that its wanted results depend on, in the order of the program.

    Args:
        program: `jax.jit(function).trace(...).jaxpr`, or `jax.make_jaxpr(function)(...)`.
        outputs: the positions of the wanted results; None wants all of them.
    """
    jaxpr = getattr(program, "jaxpr", program)
    wanted = set(variables(jaxpr.outvars if outputs is None else [jaxpr.outvars[place] for place in outputs]))
    found = []
    for equation in reversed(jaxpr.eqns):
        if not wanted.isdisjoint(equation.outvars):
            wanted.update(variables(equation.invars))
            found.append(equation)
    return found[::-1]


def variables(atoms: Collection[Any]) -> list[Any]:
    """Return the variables among the arguments of an operation; the others are constants."""
    return [atom for atom in atoms if not hasattr(atom, "val")]


def inner_programs(equation: Any) -> Iterator[Any]:
    """Yield the traced programs inside of an operation, such as the body of a loop."""
    for value in equation.params.values():
        for part in value if isinstance(value, tuple | list) else (value,):
            if hasattr(getattr(part, "jaxpr", part), "eqns"):
                yield part


def peak_bytes(program: Any, *, with_inputs: bool = False) -> int:
    """Return the most bytes of arrays alive at one time if a traced program runs operation by operation.

    Operations that no result depends on are left out, as the compiler does.

    Args:
        program: as for `needed`.
        with_inputs: whether the arguments of the program count as well, and not only what it computes.
    """
    jaxpr, equations = getattr(program, "jaxpr", program), needed(program)
    last_use = {variable: place for place, equation in enumerate(equations) for variable in variables(equation.invars)}
    last_use |= dict.fromkeys(variables(jaxpr.outvars), len(equations))
    sizes = {variable: _bytes(variable) for variable in (*jaxpr.invars, *jaxpr.constvars) if with_inputs}
    alive = peak = sum(sizes.values())
    for place, equation in enumerate(equations):
        sizes |= (new := {variable: _bytes(variable) for variable in equation.outvars})
        alive += sum(new.values())
        within = (peak_bytes(inner, with_inputs=with_inputs) for inner in inner_programs(equation))
        peak = max(peak, alive + max(within, default=0))
        dead = {variable for variable in (*variables(equation.invars), *equation.outvars)
                if last_use.get(variable, -1) <= place}
        alive -= sum(sizes.pop(variable, 0) for variable in dead)
    return peak


def _bytes(variable: Any) -> int:
    """Return the size of an array in bytes; anything that is no array of plain numbers counts as nothing."""
    itemsize = getattr(getattr(variable.aval, "dtype", None), "itemsize", 0)
    return math.prod(getattr(variable.aval, "shape", ())) * itemsize
