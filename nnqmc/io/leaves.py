"""What a leaf of a pytree is called in a file, and how it becomes plain little-endian numbers and back.

| leaf                              | dtype in the header | dataset                                         |
|-----------------------------------|---------------------|-------------------------------------------------|
| bool                              | bool                | uint8, 0 or 1                                   |
| (u)int8 to 64, float16 to 64      | the same            | the same                                        |
| bfloat16                          | bfloat16            | uint16, the same bits                           |
| complex64, complex128             | the same            | float32, float64 with a last axis (real, imag)  |
| typed PRNG keys                   | key<IMPLEMENTATION> | uint32, `jax.random.key_data`                   |

Python's bool, int, float and complex count as bool, int64, float64 and complex128 without axes.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nnqmc.errors import InputError

MAX_NAME = 1000
"""The longest name of a leaf, in characters."""

_PLAIN = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64")
_STORED_AS = MappingProxyType(
    {name: name for name in _PLAIN}
    | {"bool": "uint8", "bfloat16": "uint16", "complex64": "float32", "complex128": "float64"}
)
_KEY = re.compile(r"key<[A-Za-z0-9_]{1,64}>")
_NAME = re.compile(r"[A-Za-z0-9_%-]+(\.[A-Za-z0-9_%-]+)*")


class Spec(NamedTuple):
    """The dtype of a leaf by name and its shape; for PRNG keys the shape of the key data."""

    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"

    @property
    def storage_dtype(self) -> np.dtype:
        """The little-endian dtype of the dataset; KeyError for a dtype that files can't hold."""
        name = "uint32" if _KEY.fullmatch(self.dtype) else _STORED_AS[self.dtype]
        return np.dtype(name).newbyteorder("<")

    @property
    def storage_shape(self) -> tuple[int, ...]:
        """The shape of the dataset."""
        return (*self.shape, 2) if self.dtype.startswith("complex") else self.shape


def component(text: str) -> str:
    """One part of a key path with everything but letters, digits, `_` and `-` percent-encoded ('' becomes '%')."""
    return re.sub(r"[^A-Za-z0-9_-]", lambda m: "".join(f"%{b:02X}" for b in m[0].encode()), text) or "%"


def is_name(text: str) -> bool:
    """Whether `text` could be the name of a leaf."""
    return len(text) <= MAX_NAME and _NAME.fullmatch(text) is not None


def named_leaves(tree: Any) -> dict[str, Any]:
    """The leaves of a pytree by name, such as `opt_state.0.mu.layer_0.kernel`, in the order of the pytree.

    A name joins the dictionary keys, field names and positions on the way to the leaf by dots; a tree that is one leaf
    calls it `value`. None and empty containers have no leaves.

    Raises:
        InputError: if two leaves would get the same name, or a key is neither text nor a whole number.
    """
    leaves: dict[str, Any] = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        name = ".".join(_part(entry) for entry in path) or "value"
        if name in leaves or not is_name(name):
            problem = "twice in this pytree" if name in leaves else f"longer than {MAX_NAME} characters"
            raise InputError(f"The leaf name {name[:100]!r} is {problem}; rename the keys that lead there.")
        leaves[name] = leaf
    return leaves


def _part(entry: Any) -> str:
    """The key of one step into a pytree as text that is safe in a file."""
    for attribute in ("name", "idx", "key"):  # GetAttrKey, SequenceKey, DictKey or FlattenedIndexKey
        if hasattr(entry, attribute):
            key = getattr(entry, attribute)
            if isinstance(key, str | int | np.integer):
                return component(str(key))
    raise InputError(f"A pytree with the key {entry!r} can't be stored; use text or whole numbers as keys.")


def is_prng_key(leaf: Any) -> bool:
    """Whether a leaf is an array, or the shape of an array, of typed PRNG keys."""
    return hasattr(leaf, "dtype") and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def spec_of(name: str, leaf: Any) -> Spec:
    """The dtype and shape of a leaf: an array, a `jax.ShapeDtypeStruct`, or a Python number.

    Raises:
        InputError: if files can't hold such a leaf.
    """
    if is_prng_key(leaf):
        return _key_spec(name, leaf)
    if isinstance(leaf, bool | int | float | complex) and not hasattr(leaf, "dtype"):
        kinds = {bool: "bool", int: "int64", float: "float64", complex: "complex128"}
        return Spec(next(kinds[kind] for kind in kinds if isinstance(leaf, kind)), ())
    dtype = getattr(getattr(leaf, "dtype", None), "name", None)
    if dtype not in _STORED_AS or not hasattr(leaf, "shape"):
        raise InputError(
            f"The leaf {name} is {dtype or type(leaf).__name__}, which files can't hold. "
            f"Allowed are numbers and arrays of {', '.join(_STORED_AS)}, and typed PRNG keys."
        )
    return Spec(dtype, tuple(map(int, leaf.shape)))


def _key_spec(name: str, leaf: Any) -> Spec:
    found = []
    like = jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
    data = jax.eval_shape(lambda key: (found.append(jax.random.key_impl(key)), jax.random.key_data(key))[1], like)
    dtype = f"key<{found[0]}>"
    if not isinstance(found[0], str) or not _KEY.fullmatch(dtype):
        raise InputError(f"The PRNG keys of {name} have the unregistered implementation {found[0]}; use a named one.")
    return Spec(dtype, tuple(data.shape))


def encode(spec: Spec, leaf: Any) -> np.ndarray:
    """The numbers of a leaf (on the host; key data for PRNG keys) as its dataset holds them.

    Raises:
        InputError: if a Python integer does not fit into 64 bits.
    """
    try:
        array = np.asarray(leaf) if hasattr(leaf, "dtype") else np.asarray(leaf, spec.dtype)
    except OverflowError as error:
        raise InputError(f"The integer {leaf} doesn't fit into 64 bits; store it as text.") from error
    array = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
    return array.reshape(-1).view(spec.storage_dtype).reshape(spec.storage_shape)


def decode(spec: Spec, stored: np.ndarray) -> np.ndarray:
    """The inverse of `encode` as a NumPy array; PRNG keys stay key data."""
    if spec.dtype.startswith("key<"):
        return stored.astype(np.uint32, copy=False)
    dtype = np.dtype(jnp.bfloat16) if spec.dtype == "bfloat16" else np.dtype(spec.dtype)
    if spec.dtype == "bool" and stored.size and stored.max() > 1:
        raise ValueError("a bool that is neither 0 nor 1")
    array = stored.reshape(-1).view(dtype.newbyteorder("<")).reshape(spec.shape)
    return array.astype(dtype, copy=False)


def restore(spec: Spec, array: np.ndarray, like: Any) -> Any:
    """A decoded leaf as the same kind as `like`: Python number, NumPy array or number, PRNG keys, or JAX array.

    Raises:
        InputError: if JAX can't hold the dtype, since 64-bit types are switched off.
    """
    if is_prng_key(like):
        return jax.random.wrap_key_data(jnp.asarray(array), impl=spec.dtype[len("key<") : -1])
    if isinstance(like, np.ndarray):
        return array
    if isinstance(like, np.generic):
        return array[()]
    if isinstance(like, bool | int | float | complex):
        return array.item()
    result = jnp.asarray(array)
    if result.dtype != array.dtype:
        raise InputError(
            f"JAX would turn {array.dtype} into {result.dtype} here. Enable jax_enable_x64 as it was when the file "
            "was written, or ask for a NumPy array (pass one as `like`)."
        )
    return result
