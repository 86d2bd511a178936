"""Optional signatures: with a key, nobody without it can change a file of a run unnoticed.

A digest tells damage from health, but whoever alters a file can compute it anew. A signature is the HMAC-SHA256
(RFC 2104, doi:10.17487/RFC2104) of a file under a key that only its owner has.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import re
import stat
from collections.abc import Mapping
from typing import Any

from nnqmc.errors import CheckpointError, InputError, SignatureError
from nnqmc.io.files import as_path, read_file

Secret = bytes | None
"""A key, or None for files without signature; called so because `key` is JAX's word for random numbers."""

FIELD = "hmac_sha256"
"""The field of a JSON file that holds its signature."""

_SHORTEST, _LARGEST = 16, 65536
_LINE = re.compile(rb"# hmac-sha256 ([0-9a-f]{64})\n\Z")


def read_key(path: str | os.PathLike[str] | None) -> Secret:
    """Return the key in a file: all its bytes without white space around them; None without a file.

    A file that others can read is used, with a warning.

    Raises:
        InputError: no such file, not a regular file, not readable, or a key shorter than 16 bytes or over 64 KiB.
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
    if os.name == "posix" and os.stat(path).st_mode & (stat.S_IRGRP | stat.S_IROTH):
        logging.getLogger("nnqmc").warning("the key file %s can be read by others: chmod 600 %s", path, path)
    return key


def signature(secret: bytes, content: bytes) -> str:
    """Return the HMAC-SHA256 of `content` in 64 hexadecimal digits."""
    return hmac.new(secret, content, hashlib.sha256).hexdigest()


def check_signature(path: str | os.PathLike[str], secret: Secret, content: bytes, found: str | None) -> None:
    """Compare the signature `found` in a file (None if it has none) with that of its `content`, in constant time.

    Raises:
        SignatureError: signed and no key given, a key given and not signed, or the signature is of another key or
            content.
    """
    if secret is None and found is not None:
        raise SignatureError(f"{path} is signed: give the key that it was signed with (--key-file FILE, key_file=)")
    if secret is not None and found is None:
        raise SignatureError(f"{path} isn't signed, and a key was given: somebody may have replaced it. Restore it "
                             "from a copy; leave the key out only if this run was never signed")
    if secret is not None and not hmac.compare_digest(signature(secret, content).encode(),
                                                      found.encode(errors="replace")):
        raise SignatureError(f"{path} was signed with another key, or altered since: give the key of this run, or "
                             "restore the file from a copy")


def sign_text(secret: Secret, text: str) -> str:
    """Return text with a last line `# hmac-sha256 SIGNATURE`, a comment in TOML; as it is without a key."""
    return text if secret is None else f"{text}# hmac-sha256 {signature(secret, text.encode())}\n"


def check_text(path: str | os.PathLike[str], secret: Secret, raw: bytes) -> None:
    """Check the signature in the last line of a text file; raises as `check_signature`."""
    found = _LINE.search(raw)
    check_signature(path, secret, raw[: found.start()] if found else raw, found[1].decode() if found else None)


def is_signed_text(raw: bytes) -> bool:
    """Return whether the last line of a text file is a signature, good or not."""
    return _LINE.search(raw) is not None


def sign_json(secret: Secret, plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON object with the field `hmac_sha256`; as it is without a key."""
    return dict(plain) if secret is None else {**plain, FIELD: signature(secret, _canonical(plain))}


def check_json(path: str | os.PathLike[str], secret: Secret, plain: Any) -> None:
    """Check the signature of a JSON object; raises as `check_signature`."""
    fields = dict(plain) if isinstance(plain, Mapping) else {}
    found = fields.pop(FIELD, None)
    check_signature(path, secret, _canonical(fields), None if found is None else str(found))


def _canonical(plain: Mapping[str, Any]) -> bytes:
    """Return JSON text that is the same for equal content."""
    return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode("ascii")
