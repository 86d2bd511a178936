"""Optional signatures: with a key, nobody without it can change a file of a run unnoticed.

A digest tells damage from health, but whoever alters a file can compute it anew. A signature is the HMAC-SHA256
(RFC 2104, doi:10.17487/RFC2104) of a file under a key that only its owner has. It stands at the end of the text that it
signs: as a last line that is a comment in TOML, or as the last field of a JSON object.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import stat

from nnqmc.errors import CheckpointError, InputError, SignatureError
from nnqmc.io.files import as_path, read_file

Secret = bytes | None
"""A key, or None for files without signature; called so because `key` is JAX's word for random numbers."""

IN_JSON = ',\n  "hmac_sha256": "%s"'
"""The form of a signature that is the last field of a JSON object, which has to be closed behind it."""

_IN_TEXT = "# hmac-sha256 %s\n"
_SIGNATURE = re.compile(rb'(?:# hmac-sha256 |,\n  "hmac_sha256": ")([0-9a-f]{64})(?:\n|"\n}\n)\Z')
_SHORTEST, _LARGEST = 16, 65536


def read_key(path: str | os.PathLike[str] | None) -> Secret:
    """Return the key in a file: all its bytes without white space around them; None without a file.

    A file that others can read is used, with a warning; one that can't be read, or has less than 16 bytes or more than
    64 KiB, is an InputError.
    """
    if path is None:
        return None
    try:
        key = read_file(as_path(path, "key_file"), _LARGEST).strip()
        if len(key) < _SHORTEST:
            raise CheckpointError(f"{path} has {len(key)} bytes, and a key has {_SHORTEST} or more.")
    except CheckpointError as error:
        raise InputError(f"the key file can't be used: {error} Give the file that the run was signed with, or for a "
                         "new run make one with: python3 -c 'import secrets; print(secrets.token_hex(32))' > FILE && "
                         "chmod 600 FILE") from error
    if os.stat(path).st_mode & (stat.S_IRGRP | stat.S_IROTH):
        logging.getLogger("nnqmc").warning("the key file %s can be read by others: chmod 600 %s", path, path)
    return key


def sign(secret: Secret, content: bytes, form: str = _IN_TEXT) -> bytes:
    """Return content with its signature behind it, in one of the two forms; as it is without a key."""
    return content if secret is None else content + (form % _digits(secret, content)).encode("ascii")


def is_signed(raw: bytes) -> bool:
    """Return whether a text ends with a signature, good or not."""
    return _SIGNATURE.search(raw) is not None


def check_signature(path: str | os.PathLike[str], secret: Secret, raw: bytes) -> None:
    """Raise SignatureError unless a text ends with its signature under this key, or without a key with none.

    The signatures are compared in constant time.
    """
    found = _SIGNATURE.search(raw)
    if secret is None and found is not None:
        raise SignatureError(f"{path} is signed: give the key that it was signed with (--key-file FILE, key_file=)")
    if secret is not None and found is None:
        raise SignatureError(f"{path} isn't signed, and a key was given: somebody may have replaced it. Restore it "
                             "from a copy; leave the key out only if this run was never signed")
    if found is not None and not hmac.compare_digest(_digits(secret, raw[: found.start()]), found[1].decode("ascii")):
        raise SignatureError(f"{path} was signed with another key, or altered since: give the key of this run, or "
                             "restore the file from a copy")


def _digits(secret: bytes, content: bytes) -> str:
    """Return the HMAC-SHA256 of content in 64 hexadecimal digits."""
    return hmac.new(secret, content, hashlib.sha256).hexdigest()
