"""Pytrees and series of numbers on disk: HDF5 files that are data, never code.

Every file is made in the same way and can be opened by any HDF5 tool:

- bytes 0 to 511 (an HDF5 user block): one line of text, the *seal*, with the version of the format and the SHA-256 of
  all bytes that follow, and in files signed with a key a second line with the HMAC-SHA256 of the first;
- `@header`: a uint8 dataset holding JSON text: the attributes, and the name, dtype and shape of every leaf;
- one plain, contiguous, little-endian dataset per leaf, called by its key path, such as `params.layer_0.kernel`.

A reader trusts nothing. It reads the file once into memory and compares the seal before the HDF5 library sees a byte,
so that truncated or damaged files never get that far. A file that someone forged, seal included, may then hold only
what is listed above: exactly the datasets of the header, by hard links, numbers of the expected types and shapes, no
filters, no chunks, no external or virtual storage, and no more numbers than the file has bytes; nothing is followed or
allocated before that is known. What does not pass raises `CheckpointError`. Writing goes to a temporary name in the
same directory, which is flushed to the disk and then renamed: at any moment the name holds either the old file or the
new one.
"""

from nnqmc.io.checkpoints import latest_checkpoint, list_checkpoints, save_checkpoint
from nnqmc.io.files import TEMPORARY, as_path, atomic_write, locked, read_file, remove_stale_temporaries, write_text
from nnqmc.io.leaves import from_arrays, to_arrays
from nnqmc.io.plain import forbidden_content
from nnqmc.io.series import SeriesLog, load_series, save_series
from nnqmc.io.signing import Secret, check_json, check_text, is_signed_text, read_key, sign_json, sign_text
from nnqmc.io.tree import largest_tree, load_arrays, load_tree, save_tree

__all__ = [
    "TEMPORARY",
    "Secret",
    "SeriesLog",
    "as_path",
    "atomic_write",
    "check_json",
    "check_text",
    "forbidden_content",
    "from_arrays",
    "is_signed_text",
    "largest_tree",
    "latest_checkpoint",
    "list_checkpoints",
    "load_arrays",
    "load_series",
    "load_tree",
    "locked",
    "read_file",
    "read_key",
    "remove_stale_temporaries",
    "save_checkpoint",
    "save_series",
    "save_tree",
    "sign_json",
    "sign_text",
    "to_arrays",
    "write_text",
]
