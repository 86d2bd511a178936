"""Whatever lies in place of a file of ours: CheckpointError with the path, and nothing followed or allocated."""

import json
import os
import tracemalloc

import h5py
import numpy as np
import pytest

from nnqmc.errors import CheckpointError
from nnqmc.io import from_arrays, largest_tree, load_arrays, save_series, save_tree
from nnqmc.io.container import HEADER, SEAL_BYTES, seal

TREE = {"w": np.arange(12, dtype=np.float32).reshape(3, 4), "n": np.int64(5), "mask": np.asarray([True, False])}


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.h5"
    save_tree(path, TREE, {"config": "abc"})
    return path


def reseal(path, body):
    path.write_bytes(seal(body) + body)


def forge(path, edit):
    """Change a file through h5py and give it a valid seal, as an attacker would."""
    with h5py.File(path, "r+") as file:
        edit(file)
    reseal(path, path.read_bytes()[SEAL_BYTES:])


def edit_header(file, change):
    content = json.loads(file[HEADER][()].tobytes())
    content = change(content) or content
    del file[HEADER]
    if not isinstance(content, bytes):
        content = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    file[HEADER] = np.frombuffer(content, np.uint8)


def replace(**options):
    def edit(file):
        del file["w"]
        file.create_dataset("w", **options)

    return edit


def link(target):
    def edit(file):
        del file["w"]
        file["w"] = target

    return edit


def virtual(file):
    del file["w"]
    layout = h5py.VirtualLayout((3, 4), "<f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (3, 4))
    file.create_virtual_dataset("w", layout)


def claim_huge(file):
    edit_header(file, lambda c: c["leaves"].update(w=["float32", [2**33, 2**10]]))
    replace(shape=(2**33, 2**10), dtype="<f4")(file)


def unallocated(file):
    edit_header(file, lambda c: c["leaves"].update(w=["float32", [40]]))
    replace(shape=(40,), dtype="<f4")(file)


def bomb(file):
    edit_header(file, lambda c: c["leaves"].update(w=["float32", [2**26]]))
    replace(shape=(2**26,), dtype="<f4", chunks=(2**20,), compression="gzip")(file)


def filtered(number, flags):
    """A dataset that needs a filter, which for an unknown number would be looked for among plugins."""

    def edit(file):
        del file["w"]
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk((3, 4))
        plan.set_filter(number, flags, ())
        h5py.h5d.create(file.id, b"w", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((3, 4)), plan)

    return edit


def compact(file):
    del file["w"]
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_layout(h5py.h5d.COMPACT)
    h5py.h5d.create(file.id, b"w", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((3, 4)), plan)


def of_type(make):
    def edit(file):
        del file["w"]
        h5py.h5d.create(file.id, b"w", make(), h5py.h5s.create_simple((3, 4)))

    return edit


def own_group(file):
    del file["w"]
    file["w"] = file["/"]


def header_change(**changes):
    return lambda file: edit_header(file, lambda content: content.update(changes))


def leaf_change(name, value):
    return lambda file: edit_header(file, lambda content: content["leaves"].update({name: value}))


VLEN, ENUM = h5py.vlen_dtype(np.float32), h5py.enum_dtype({"A": 0}, "i1")
FORGERIES = {
    "object": (replace(data=["import os"], dtype=h5py.string_dtype()), "plain numbers"),
    "vlen": (replace(shape=(3, 4), dtype=VLEN), "plain numbers"),
    "reference": (replace(shape=(3, 4), dtype=h5py.ref_dtype), "plain numbers"),
    "compound": (replace(shape=(3, 4), dtype=[("a", "f4")]), "plain numbers"),
    "enum": (replace(shape=(3, 4), dtype=ENUM), "plain numbers"),
    "opaque": (replace(shape=(3, 4), dtype=h5py.opaque_dtype(np.dtype("V4"))), "plain numbers"),
    "fixed text": (replace(shape=(3, 4), dtype="S4"), "plain numbers"),
    "big endian": (replace(data=TREE["w"].astype(">f4")), "plain numbers"),
    "wrong dtype": (replace(data=TREE["w"].astype(np.float64)), "plain numbers"),
    "wrong shape": (replace(data=TREE["w"].T), "shape"),
    "region reference": (replace(shape=(3, 4), dtype=h5py.regionref_dtype), "plain numbers"),
    "array type": (of_type(lambda: h5py.h5t.array_create(h5py.h5t.IEEE_F32LE, (2,))), "plain numbers"),
    "long double": (of_type(lambda: h5py.h5t.NATIVE_LDOUBLE), "plain numbers"),
    "bit field": (of_type(lambda: h5py.h5t.STD_B32LE), "plain numbers"),
    "named type": (lambda file: file.update(t=np.dtype("f4")), "something else"),
    "large attribute": (lambda file: file["w"].attrs.update(x=np.zeros(8000)), "HDF5 attributes"),
    "unknown filter": (filtered(32015, h5py.h5z.FLAG_OPTIONAL), "compressed"),
    "checksum filter": (filtered(h5py.h5z.FILTER_FLETCHER32, 0), "compressed"),
    "compact": (compact, "chunked"),
    "resizable": (replace(shape=(3, 4), dtype="<f4", maxshape=(None, 4)), "chunked"),
    "null space": (replace(data=h5py.Empty("<f4")), "forged"),
    "soft link": (link(h5py.SoftLink("/n")), "leads elsewhere"),
    "dangling link": (link(h5py.SoftLink("/nowhere")), "leads elsewhere"),
    "external link": (link(h5py.ExternalLink("/etc/passwd", "/x")), "leads elsewhere"),
    "group": (own_group, "isn't a dataset"),
    "external storage": (replace(shape=(3, 4), dtype="<f4", external=[("/etc/passwd", 0, 48)]), "outside"),
    "virtual": (virtual, "virtual"),
    "chunked": (replace(data=TREE["w"], chunks=(1, 4)), "chunked"),
    "compressed bomb": (bomb, "more numbers than it has bytes"),
    "huge claim": (claim_huge, "more numbers than it has bytes"),
    "never written": (unallocated, "claims a size"),
    "HDF5 attribute": (lambda file: file["w"].attrs.update(x=1), "HDF5 attributes"),
    "root attribute": (lambda file: file.attrs.update(x=1), "something else"),
    "extra dataset": (lambda file: file.update(extra=1), "something else"),
    "missing dataset": (lambda file: file.pop("w"), "something else"),
    "renamed dataset": (lambda file: file.move("w", "v"), "lacks w"),
    "no header": (lambda file: file.pop(HEADER), "lacks @header"),
    "header not JSON": (lambda file: edit_header(file, lambda c: b"{"), "forged"),
    "header too deep": (lambda file: edit_header(file, lambda c: b"[" * 100_000), "forged"),
    "header is a list": (lambda file: edit_header(file, lambda c: b"[]"), "forged"),
    "no attributes": (header_change(attributes=[]), "something else than attributes"),
    "more fields": (header_change(run="rm -rf"), "something else than attributes"),
    "leaf of unknown dtype": (leaf_change("w", ["object", [3, 4]]), "header lists"),
    "dtype that is no text": (leaf_change("w", [["float32"], [3, 4]]), "header lists"),
    "one of the machine": (leaf_change("w", ["float128", [3, 4]]), "header lists"),
    "leaf with a path": (leaf_change("../w", ["float32", [3, 4]]), "header lists"),
    "leaf with negative shape": (leaf_change("w", ["float32", [-3, 4]]), "header lists"),
    "leaf with a text shape": (leaf_change("w", ["float32", "34"]), "header lists"),
    "leaf without shape": (leaf_change("w", "float32"), "forged"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_file_with_a_valid_seal_is_refused(good, name):
    edit, word = FORGERIES[name]
    forge(good, edit)
    tracemalloc.start()
    with pytest.raises(CheckpointError, match=word) as caught:
        load_arrays(good)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()
    assert "good.h5" in str(caught.value) and "Use another checkpoint" in str(caught.value)


def test_what_is_neither_0_nor_1_is_true(good):
    forge(good, lambda file: file["mask.bool"].write_direct(np.asarray([2, 0], np.uint8)))
    assert from_arrays(load_arrays(good, TREE)[0], TREE)["mask"].tobytes() == bytes([1, 0])


def one_array_by_many_names(file):
    for name in TREE:
        del file[{"mask": "mask.bool"}.get(name, name)]
    file["w0"] = np.zeros((300, 1000), np.float32)
    for i in range(1, 100):
        file[f"w{i}"] = file["w0"]
    edit_header(file, lambda c: c.update(leaves={f"w{i}": ["float32", [300, 1000]] for i in range(100)}))


def test_many_names_for_the_same_numbers_do_not_fill_the_memory(good):
    forge(good, one_array_by_many_names)
    with pytest.raises(CheckpointError, match="more numbers than it has bytes"):
        load_arrays(good)


@pytest.mark.parametrize(("version", "words"), [
    (1, r"was written by nnqmc 0\.1 \(format 1\), and this version reads format 2"),
    (3, r"was written by another version of nnqmc \(format 3\), and this version reads format 2"),
])
def test_a_file_of_another_version_is_refused_in_one_sentence(good, version, words):
    raw = good.read_bytes()
    good.write_bytes(raw.replace(b"seal 2,", b"seal %d," % version, 1))
    with pytest.raises(CheckpointError, match=words) as caught:
        load_arrays(good)
    assert "\n" not in str(caught.value)


def test_no_file_that_a_forged_one_names_is_opened(good, tmp_path, monkeypatch):
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(48))
    forge(good, replace(shape=(3, 4), dtype="<f4", external=[(str(secret), 0, 48)]))
    os.utime(secret, (0, 0))
    with pytest.raises(CheckpointError, match="outside"):
        load_arrays(good, TREE)
    assert secret.stat().st_atime == 0


def test_truncation_anywhere_is_noticed(good):
    whole = good.read_bytes()
    for length in {0, 1, 10, 511, 512, 513, 600, len(whole) // 2, len(whole) - 8, len(whole) - 1}:
        good.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"good\.h5"):
            load_arrays(good, TREE)
    good.write_bytes(whole + b"\0")
    with pytest.raises(CheckpointError, match="altered"):
        load_arrays(good, TREE)


def test_a_flipped_bit_anywhere_is_noticed(good):
    whole = good.read_bytes()
    for position in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        good.write_bytes(damaged)
        with pytest.raises(CheckpointError):
            load_arrays(good, TREE)


def test_a_flipped_byte_behind_a_valid_seal_is_an_error_or_other_plain_numbers(good):
    body = good.read_bytes()[SEAL_BYTES:]
    refused = 0
    for position in range(0, len(body), 5):
        damaged = bytearray(body)
        damaged[position] ^= 0xFF if position % 2 else 0x01
        reseal(good, bytes(damaged))
        try:
            tree = from_arrays(load_arrays(good, TREE)[0], TREE)
        except CheckpointError:
            refused += 1
        else:
            assert all(tree[name].dtype == TREE[name].dtype and tree[name].shape == TREE[name].shape for name in TREE)
    assert refused > 100


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x04cos\nsystem\n", b"PK\x03\x04", b"\x89HDF\r\n" * 100])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "other.h5"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"other\.h5"):
        load_arrays(path)


def test_plain_hdf5_and_series_are_not_taken_for_another_tree(tmp_path):
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["w"] = TREE["w"]
    with pytest.raises(CheckpointError, match="isn't a data file of nnqmc"):
        load_arrays(tmp_path / "plain.h5", TREE)
    save_series(tmp_path / "train.h5", {"w": np.ones(2)}, {})
    with pytest.raises(CheckpointError, match="holds something else"):
        load_arrays(tmp_path / "train.h5", TREE)


def test_what_is_no_readable_file_is_refused(tmp_path, good, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    for path, word in (
        (tmp_path, "directory|regular"),
        (tmp_path / "missing.h5", "can't be read: No such file"),
        (good / "x", "can't be read"),
        (tmp_path / "pipe", "regular"),
        ("/dev/zero", "regular"),
        ("a\0b", "can't be read"),
    ):
        with pytest.raises(CheckpointError, match=word):
            load_arrays(path)
    with pytest.raises(CheckpointError, match=r"at most 1000 are read here\. Restore it"):
        load_arrays(good, max_bytes=1000)
    monkeypatch.setattr(os, "open", lambda *args: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with pytest.raises(CheckpointError, match="permissions"):
        load_arrays(good)


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    with open(tmp_path / "sparse.h5", "wb") as file:
        file.truncate(2**33)
    tracemalloc.start()
    with pytest.raises(CheckpointError, match="has 8589934592 bytes, and at most 4294967296 are read here"):
        load_arrays(tmp_path / "sparse.h5")
    assert tracemalloc.get_traced_memory()[1] < 500_000
    tracemalloc.stop()


def test_a_tree_needs_no_more_than_the_stated_room(tmp_path):
    for tree in (TREE, {}, {f"leaf{i}": np.ones(3) for i in range(300)}, {"x" * 2000: np.ones((1000, 1000))}):
        save_tree(tmp_path / "a.h5", tree, {"note": "x" * 1000})
        assert (tmp_path / "a.h5").stat().st_size <= largest_tree(tree)
        load_arrays(tmp_path / "a.h5", tree, max_bytes=largest_tree(tree))


def test_refusing_leaks_no_file_descriptor(good):
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc")
    forge(good, virtual)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with pytest.raises(CheckpointError):
            load_arrays(good)
    assert len(os.listdir("/proc/self/fd")) == before
