"""The file format is made and checked here: sealed HDF5 with one header and plain datasets, described in `nnqmc.io`."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import h5py
import numpy as np

from nnqmc.errors import CheckpointError, InputError, NnqmcError
from nnqmc.io.files import atomic_write, read_file
from nnqmc.io.leaves import NAME, PLAIN, Spec
from nnqmc.io.signing import Secret, check_signature, signature

VERSION = 2
"""The version of the format that is written and read."""

MAX_BYTES = 2**32
"""The largest file that is read unless the caller says otherwise."""

MAX_HEADER = 2**22
"""The largest header in bytes."""

SEAL_BYTES = 512
"""The length of the seal, an HDF5 user block."""

HEADER = "@header"
"""The dataset with the header; no leaf can have this name."""

Check = Callable[[dict[str, Any], dict[str, Spec]], None]
"""A function that is given attributes, and dtypes and shapes by name, before any leaf is read; it raises if the caller
wants something else."""

_START = re.compile(rb"nnqmc data: HDF5 behind these 512 bytes; seal (\d{1,9}), sha256 ")
_SIGNATURE = re.compile(rb"(?:hmac-sha256 ([0-9a-f]{64})\n)?\0*")
_ADVICE = "Use another checkpoint of the same run, or a copy of this file."


class _Refused(Exception):
    """Says what a file holds that it may not hold."""


def plain_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes as a file gives them back: what JSON can hold, tuples as lists, NumPy numbers as Python's.

    Raises:
        InputError: if JSON can't hold them.
    """
    try:
        return json.loads(json.dumps(dict(attributes), default=lambda value: value.tolist()))
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise InputError("Attributes must be text, numbers, None, or lists and dictionaries of these, under text "
                         f"names: {error}.") from error


def seal(body: bytes | memoryview, secret: Secret = None) -> bytes:
    """Return the first 512 bytes of the file whose other bytes are `body`."""
    line = _sealing_line(body)
    signed = b"" if secret is None else f"hmac-sha256 {signature(secret, line)}\n".encode("ascii")
    return (line + signed).ljust(SEAL_BYTES, b"\0")


def _sealing_line(body: bytes | memoryview) -> bytes:
    """Return the line of the seal that has the version and the digest of all bytes behind it."""
    digest = hashlib.sha256(body).hexdigest()
    return f"nnqmc data: HDF5 behind these 512 bytes; seal {VERSION}, sha256 {digest}\n".encode("ascii")


def write_container(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], attributes: Mapping[str, Any], secret: Secret = None
) -> None:
    """Write arrays of `PLAIN` dtypes by name, and attributes; the same content gives the same bytes.

    Raises:
        InputError: if the attributes can't be stored, or are too large.
        CheckpointError: if the file can't be written.
    """
    specs = {name: Spec(array.dtype.name, array.shape) for name, array in arrays.items()}
    header = {"attributes": plain_attributes(attributes), "leaves": specs}
    text = json.dumps(header, sort_keys=True).encode("ascii")
    if len(text) > MAX_HEADER:
        raise InputError(f"The attributes and names take {len(text)} bytes; at most {MAX_HEADER} are allowed.")
    body = _hdf5_image({HEADER: np.frombuffer(text, np.uint8), **arrays})
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        file.write(seal(body, secret))
        file.write(body)


def _hdf5_image(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return the bytes of an HDF5 file behind a user block, made in memory so that a full disk can't disturb HDF5."""
    options = {"driver": "core", "backing_store": False, "libver": ("v108", "v108"), "userblock_size": SEAL_BYTES}
    with h5py.File(uuid.uuid4().hex, "w", **options) as file:
        for name in sorted(arrays):
            file.create_dataset(name, data=arrays[name])
        file.flush()
        return file.id.get_file_image()


def read_container(
    path: str | os.PathLike[str], check: Check, max_bytes: int = MAX_BYTES, secret: Secret = None
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the leaves of a file as arrays by name, and its attributes; nothing that it says is trusted.

    Raises:
        CheckpointError: if the file is missing, not ours, damaged, altered, or holds anything that it may not hold.
        SignatureError: if it isn't signed with `secret`.
    """
    raw = read_file(path, max_bytes)
    _check_seal(path, raw, secret)
    try:
        return _parse(raw, check)
    except NnqmcError:
        raise
    except Exception as error:  # whatever h5py, NumPy or json make of bytes that somebody forged
        forged = f"it is damaged or forged ({type(error).__name__}: {str(error)[:200]})"
        problem = error if isinstance(error, _Refused) else forged
        raise CheckpointError(f"{path} is refused: {problem}. nnqmc writes no such file. {_ADVICE}") from error


def _check_seal(path: str | os.PathLike[str], raw: bytes, secret: Secret) -> None:
    """Raise CheckpointError unless version, digest and signature are as they have to be."""
    if (start := _START.match(raw)) is None:
        raise CheckpointError(f"{path} isn't a data file of nnqmc, or is cut off (it starts with {raw[:24]!r}). "
                              "Check the name, or use a copy of the file.")
    if (version := int(start[1])) != VERSION:
        writer = "nnqmc 0.1" if version == 1 else "another version of nnqmc"
        raise CheckpointError(f"{path} was written by {writer} (format {version}), and this version reads format "
                              f"{VERSION}: go on with the version that wrote it, or start anew in another directory.")
    line = _sealing_line(memoryview(raw)[SEAL_BYTES:])
    signed = _SIGNATURE.fullmatch(raw[len(line) : SEAL_BYTES])
    if signed is None or not hmac.compare_digest(raw[: len(line)], line):
        raise CheckpointError(f"{path} is truncated or altered: its bytes don't match its seal. {_ADVICE}")
    check_signature(path, secret, line, None if signed[1] is None else signed[1].decode("ascii"))


def _parse(raw: bytes, check: Check) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read sealed bytes; every dataset is checked before it is read."""
    file = h5py.h5f.open_file_image(raw)
    try:
        root = h5py.h5g.open(file, b"/")
        attributes, specs = _parse_header(_read(root, HEADER, "uint8", None, min(MAX_HEADER, len(raw))))
        if root.get_num_objs() != len(specs) + 1 or h5py.h5a.get_num_attrs(root):
            raise _Refused(f"beside its {len(specs)} leaves and its header it holds something else")
        if sum(spec.n_bytes for spec in specs.values()) > len(raw):
            raise _Refused("it claims to hold more numbers than it has bytes")
        check(attributes, specs)
        return {name: _read(root, name, *spec, spec.n_bytes) for name, spec in specs.items()}, attributes
    finally:
        file.close()


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
