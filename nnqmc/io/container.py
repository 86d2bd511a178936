"""Pytrees are written to sealed HDF5 files here, and read back from files that nobody has to trust; see `nnqmc.io`."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import h5py
import numpy as np

from nnqmc.errors import CheckpointError, InputError, NnqmcError
from nnqmc.io.files import read_file, write_file
from nnqmc.io.leaves import NAME, PLAIN, Spec, specs_of, to_arrays
from nnqmc.io.signing import Secret, check_signature, is_signed, sign
from nnqmc.typing import PyTree

VERSION = 2
"""The version of the format that is written and read."""

MAX_BYTES, MAX_HEADER = 2**32, 2**22
"""The largest file that is read unless the caller says otherwise, and the largest header, in bytes."""

SEAL_BYTES, HEADER = 512, "@header"
"""The length of the seal, and the name of the dataset with the header, which no leaf can have."""

_START = re.compile(rb"nnqmc data: HDF5 behind these 512 bytes; seal (\d{1,9}), sha256 ")
_ADVICE = "Use another checkpoint of the same run, or a copy of this file."
_SHOWN = 5
_ROOM = 4096
"""Bytes that HDF5 keeps beside the numbers of a leaf, and more."""


class _Refused(Exception):
    """Says what a file holds that it may not hold."""


def save_tree(
    path: str | os.PathLike[str], tree: PyTree, attributes: Mapping[str, Any], secret: Secret = None
) -> None:
    """Write every leaf of a pytree by its key path, with dtype and shape, atomically.

    Leaves are numeric arrays or typed PRNG keys; None and empty containers are fine. Attributes are what JSON can hold,
    under text names. A secret signs the file.

    Raises:
        InputError: a leaf or an attribute can't be stored.
        CheckpointError: the file can't be written; an older file of that name is then unchanged.
    """
    write_container(path, to_arrays(tree), attributes, secret)


def load_arrays(
    path: str | os.PathLike[str], like: PyTree | Callable[[Mapping[str, Any]], PyTree] = None, *,
    max_bytes: int = MAX_BYTES, secret: Secret = None,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays of any data file of nnqmc by key path (PRNG keys as their uint32 key data), and its attributes.

    Args:
        path: a file of `save_tree`, `save_checkpoint` or `save_series`.
        like: a pytree of arrays or of `jax.ShapeDtypeStruct` with the structure, shapes and dtypes that the file must
            have, or a function that makes it from the attributes of the file and may refuse them; None for anything.
        max_bytes: the largest file that is read.
        secret: what the file has to be signed with; None for one without signature.

    Raises:
        CheckpointError: the file is missing, damaged, altered, not ours, or holds something else.
        SignatureError: it isn't signed with `secret`.
    """
    raw = read_file(path, max_bytes)
    _check_seal(path, raw, secret)
    try:
        return _parse(path, raw, like)
    except NnqmcError:
        raise
    except Exception as error:  # whatever h5py, NumPy or json make of bytes that somebody forged
        forged = f"it is damaged or forged ({type(error).__name__}: {str(error)[:200]})"
        problem = error if isinstance(error, _Refused) else forged
        raise CheckpointError(f"{path} is refused: {problem}. nnqmc writes no such file. {_ADVICE}") from error


def largest_tree(like: PyTree) -> int:
    """Return the most bytes that a file of such a pytree can have, as `max_bytes` for reading it."""
    return 2 * MAX_HEADER + sum(spec.n_bytes + _ROOM for spec in specs_of(like).values())


def plain_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes as a file gives them back: what JSON can hold, tuples as lists, NumPy numbers as Python's."""
    try:
        return json.loads(json.dumps(dict(attributes), default=lambda value: value.tolist()))
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise InputError("Attributes must be text, numbers, None, or lists and dictionaries of these, under text "
                         f"names: {error}.") from error


def write_container(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], attributes: Mapping[str, Any], secret: Secret = None
) -> None:
    """Write arrays of `PLAIN` dtypes by name, and attributes; the same content gives the same bytes."""
    specs = {name: Spec(array.dtype.name, array.shape) for name, array in arrays.items()}
    header = {"attributes": plain_attributes(attributes), "leaves": specs}
    text = json.dumps(header, sort_keys=True).encode("ascii")
    if len(text) > MAX_HEADER:
        raise InputError(f"The attributes and names take {len(text)} bytes; at most {MAX_HEADER} are allowed.")
    # made in memory, so that a full disk can't disturb HDF5
    options = {"driver": "core", "backing_store": False, "libver": ("v108", "v108"), "userblock_size": SEAL_BYTES}
    with h5py.File(uuid.uuid4().hex, "w", **options) as file:
        for name, array in sorted({HEADER: np.frombuffer(text, np.uint8), **arrays}.items()):
            file.create_dataset(name, data=array)
        file.flush()
        body = file.id.get_file_image()
    write_file(path, seal(body, secret), body)


def seal(body: bytes | memoryview, secret: Secret = None) -> bytes:
    """Return the first 512 bytes of the file whose other bytes are `body`."""
    digest = hashlib.sha256(body).hexdigest()
    line = f"nnqmc data: HDF5 behind these 512 bytes; seal {VERSION}, sha256 {digest}\n"
    return sign(secret, line.encode("ascii")).ljust(SEAL_BYTES, b"\0")


def _check_seal(path: str | os.PathLike[str], raw: bytes, secret: Secret) -> None:
    """Raise CheckpointError unless version, digest and signature are as they have to be."""
    if (start := _START.match(raw)) is None:
        raise CheckpointError(f"{path} isn't a data file of nnqmc, or is cut off (it starts with {raw[:24]!r}). "
                              "Check the name, or use a copy of the file.")
    if (version := int(start[1])) != VERSION:
        writer = "nnqmc 0.1" if version == 1 else "another version of nnqmc"
        raise CheckpointError(f"{path} was written by {writer} (format {version}), and this version reads format "
                              f"{VERSION}: go on with the version that wrote it, or start anew in another directory.")
    line, text = (start.rstrip(b"\0") for start in (seal(memoryview(raw)[SEAL_BYTES:]), raw[:SEAL_BYTES]))
    if not text.startswith(line) or (text != line and not is_signed(text)):
        raise CheckpointError(f"{path} is truncated or altered: its bytes don't match its seal. {_ADVICE}")
    check_signature(path, secret, text)


def _parse(path: str | os.PathLike[str], raw: bytes, like: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays and attributes in sealed bytes; every dataset is checked before it is read."""
    with contextlib.closing(h5py.h5f.open_file_image(raw)) as file:
        root = h5py.h5g.open(file, b"/")
        attributes, specs = _parse_header(_read(root, HEADER, "uint8", None, min(MAX_HEADER, len(raw))))
        if root.get_num_objs() != len(specs) + 1 or h5py.h5a.get_num_attrs(root):
            raise _Refused(f"beside its {len(specs)} leaves and its header it holds something else")
        if sum(spec.n_bytes for spec in specs.values()) > len(raw):
            raise _Refused("it claims to hold more numbers than it has bytes")
        if like is not None:
            _check_form(path, specs, specs_of(like(attributes) if callable(like) else like))
        return {name: _read(root, name, *spec, spec.n_bytes) for name, spec in specs.items()}, attributes


def _parse_header(header: np.ndarray) -> tuple[dict[str, Any], dict[str, Spec]]:
    """Return the attributes, and the dtype and shape of every leaf by its name."""
    content = json.loads(header.tobytes())
    specs = {name: Spec(dtype, tuple(shape)) for name, (dtype, shape) in content["leaves"].items()}
    for name, spec in specs.items():
        is_shape = all(type(n) is int and n >= 0 for n in spec.shape)
        if not is_shape or not NAME.fullmatch(name) or spec.dtype not in PLAIN:
            raise _Refused(f"its header lists {name[:60]!r} as {str(spec)[:60]}")
    if content.keys() != {"attributes", "leaves"} or not isinstance(content["attributes"], dict):
        raise _Refused("its header holds something else than attributes and leaves")
    return content["attributes"], specs


def _check_form(path: str | os.PathLike[str], found: Mapping[str, Spec], wanted: Mapping[str, Spec]) -> None:
    """Raise CheckpointError unless names, dtypes and shapes are those wanted."""
    names = [name for name in {**wanted, **found} if found.get(name) != wanted.get(name)]
    lines = [f"  {name}: {found.get(name, 'nothing')} in the file, {wanted.get(name, 'nothing')} expected"
             for name in names[:_SHOWN]]
    if lines:
        raise CheckpointError("\n".join([
            f"{path} holds something else than what is needed, in {len(names)} places:", *lines,
            "Was it written for another molecule, network, optimizer or number of walkers? Use the settings that it "
            "was written with (config.toml beside it), or write to another directory."]))


def _read(
    root: h5py.h5g.GroupID, name: str, dtype: str, shape: tuple[int, ...] | None, max_bytes: int
) -> np.ndarray:
    """Read a dataset; refuse all but plain contiguous numbers of this dtype and shape (None: any), of limited size."""
    link = name.encode("ascii")
    if not root.links.exists(link):
        raise _Refused(f"it lacks {name}")
    if root.links.get_info(link).type != h5py.h5l.TYPE_HARD:
        raise _Refused(f"{name} is a link that leads elsewhere")
    dataset = h5py.h5o.open(root, link)
    if not isinstance(dataset, h5py.h5d.DatasetID):
        raise _Refused(f"{name} isn't a dataset")
    creation = dataset.get_create_plist()
    if creation.get_layout() != h5py.h5d.CONTIGUOUS or creation.get_external_count():
        raise _Refused(f"{name} is chunked, compressed, virtual or stored outside the file")
    if h5py.h5a.get_num_attrs(dataset):
        raise _Refused(f"{name} has HDF5 attributes")
    if dataset.get_type() != h5py.h5t.py_create(np.dtype(dtype)):
        raise _Refused(f"{name} doesn't hold plain numbers of the type {dtype}")
    size = Spec(dtype, dataset.shape).n_bytes
    if shape not in (None, dataset.shape) or size > max_bytes:
        raise _Refused(f"{name} has the shape {dataset.shape} instead of {shape or f'at most {max_bytes} bytes'}")
    if dataset.get_storage_size() != size:
        raise _Refused(f"{name} claims a size that it doesn't have")
    array = np.empty(dataset.shape, dtype)
    dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, array)
    return array
