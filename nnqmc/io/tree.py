"""Pytrees on disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from nnqmc.errors import CheckpointError
from nnqmc.io.container import MAX_BYTES, Header, largest_size, plain_attributes, read_container, write_container
from nnqmc.io.leaves import Spec, is_prng_key, named_leaves, restore, spec_of
from nnqmc.io.signing import Secret
from nnqmc.typing import PyTree

TREE_FORMAT = "nnqmc-tree"
"""The format name of a file that holds a pytree."""

_SHOWN = 5


def save_tree(
    path: str | os.PathLike[str], tree: PyTree, attributes: Mapping[str, Any], secret: Secret = None
) -> None:
    """Write every leaf of a pytree by its key path, with dtype and shape, atomically.

    Args:
        path: the file to write or replace.
        tree: leaves are numeric arrays, typed PRNG keys or Python numbers; None and empty containers are fine.
        attributes: what JSON can hold, under text names.
        secret: signs the file.

    Raises:
        InputError: if a leaf or an attribute can't be stored.
        CheckpointError: if the file can't be written; an older file of that name is then unchanged.
    """
    leaves = named_leaves(tree)
    specs = {name: spec_of(name, leaf) for name, leaf in leaves.items()}
    numbers = {name: jax.random.key_data(leaf) if is_prng_key(leaf) else leaf for name, leaf in leaves.items()}
    write_container(path, Header(TREE_FORMAT, plain_attributes(attributes), specs), jax.device_get(numbers), secret)


def load_tree(
    path: str | os.PathLike[str],
    like: PyTree | Callable[[Mapping[str, Any]], PyTree],
    *,
    expected: Mapping[str, Any] | None = None,
    max_bytes: int = MAX_BYTES,
    secret: Secret = None,
) -> tuple[PyTree, dict[str, Any]]:
    """Read a pytree that must have the structure, shapes and dtypes of another.

    Args:
        path: a file of `save_tree`.
        like: a pytree of arrays, `jax.ShapeDtypeStruct`s or Python numbers; only its form matters. A leaf comes back
            as the same kind: Python number, NumPy array, PRNG keys, or else a JAX array on the default device. A
            function makes it from the attributes of the file.
        expected: attributes that the file must have, with these values.
        max_bytes: the largest file that is read.
        secret: what the file has to be signed with; None for one without signature.

    Returns:
        The pytree and the attributes of the file.

    Raises:
        CheckpointError: if the file is missing, damaged, altered, not ours, or holds something else than `like`.
        InputError: if a leaf of `like` is nothing that a file can hold.
    """
    made = None if callable(like) else _specs(like)

    def check(header: Header) -> None:
        check_format(path, header, TREE_FORMAT)
        check_attributes(path, header.attributes, expected or {})
        _check_specs(path, header.leaves, made if made is not None else _specs(like(header.attributes)))

    header, arrays = read_container(path, check, max_bytes, secret)
    like = like(header.attributes) if callable(like) else like
    leaves = [restore(header.leaves[name], arrays[name], leaf) for name, leaf in named_leaves(like).items()]
    return jax.tree_util.tree_unflatten(jax.tree_util.tree_structure(like), leaves), header.attributes


def _specs(like: PyTree) -> dict[str, Spec]:
    return {name: spec_of(name, leaf) for name, leaf in named_leaves(like).items()}


def largest_tree(like: PyTree) -> int:
    """The most bytes that a file of such a pytree can have, as `max_bytes` for reading it."""
    return largest_size(_specs(like))


def load_arrays(
    path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES, secret: Secret = None
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read any data file of nnqmc without knowing what it holds.

    Args:
        path: a file of `save_tree`, `save_checkpoint` or `save_series`.
        max_bytes: the largest file that is read.
        secret: what the file has to be signed with; None for one without signature.

    Returns:
        NumPy arrays by key path (PRNG keys as their uint32 key data), and the attributes.

    Raises:
        CheckpointError: if the file is missing, damaged, altered or not ours.
    """
    header, arrays = read_container(path, lambda header: None, max_bytes, secret)
    return arrays, header.attributes


def check_format(path: str | os.PathLike[str], header: Header, wanted: str) -> None:
    """Raise CheckpointError unless the file has the wanted format."""
    if header.format != wanted:
        raise CheckpointError(
            f"{path} has the format {header.format[:40]!r}, and {wanted!r} is needed here. Name another file."
        )


def check_attributes(path: str | os.PathLike[str], found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Raise CheckpointError unless every expected attribute is found with its value."""
    for name, value in plain_attributes(expected).items():
        if name not in found or found[name] != value:
            has = f"{name} = {found[name]!r:.80}" if name in found else f"no {name}"
            raise CheckpointError(
                f"{path} belongs to something else: it has {has}, and {name} = {value!r:.80} is needed. "
                "Use the settings that it was written with, or another directory."
            )


def _check_specs(path: str | os.PathLike[str], found: Mapping[str, Spec], wanted: Mapping[str, Spec]) -> None:
    names = [name for name in (*wanted, *(found.keys() - wanted.keys())) if found.get(name) != wanted.get(name)]
    if not names:
        return
    lines = [
        f"  {name}: {found.get(name, 'nothing')} in the file, {wanted.get(name, 'nothing')} expected"
        for name in names[:_SHOWN]
    ]
    if len(names) > _SHOWN:
        lines.append(f"  and {len(names) - _SHOWN} more")
    raise CheckpointError(
        "\n".join([f"{path} holds something else than what is needed:", *lines])
        + "\nWas it written for another molecule, network, optimizer or number of walkers? Use the settings that it "
        "was written with (config.toml beside it), or write to another directory."
    )
