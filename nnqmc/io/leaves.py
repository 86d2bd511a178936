"""The leaves of a pytree get names here, and become the plain numbers that files hold.

| leaf                                   | name                | numbers                    |
|----------------------------------------|---------------------|----------------------------|
| int32, int64, uint32, float32, float64 | NAME                | the same                   |
| bool                                   | NAME.bool           | uint8, 0 or 1              |
| typed PRNG keys                        | NAME.IMPLEMENTATION | uint32, the data of a key  |

NAME joins the dictionary keys, field names and positions on the way to the leaf by dots, as in
`opt_state.0.mu.layer_0.kernel`; a tree that is one leaf calls it `value`. None and empty containers have no leaves.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

import jax
import jax.numpy as jnp
import numpy as np

from nnqmc.errors import InputError
from nnqmc.typing import PyTree

PLAIN = ("uint8", "int32", "int64", "uint32", "float32", "float64")
"""The dtypes of numbers in files."""

NAME = re.compile(r"[A-Za-z0-9_%~-]+(\.[A-Za-z0-9_%~-]+)*")
"""The names of leaves."""


class Spec(NamedTuple):
    """Holds the dtype, by its name, and the shape of numbers in a file."""

    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"

    @property
    def n_bytes(self) -> int:
        """Return the size of the numbers in bytes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def specs_of(tree: PyTree) -> dict[str, Spec]:
    """Return dtype and shape of the numbers of every leaf by name; of a leaf only its form is needed."""
    specs = {}
    for name, leaf in named_leaves(tree).items():
        dtype, shape = leaf.dtype, tuple(map(int, leaf.shape))
        if _is_key(leaf):
            specs[name] = Spec("uint32", jax.eval_shape(jax.random.key_data, jax.ShapeDtypeStruct(shape, dtype)).shape)
        else:
            specs[name] = Spec("uint8" if dtype.kind == "b" else dtype.name, shape)
    return specs


def to_arrays(tree: PyTree) -> dict[str, np.ndarray]:
    """Return the numbers of every leaf by name, on the host, in the order of the pytree."""
    leaves = {name: jax.random.key_data(leaf) if _is_key(leaf) else leaf for name, leaf in named_leaves(tree).items()}
    return {name: np.asarray(leaf, np.uint8 if leaf.dtype.kind == "b" else leaf.dtype.newbyteorder("="), order="C")
            for name, leaf in jax.device_get(leaves).items()}


def from_arrays(arrays: Mapping[str, np.ndarray], like: PyTree) -> PyTree:
    """Return the pytree that `to_arrays` gave the numbers of, of the structure and dtypes of `like`.

    A leaf comes back as the same kind: NumPy array, PRNG keys, or else a JAX array on the default device. Where JAX
    can't hold a dtype, since 64-bit types are switched off, an InputError is raised.
    """
    leaves = [_restored(arrays[name], leaf) for name, leaf in named_leaves(like).items()]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def named_leaves(tree: PyTree) -> dict[str, Any]:
    """Return the leaves by name, marked by what they are if they aren't plain numbers.

    Leaves that files can't hold, and names that are there twice, are an InputError.
    """
    leaves: dict[str, Any] = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        parts = [_part(jax.tree_util.keystr((entry,), simple=True)) for entry in path] or ["value"]
        dtype = leaf.dtype.name if hasattr(leaf, "dtype") else f"a Python {type(leaf).__name__}"
        if dtype == "bool" or _is_key(leaf):
            parts.append("bool" if dtype == "bool" else _part(_implementation(leaf)))
        elif dtype not in PLAIN:
            raise InputError(f"The leaf {'.'.join(parts)[:100]} is {dtype}, which files can't hold. Allowed are arrays "
                             f"of bool, {', '.join(PLAIN)}, and typed PRNG keys; make one of these of it.")
        if (name := ".".join(parts)) in leaves:
            raise InputError(f"The leaf name {name[:100]!r} is twice in this pytree; rename the keys that lead there.")
        leaves[name] = leaf
    return leaves


def _part(text: str) -> str:
    """Return one part of a name with everything percent-encoded that could mislead a file ('' becomes '%')."""
    return quote(text, safe="").replace(".", "%2E") or "%"


def _is_key(leaf: Any) -> bool:
    """Return whether a leaf is an array, or the form of an array, of typed PRNG keys."""
    return hasattr(leaf, "dtype") and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _implementation(leaf: Any) -> str:
    """Return the name of the random number generator that PRNG keys, or their form, belong to."""
    found = []
    jax.eval_shape(lambda key: found.append(jax.random.key_impl(key)), jax.ShapeDtypeStruct(leaf.shape, leaf.dtype))
    return str(found[0])


def _restored(array: np.ndarray, like: Any) -> Any:
    """Return the leaf that an array of numbers stands for."""
    if _is_key(like):
        return jax.random.wrap_key_data(jnp.asarray(array), impl=_implementation(like))
    array = array.astype(like.dtype)
    if isinstance(like, np.ndarray | np.generic):
        return array
    result = jnp.asarray(array)
    if result.dtype != array.dtype:
        raise InputError(f"JAX would turn {array.dtype} into {result.dtype} here: enable jax_enable_x64 as it was when "
                         "the file was written, or give a NumPy array as `like`.")
    return result
