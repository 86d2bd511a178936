"""The file format: sealed HDF5 with one header and plain datasets; see `nnqmc.io` for its description."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import os
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import h5py
import numpy as np

from nnqmc.errors import CheckpointError, InputError, NnqmcError
from nnqmc.io.files import atomic_write, read_file
from nnqmc.io.leaves import Spec, decode, encode, is_name
from nnqmc.io.signing import Secret, check_signature, signature

VERSION = 1
"""The version of the format that is written and read."""

MAX_BYTES = 2**32
"""The largest file that is read unless the caller says otherwise."""

MAX_HEADER = 2**22
"""The largest header in bytes."""

SEAL_BYTES = 512
"""The length of the seal, an HDF5 user block."""

HEADER = "@header"
"""The dataset with the header; no leaf can have this name."""

_MAGIC = b"nnqmc data: HDF5 behind these 512 bytes; seal 1, sha256 "
_SIGNATURE = re.compile(rb"(?:hmac-sha256 ([0-9a-f]{64})\n)?\0*")
_ADVICE = "Use another checkpoint of the same run, or a copy of this file."


class Header(NamedTuple):
    """What a file says of itself: its format, the caller's attributes, and each leaf's dtype and shape by name."""

    format: str
    attributes: dict[str, Any]
    leaves: dict[str, Spec]


class _Refused(Exception):
    """A file holds what it may not hold; the text says what."""


def plain_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as a file gives them back: what JSON can hold, tuples as lists, NumPy numbers as Python's.

    Raises:
        InputError: if JSON can't hold them.
    """
    try:
        if not all(isinstance(name, str) for name in attributes):
            raise TypeError("a name that isn't text")
        text = json.dumps(dict(attributes), default=_as_json, sort_keys=True)
        return json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"Attributes must be text, numbers, None, or lists and dictionaries of these, under text names: {error}."
        ) from error


def _as_json(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is none of these")


def _header_text(header: Header) -> bytes:
    """The canonical JSON text of a header, which the content digest starts with."""
    content = {
        "format": header.format,
        "version": VERSION,
        "attributes": header.attributes,
        "leaves": {name: [spec.dtype, list(spec.shape)] for name, spec in header.leaves.items()},
    }
    return _json(content)


def _json(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode("ascii")


def _content_digest(header: Header, arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the header's canonical text and then every leaf's bytes, ordered by name."""
    digest = hashlib.sha256(_header_text(header))
    for name in sorted(header.leaves):
        digest.update(arrays[name].reshape(-1).view(np.uint8))
    return digest.hexdigest()


def _seal(body: bytes | memoryview, secret: Secret = None) -> bytes:
    """The first 512 bytes of the file whose other bytes are `body`."""
    line = _sealing_line(body)
    signed = b"" if secret is None else f"hmac-sha256 {signature(secret, line)}\n".encode("ascii")
    return (line + signed).ljust(SEAL_BYTES, b"\0")


def _sealing_line(body: bytes | memoryview) -> bytes:
    return _MAGIC + hashlib.sha256(body).hexdigest().encode("ascii") + b"\n"


def largest_size(leaves: Mapping[str, Spec]) -> int:
    """The most bytes that a file with these leaves can have, with room to spare for what HDF5 keeps beside them."""
    return SEAL_BYTES + 2 * MAX_HEADER + _n_bytes(leaves) + 4096 * len(leaves)


def _n_bytes(leaves: Mapping[str, Spec]) -> int:
    return sum(math.prod(spec.storage_shape) * spec.storage_dtype.itemsize for spec in leaves.values())


def write_container(
    path: str | os.PathLike[str], header: Header, leaves: Mapping[str, Any], secret: Secret = None
) -> None:
    """Write a file atomically; the same content gives the same bytes.

    Args:
        path: the file to write or replace.
        header: its attributes must come from `plain_attributes`.
        leaves: the number or array on the host of every name in `header.leaves`; key data for PRNG keys.
        secret: signs the file.

    Raises:
        InputError: if the attributes are too large.
        CheckpointError: if the file can't be written.
    """
    arrays = {name: encode(spec, leaves[name]) for name, spec in header.leaves.items()}
    content = json.loads(_header_text(header)) | {"digest": _content_digest(header, arrays)}
    text = _json(content)
    if len(text) > MAX_HEADER:
        raise InputError(f"The attributes and names take {len(text)} bytes; at most {MAX_HEADER} are allowed.")
    body = _hdf5_image({HEADER: np.frombuffer(text, np.uint8), **arrays})
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        file.write(_seal(body, secret))
        file.write(body)


def _hdf5_image(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The bytes of an HDF5 file behind a user block, made in memory so that a full disk can't disturb HDF5."""
    options = {"driver": "core", "backing_store": False, "libver": ("v108", "v108"), "userblock_size": SEAL_BYTES}
    with h5py.File(uuid.uuid4().hex, "w", **options) as file:
        for name in sorted(arrays):
            file.create_dataset(name, data=arrays[name])
        file.flush()
        return file.id.get_file_image()


def read_container(
    path: str | os.PathLike[str], check: Callable[[Header], None], max_bytes: int = MAX_BYTES, secret: Secret = None
) -> tuple[Header, dict[str, np.ndarray]]:
    """Read and verify a file.

    Args:
        path: the file.
        check: called with the header before any leaf is read; raises if the caller wants something else.
        max_bytes: the largest file that is read.
        secret: what the file has to be signed with; None for one without signature.

    Returns:
        The header and the leaves as NumPy arrays by name; key data for PRNG keys.

    Raises:
        CheckpointError: if the file is missing, not ours, damaged, altered, or holds anything that it may not hold.
        SignatureError: if it isn't signed with `secret`.
    """
    raw = read_file(path, max_bytes, lambda start: _check_start(path, start))
    _check_seal(path, raw, secret)
    try:
        return _parse(raw, check)
    except NnqmcError:
        raise
    except _Refused as error:
        raise CheckpointError(f"{path} is refused: {error}. nnqmc writes no such file. {_ADVICE}") from error
    except Exception as error:  # whatever h5py, NumPy or json make of bytes that somebody forged
        problem = f"{type(error).__name__}: {error}"
        raise CheckpointError(f"{path} is damaged or forged ({problem[:200]}). {_ADVICE}") from error


def _check_start(path: str | os.PathLike[str], start: bytes) -> None:
    if not start:
        raise CheckpointError(f"{path} is empty. {_ADVICE}")
    if not start.startswith(_MAGIC) and not _MAGIC.startswith(start):
        raise CheckpointError(
            f"{path} isn't a data file of nnqmc, or was written by a newer version (it starts with {start[:24]!r}). "
            "Check the name, or use the newer version."
        )


def _check_seal(path: str | os.PathLike[str], raw: bytes, secret: Secret) -> None:
    line = _sealing_line(memoryview(raw)[SEAL_BYTES:])
    signed = _SIGNATURE.fullmatch(raw[len(line) : SEAL_BYTES])
    if signed is None or not hmac.compare_digest(raw[: len(line)], line):
        raise CheckpointError(f"{path} is truncated or altered: its bytes don't match its seal. {_ADVICE}")
    check_signature(path, secret, line, None if signed[1] is None else signed[1].decode("ascii"))


def _parse(raw: bytes, check: Callable[[Header], None]) -> tuple[Header, dict[str, np.ndarray]]:
    """Read sealed bytes; every dataset is checked before the first one is read."""
    file = h5py.h5f.open_file_image(raw)
    try:
        root = h5py.h5g.open(file, b"/")
        text = _open_dataset(root, HEADER, np.dtype("<u1"))
        if len(text.shape) != 1 or text.shape[0] > min(MAX_HEADER, len(raw)):
            raise _Refused(f"its header has the shape {text.shape}")
        header, digest = _parse_header(_read(text, np.dtype("<u1")).tobytes())
        if root.get_num_objs() != len(header.leaves) + 1 or h5py.h5a.get_num_attrs(root):
            raise _Refused(f"beside its {len(header.leaves)} leaves and its header it holds something else")
        if _n_bytes(header.leaves) > len(raw):
            raise _Refused("it claims to hold more numbers than it has bytes")
        check(header)
        datasets = {name: _open_leaf(root, name, spec) for name, spec in header.leaves.items()}
        arrays = {name: _read(datasets[name], spec.storage_dtype) for name, spec in header.leaves.items()}
    finally:
        file.close()
    if not hmac.compare_digest(_content_digest(header, arrays), digest):
        raise _Refused("its content doesn't match its digest")
    return header, {name: decode(spec, arrays[name]) for name, spec in header.leaves.items()}


def _parse_header(text: bytes) -> tuple[Header, str]:
    content = json.loads(text)
    if content["version"] != VERSION:
        raise _Refused(f"it has format version {content['version']!r}, and this nnqmc reads version {VERSION}")
    leaves = {}
    for name, (dtype, shape) in content["leaves"].items():
        leaves[name] = Spec(dtype, tuple(shape))
        if not is_name(name) or len(shape) > 32 or any(type(n) is not int or n < 0 for n in shape):
            raise _Refused(f"its header lists {name[:60]!r} with the shape {str(shape)[:60]}")
    header = Header(content["format"], content["attributes"], leaves)
    if not isinstance(header.format, str) or not isinstance(header.attributes, dict):
        raise _Refused("its header lacks a format name or attributes")
    if text != _json(content) or content.keys() != json.loads(_header_text(header)).keys() | {"digest"}:
        raise _Refused("its header isn't in canonical form")
    return header, content["digest"]


def _open_dataset(root: h5py.h5g.GroupID, name: str, dtype: np.dtype) -> h5py.h5d.DatasetID:
    """Open a dataset without following or reading anything; refuse all but plain contiguous numbers of `dtype`."""
    link = name.encode("ascii")
    if not root.links.exists(link):
        raise _Refused(f"it lacks {name}")
    if root.links.get_info(link).type != h5py.h5l.TYPE_HARD:
        raise _Refused(f"{name} is a link that leads elsewhere")
    dataset = h5py.h5o.open(root, link)
    if not isinstance(dataset, h5py.h5d.DatasetID):
        raise _Refused(f"{name} isn't a dataset")
    creation = dataset.get_create_plist()
    if creation.get_layout() != h5py.h5d.CONTIGUOUS or creation.get_external_count() or creation.get_nfilters():
        raise _Refused(f"{name} is chunked, compressed, virtual or stored outside the file")
    if h5py.h5a.get_num_attrs(dataset):
        raise _Refused(f"{name} has HDF5 attributes")
    if dataset.get_type() != h5py.h5t.py_create(dtype):
        raise _Refused(f"{name} doesn't hold plain numbers of the type {dtype.name}")
    space = dataset.get_space()
    if space.get_simple_extent_type() not in (h5py.h5s.SIMPLE, h5py.h5s.SCALAR):
        raise _Refused(f"{name} has no shape")
    if dataset.get_storage_size() != math.prod(dataset.shape) * dtype.itemsize:
        raise _Refused(f"{name} claims a size that it doesn't have")
    return dataset


def _open_leaf(root: h5py.h5g.GroupID, name: str, spec: Spec) -> h5py.h5d.DatasetID:
    dataset = _open_dataset(root, name, spec.storage_dtype)
    if dataset.shape != spec.storage_shape:
        raise _Refused(f"{name} has the shape {dataset.shape} where its header says {spec.storage_shape}")
    return dataset


def _read(dataset: h5py.h5d.DatasetID, dtype: np.dtype) -> np.ndarray:
    array = np.empty(dataset.shape, dtype)
    dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, array)
    return array
