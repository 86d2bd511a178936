"""Generated files of a run: configurations, results, checkpoints and series, from hardly changed to nonsense."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tomli_w
from hypothesis import strategies as st

from fuzz_ground import CHECKPOINT, DONE, OCCUPIED, Attempt, Originals
from nnqmc.errors import NnqmcError
from nnqmc.io import load_arrays
from nnqmc.io.container import HEADER, SEAL_BYTES, seal, write_container

_EXTREMES = (0, 1, -1, 2, 3, 2**31, -(2**63), 2**63, 10**30, 0.0, -0.0, 1e-320, 1e100, 1e308, -1e308, float("nan"),
             float("inf"), True, False, "", "none", "nan", "../../etc/passwd", "\x1b[2J", "\u202e", "x" * 300, [], {},
             [[]], [0.0] * 3)
_NUMBERS = (b"Infinity", b"-Infinity", b"NaN", b"1e999", b"-1e999", b"1.79e308", b"-1e308", b"1e100", b"1e-320", b"-0",
            b"0", b"1.5", b"-1", b"9" * 30, b"9" * 5000)

scalars = st.one_of(st.sampled_from(_EXTREMES), st.integers(), st.floats(), st.booleans(), st.text(max_size=20))
values = st.recursive(scalars, lambda inner: st.one_of(
    st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)), max_leaves=6)
_json_values = st.one_of(values, st.none())
_plausible = st.sampled_from((1, 2, 3, 10, 0.5, 0.1, 1e-4, 2.0, True, False, "none", 0, "H", [0.0, 0.0, 1.0]))
_toml_values = st.one_of(_plausible, _plausible, values, st.dates(), st.datetimes(), st.times())


def _paths(tree: Any, at: tuple = ()) -> list[tuple]:
    """The way to every value in nested dictionaries and lists."""
    items = tree.items() if isinstance(tree, Mapping) else enumerate(tree) if isinstance(tree, list) else ()
    return [path for key, value in items for path in ((*at, key), *_paths(value, (*at, key)))]


def _edited(draw: st.DrawFn, tree: Any, new_values: st.SearchStrategy[Any]) -> Any:
    """A copy in which a few values are replaced, removed or added."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, 3))):
        paths = _paths(tree)
        if not paths:
            break
        *way, last = draw(st.sampled_from(paths))
        place = tree
        for key in way:
            place = place[key]
        action = draw(st.integers(0, 9))
        if action == 0:
            del place[last]
        elif action == 1 and isinstance(place, dict):
            place[draw(st.text(max_size=10))] = copy.deepcopy(draw(new_values))  # a list drawn twice is one list
        else:
            place[last] = copy.deepcopy(draw(new_values))
    return tree


def _cut_or_flipped(draw: st.DrawFn, raw: bytes) -> bytes:
    """Bytes after an accident: shorter, longer, or with some of them changed."""
    action = draw(st.integers(0, 3))
    if action == 0:
        return raw[: draw(st.integers(0, len(raw)))]
    if action == 1:
        return raw + draw(st.binary(max_size=20))
    damaged = bytearray(raw)
    for _ in range(draw(st.integers(1, 4))):
        if damaged:
            damaged[draw(st.integers(0, len(damaged) - 1))] = draw(st.integers(0, 255))
    return bytes(damaged)


@st.composite
def toml_attempts(draw: st.DrawFn, originals: Originals) -> Attempt:
    """A configuration, given to `run` or found in the directory of a run."""
    good = originals[f"{DONE}/config.toml"]
    way = draw(st.integers(0, 7))
    if way == 0:
        raw = _cut_or_flipped(draw, good)
    elif way == 1:
        raw = draw(st.one_of(st.text(max_size=60).map(str.encode), st.binary(max_size=60)))
    elif way == 2:
        lines = good.decode().splitlines()
        lines[draw(st.integers(0, len(lines) - 1))] = draw(st.text(max_size=30))
        raw = "\n".join(lines).encode("utf-8", "replace")
    else:
        tree = _edited(draw, tomllib.loads(good.decode()), _toml_values)
        try:
            raw = tomli_w.dumps(tree).encode("utf-8", "replace")
        except (TypeError, ValueError, AttributeError):  # nothing that TOML can say
            raw = repr(tree).encode("utf-8", "replace")
    command = draw(st.integers(0, 9))
    if command < 5:
        return Attempt("TOML files", ("run", "--config", "given.toml", "--out", OCCUPIED), {"given.toml": raw})
    words = ("resume", DONE, "--quiet") if command < 9 else ("report", DONE)
    return Attempt("TOML files", words, {f"{DONE}/config.toml": raw})


@st.composite
def result_attempts(draw: st.DrawFn, originals: Originals) -> Attempt:
    """A result.json for `report`, beside series that can't be drawn, which would take long, or for `resume`."""
    good = originals[f"{DONE}/result.json"]
    is_resumed = draw(st.integers(0, 2)) == 0
    if is_resumed:  # complete for the number of steps that it is asked for
        good = json.dumps(json.loads(good) | {"steps": 0, "planned_steps": 0}).encode("utf-8")
    way = draw(st.integers(0, 4))
    if way == 0:
        raw = _cut_or_flipped(draw, good)
    elif way == 1:
        places = [match.span() for match in re.finditer(rb"(?<=[ \[])-?\d[\d.e+-]*", good)]
        start, end = draw(st.sampled_from(places))
        raw = good[:start] + draw(st.sampled_from(_NUMBERS)) + good[end:]
    else:
        raw = json.dumps(_edited(draw, json.loads(good), _json_values)).encode("utf-8")
    files = {f"{DONE}/result.json": raw}
    if is_resumed:
        return Attempt("result files", ("resume", DONE, "--steps", "0", "--quiet"), files, locked=False)
    return Attempt("result files", ("report", DONE), files | {f"{DONE}/train.h5": b"", f"{DONE}/evaluate.h5": b""})


@st.composite
def hdf5_attempts(draw: st.DrawFn, originals: Originals) -> Attempt:
    """A checkpoint for `resume`, or series for `report`."""
    name = draw(st.sampled_from((CHECKPOINT, CHECKPOINT, CHECKPOINT, CHECKPOINT, "train.h5", "evaluate.h5")))
    good = originals[f"{DONE}/{name}"]
    make = draw(st.sampled_from((_accident, _accident_behind_a_seal, _other_content, _other_content, _other_dataset,
                                 _other_header)))
    place = originals.scratch / "a.h5"
    place.write_bytes(good)
    files = {f"{DONE}/{name}": make(draw, good, place)}
    if name == CHECKPOINT:
        return Attempt("HDF5 files", ("resume", DONE, "--steps", "0", "--quiet"), files, locked=False)
    other = "evaluate.h5" if name == "train.h5" else "train.h5"
    return Attempt("HDF5 files", ("report", DONE), files | {f"{DONE}/{other}": b""})


def _accident(draw: st.DrawFn, good: bytes, place: Path) -> bytes:
    if draw(st.integers(0, 4)) == 0:
        return draw(st.one_of(st.binary(max_size=600), st.binary(max_size=600).map(lambda b: good[:SEAL_BYTES] + b)))
    return _cut_or_flipped(draw, good)


def _accident_behind_a_seal(draw: st.DrawFn, good: bytes, place: Path) -> bytes:
    body = _cut_or_flipped(draw, good[SEAL_BYTES:])
    return seal(body) + body


def _other_content(draw: st.DrawFn, good: bytes, place: Path) -> bytes:
    """Other attributes or arrays, with a seal to match, as somebody with this code can make them."""
    arrays, attributes = load_arrays(place)
    if draw(st.booleans()):
        attributes = _edited(draw, attributes, _json_values)
    else:
        for name in draw(st.lists(st.sampled_from(sorted(arrays)), min_size=1, max_size=3)):
            arrays[name] = _other_array(draw, arrays[name])
    try:
        write_container(place, arrays, attributes)
    except (NnqmcError, TypeError, ValueError):  # what can't even be written
        return good[:-1]
    return place.read_bytes()


def _other_array(draw: st.DrawFn, array: np.ndarray) -> np.ndarray:
    """Another number somewhere, everywhere, or another shape or type."""
    action = draw(st.integers(0, 4))
    array = np.array(array)
    if action == 0:
        with np.errstate(all="ignore"):
            return array.astype(draw(st.sampled_from(("float32", "float64", "int32", "int64", "uint8", "bool"))))
    if action == 1:
        return array[: draw(st.integers(0, 3))] if array.ndim else np.repeat(array, draw(st.integers(0, 3)))
    if action == 2:
        return array.reshape(draw(st.sampled_from(((-1,), (1, *array.shape), (*array.shape, 1)))))
    new = draw(st.sampled_from((np.nan, np.inf, -np.inf, 0.0, -1.0, 1e30, 1e300, 2.0**31, 2.0**62, 0.5)))
    with np.errstate(all="ignore"):
        number = np.asarray(new).astype(array.dtype)
    if action == 3 or array.size == 0:
        return np.full_like(array, number)
    array.reshape(-1)[draw(st.integers(0, array.size - 1))] = number
    return array


def _through_h5py(place: Path, edit: Callable[[h5py.File], None]) -> bytes:
    """The file in `place` as h5py changes it, sealed again."""
    try:
        with h5py.File(place, "r+") as file:
            edit(file)
    except (OSError, ValueError, TypeError, RuntimeError, KeyError):  # HDF5 itself refuses such a thing
        return b""
    body = place.read_bytes()[SEAL_BYTES:]
    return seal(body) + body


def _other_dataset(draw: st.DrawFn, good: bytes, place: Path) -> bytes:
    """A dataset of another type, shape or layout, or a link in its place."""
    name = draw(st.sampled_from(sorted(load_arrays(place)[0])))
    dtype = draw(st.sampled_from(("<f4", "<f8", ">f4", "<i8", "S4", "c8", h5py.string_dtype(), h5py.ref_dtype,
                                  h5py.vlen_dtype(np.float32), [("a", "f4")])))
    shape = draw(st.one_of(st.just(()), st.lists(st.integers(0, 5), max_size=3).map(tuple), st.just((2**33, 2**10))))
    options = draw(st.sampled_from(({}, {"chunks": True}, {"compression": "gzip"}, {"fletcher32": True},
                                    {"external": [("/etc/passwd", 0, 16)]}, {"shuffle": True})))
    link = draw(st.sampled_from((None, None, None, h5py.SoftLink("/x"), h5py.ExternalLink("/etc/passwd", "/x"))))

    def edit(file: h5py.File) -> None:
        del file[name]
        if link is not None:
            file[name] = link
        else:
            file.create_dataset(name, shape=shape, dtype=dtype, **options)

    return _through_h5py(place, edit)


def _other_header(draw: st.DrawFn, good: bytes, place: Path) -> bytes:
    def edit(file: h5py.File) -> None:
        text = file[HEADER][()].tobytes()
        changed = _cut_or_flipped(draw, text) if is_cut else json.dumps(
            _edited(draw, json.loads(text), _json_values), sort_keys=True, separators=(",", ":")).encode()
        del file[HEADER]
        file[HEADER] = np.frombuffer(changed, np.uint8)

    is_cut = draw(st.booleans())
    return _through_h5py(place, edit)
