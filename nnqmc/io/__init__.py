"""Pytrees and series of numbers on disk: HDF5 files that are data, never code.

Every file is made in the same way and can be opened by any HDF5 tool:

- bytes 0 to 511 (an HDF5 user block): one line of text, the *seal*, with the version of the format and the SHA-256 of
  all bytes that follow, and in files signed with a key a second line with the HMAC-SHA256 of the first;
- `@header`: a uint8 dataset holding JSON text: the attributes, and the name, dtype and shape of every leaf;
- one plain, contiguous, little-endian dataset per leaf, called by its key path, such as `params.layer_0.kernel`.

A reader trusts nothing, and follows or allocates nothing before it knows that the file holds exactly that; what does
not pass raises `CheckpointError`. See docs/security.md. At any moment a name holds either the old file or the new one.
"""

from nnqmc.io.checkpoints import latest_checkpoint, list_checkpoints, pass_over, save_checkpoint
from nnqmc.io.container import largest_tree, load_arrays, plain_attributes, save_tree
from nnqmc.io.files import TEMPORARY, as_path, atomic_write, forbidden_content, locked, read_file, write_file
from nnqmc.io.leaves import from_arrays
from nnqmc.io.series import SeriesLog, load_series, save_series
from nnqmc.io.signing import IN_JSON, Secret, check_signature, is_signed, read_key, sign

__all__ = ["IN_JSON", "TEMPORARY", "Secret", "SeriesLog", "as_path", "atomic_write", "check_signature",
           "forbidden_content", "from_arrays", "is_signed", "largest_tree", "latest_checkpoint", "list_checkpoints",
           "load_arrays", "load_series", "locked", "pass_over", "plain_attributes", "read_file", "read_key",
           "save_checkpoint", "save_series", "save_tree", "sign", "write_file"]
