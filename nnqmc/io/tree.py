"""Pytrees are written to files here, and read back if they are what is expected."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nnqmc.errors import CheckpointError
from nnqmc.io.container import MAX_BYTES, MAX_HEADER, plain_attributes, read_container, write_container
from nnqmc.io.leaves import Spec, from_arrays, specs_of, to_arrays
from nnqmc.io.signing import Secret
from nnqmc.typing import PyTree

Form = PyTree | Callable[[Mapping[str, Any]], PyTree]
"""A pytree of which only the form matters, or a function that makes it from the attributes of a file."""

_SHOWN = 5
_ROOM = 4096
"""Bytes that HDF5 keeps beside the numbers of a leaf, and more."""


def save_tree(
    path: str | os.PathLike[str], tree: PyTree, attributes: Mapping[str, Any], secret: Secret = None
) -> None:
    """Write every leaf of a pytree by its key path, with dtype and shape, atomically.

    Args:
        path: the file to write or replace.
        tree: leaves are numeric arrays or typed PRNG keys; None and empty containers are fine.
        attributes: what JSON can hold, under text names.
        secret: signs the file.

    Raises:
        InputError: if a leaf or an attribute can't be stored.
        CheckpointError: if the file can't be written; an older file of that name is then unchanged.
    """
    write_container(path, to_arrays(tree), attributes, secret)


def load_tree(path: str | os.PathLike[str], like: Form, **options: Any) -> tuple[PyTree, dict[str, Any]]:
    """Return the pytree in a file, its leaves of the kinds that `from_arrays` makes, and the attributes of the file.

    Arguments and errors are those of `load_arrays`, and `from_arrays` may raise an InputError.
    """
    arrays, attributes = load_arrays(path, like, **options)
    return from_arrays(arrays, like(attributes) if callable(like) else like), attributes


def load_arrays(
    path: str | os.PathLike[str], like: Form = None, *, expected: Mapping[str, Any] | None = None,
    max_bytes: int = MAX_BYTES, secret: Secret = None,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read any data file of nnqmc as plain arrays.

    Args:
        path: a file of `save_tree`, `save_checkpoint` or `save_series`.
        like: a pytree of arrays or `jax.ShapeDtypeStruct`s of the structure, shapes and dtypes that the file must
            have, or a function that makes it from the attributes of the file; None for anything.
        expected: attributes that the file must have, with these values.
        max_bytes: the largest file that is read.
        secret: what the file has to be signed with; None for one without signature.

    Returns:
        NumPy arrays by key path (PRNG keys as their uint32 key data), and the attributes.

    Raises:
        CheckpointError: if the file is missing, damaged, altered, not ours, or holds something else.
        SignatureError: if it isn't signed with `secret`.
        InputError: if a leaf of `like` is nothing that a file can hold.
    """

    def check(attributes: dict[str, Any], specs: dict[str, Spec]) -> None:
        _check_attributes(path, attributes, plain_attributes(expected or {}))
        if like is not None:
            _check_specs(path, specs, specs_of(like(attributes) if callable(like) else like))

    return read_container(path, check, max_bytes, secret)


def largest_tree(like: PyTree) -> int:
    """Return the most bytes that a file of such a pytree can have, as `max_bytes` for reading it."""
    return 2 * MAX_HEADER + sum(spec.n_bytes + _ROOM for spec in specs_of(like).values())


def _check_attributes(path: str | os.PathLike[str], found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Raise CheckpointError unless every expected attribute is found with its value."""
    for name, value in expected.items():
        if name not in found or found[name] != value:
            has = f"{name} = {found[name]!r:.80}" if name in found else f"no {name}"
            raise CheckpointError(f"{path} belongs to something else: it has {has}, and {name} = {value!r:.80} is "
                                  "needed. Use the settings that it was written with, or another directory.")


def _check_specs(path: str | os.PathLike[str], found: Mapping[str, Spec], wanted: Mapping[str, Spec]) -> None:
    """Raise CheckpointError unless names, dtypes and shapes are those wanted."""
    names = [name for name in (*wanted, *(found.keys() - wanted.keys())) if found.get(name) != wanted.get(name)]
    if not names:
        return
    lines = [f"  {name}: {found.get(name, 'nothing')} in the file, {wanted.get(name, 'nothing')} expected"
             for name in names[:_SHOWN]]
    raise CheckpointError("\n".join([
        f"{path} holds something else than what is needed, in {len(names)} places:", *lines,
        "Was it written for another molecule, network, optimizer or number of walkers? Use the settings that it was "
        "written with (config.toml beside it), or write to another directory."]))
