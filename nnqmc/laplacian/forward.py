"""Compute the forward Laplacian: one pass through a wavefunction carries value, Jacobian and Laplacian together.

The function is traced once and every traced operation is replaced by its rule (`rules.py`). Jacobians stay as sparse
as they are (`jets.py`): features of one electron carry 3 derivatives, and so do those of differences r_i - r_j, in
every layer, until electrons mix. Any pure JAX function works; operations without a rule of their own are
differentiated as they are, coordinate by coordinate.

Source: Li et al., Nat. Mach. Intell. 6, 209 (2024), doi:10.1038/s42256-024-00794-x.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from nnqmc.laplacian import determinants, products, rules
from nnqmc.laplacian.jets import Jet, densify, seed
from nnqmc.typing import Electrons, LaplacianResult

_ELEMENTWISE = frozenset((
    "abs", "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "clamp", "cos", "cosh",
    "digamma", "erf", "erf_inv", "erfc", "exp", "exp2", "expm1", "floor", "integer_pow", "lgamma", "log",
    "log1p", "logistic", "max", "min", "nextafter", "pow", "rem", "round", "rsqrt", "select_n", "sign", "sin", "sinh",
    "sqrt", "square", "tan", "tanh"))
_STRUCTURAL = frozenset((
    "broadcast_in_dim", "convert_element_type", "copy", "copy_p", "neg", "reduce_precision", "reshape", "slice",
    "squeeze", "transpose"))
_RULES = MappingProxyType({
    "add": rules.add, "add_any": rules.add, "sub": rules.add, "mul": rules.multiply, "reduce_sum": rules.reduce_sum,
    "div": rules.divide, "concatenate": rules.concatenate, "split": rules.split, "dot_general": products.dot_general,
    "stack": rules.stack, "stop_gradient": rules.without_derivatives, "reduce_max": rules.extremum,
    "reduce_min": rules.extremum,
} | dict.fromkeys(_ELEMENTWISE, rules.elementwise) | dict.fromkeys(_STRUCTURAL, rules.structural))
_CALLS = frozenset((
    "jit", "pjit", "closed_call", "core_call", "remat", "remat2", "checkpoint", "custom_vjp_call",
    "custom_vjp_call_jaxpr"))


def forward_laplacian(function: Callable[[Electrons], Array]) -> Callable[[Electrons], LaplacianResult]:
    """Return a function that gives value, gradient and Laplacian in a single forward pass.

    Args:
        function: electrons (n_electrons, 3) of one walker -> scalar; any pure JAX function.

    Returns:
        A function electrons -> LaplacianResult with gradient (n_electrons, 3). It is as exact as `dense_laplacian` and
        `loop_laplacian`, and several times faster for wavefunctions.

    Raises:
        NotImplementedError: `function` uses complex numbers, or an operation that hides its program.
    """

    def evaluate(electrons: Electrons) -> LaplacianResult:
        traced = jax.make_jaxpr(function)(electrons)
        (out,) = _interpret(traced.jaxpr, traced.consts, [seed(electrons)])
        if not isinstance(out, Jet):
            return LaplacianResult(out, jnp.zeros_like(electrons), jnp.zeros_like(out))
        out = densify(out)
        return LaplacianResult(out.value, out.dense.reshape(electrons.shape), out.laplacian)

    return evaluate


def _interpret(jaxpr: Any, consts: list, arguments: list) -> list:
    """Return the outputs of a traced program that is run on Jets and plain arrays."""
    known: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
    known.update(zip(jaxpr.invars, arguments, strict=True))

    def read(variable: Any) -> Any:
        return variable.val if hasattr(variable, "val") else known[variable]

    for eqn in jaxpr.eqns:
        outputs = _apply(eqn, [read(v) for v in eqn.invars])
        known.update(zip(eqn.outvars, outputs, strict=True))
    return [read(v) for v in jaxpr.outvars]


def _apply(eqn: Any, inputs: list) -> list:
    """Return the outputs of one traced operation by the rule that fits it."""
    name = eqn.primitive.name
    if not any(isinstance(x, Jet) for x in inputs):
        return rules.bind(eqn, *inputs)
    if any(jnp.issubdtype(v.aval.dtype, jnp.complexfloating) for v in (*eqn.invars, *eqn.outvars)):
        raise NotImplementedError(f"forward_laplacian met complex numbers in {name!r}: use loop_laplacian for this "
                                  "wavefunction")
    if not any(jnp.issubdtype(v.aval.dtype, jnp.floating) for v in eqn.outvars):
        return rules.bind(eqn, *[x.value if isinstance(x, Jet) else x for x in inputs])
    if name in _RULES:
        return _RULES[name](eqn, inputs)
    if name in _CALLS:
        inner = _inner_program(eqn)
        return _interpret(getattr(inner, "jaxpr", inner), getattr(inner, "consts", []), inputs)
    if name == "custom_jvp_call":
        inner = _inner_program(eqn)
        if determinants.is_slogdet(inner):
            return determinants.slogdet(inputs[0])
        if _is_softmax(getattr(inner, "jaxpr", inner)):
            return _interpret(getattr(inner, "jaxpr", inner), getattr(inner, "consts", []), inputs)
        if _is_elementwise(inner):
            return rules.elementwise(eqn, inputs)
    return rules.black_box(eqn, inputs)


def _inner_program(eqn: Any) -> Any:
    """Return the program that an operation calls."""
    for key in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        if key in eqn.params:
            return eqn.params[key]
    raise NotImplementedError(f"forward_laplacian can't look into the operation {eqn.primitive.name!r}: "
                              "use loop_laplacian for this wavefunction")


def _is_softmax(jaxpr: Any) -> bool:
    """Return whether a traced program is `jax.nn.softmax` over one axis, whose derivatives are those of its program.

    Depending on its configuration, JAX traces `softmax` as a program with derivatives of its own.
    """
    x, *rest = (v.aval for v in jaxpr.invars)
    if any(other.shape != () for other in rest):
        return False
    for axis in range(len(x.shape)):
        softmax = partial(jax.nn.softmax, axis=axis)
        (known, *others) = jax.make_jaxpr(softmax)(jax.ShapeDtypeStruct(x.shape, x.dtype)).eqns
        if known.primitive.name == "custom_jvp_call" and not others:
            program = _inner_program(known)
            if str(getattr(program, "jaxpr", program)) == str(jaxpr):
                return True
    return False


def _is_elementwise(program: Any) -> bool:
    """Return whether a traced program has one output and works entry by entry, so that Jacobians stay sparse."""
    jaxpr = getattr(program, "jaxpr", program)
    shapes = {v.aval.shape for v in (*jaxpr.invars, *jaxpr.outvars)}
    if len(jaxpr.outvars) != 1 or len(shapes) != 1:
        return False
    simple = _ELEMENTWISE | {"add", "sub", "mul", "div", "neg", "convert_element_type", "stop_gradient", "eq", "ne",
                             "lt", "gt", "le", "ge", "is_finite", "and", "or", "not", "copy"}
    scalars = {"broadcast_in_dim"}
    for eqn in jaxpr.eqns:
        name = eqn.primitive.name
        if name in _CALLS or name == "custom_jvp_call":
            if not _is_elementwise(_inner_program(eqn)):
                return False
        elif name not in simple and not (name in scalars and all(v.aval.shape == () for v in eqn.invars)):
            return False
    return True
