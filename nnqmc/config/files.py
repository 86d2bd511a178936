"""Configurations as TOML."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from nnqmc.config.resolve import Config
from nnqmc.config.schema import NONE
from nnqmc.errors import InputError
from nnqmc.io import forbidden_content
from nnqmc.io.toml import parse_toml
from nnqmc.version import VERSION

_MAX_BYTES = 1_000_000
_HEAD = "# The complete configuration of a run. `nnqmc run --config THIS-FILE --out DIR` repeats it.\n\n"


def config_to_text(config: Config) -> str:
    """Return the configuration as TOML; settings that are off are written as 'none'."""
    import tomli_w

    return _HEAD + tomli_w.dumps(_without_none(config))


def _without_none(value: Any) -> Any:
    """Return the same with the word 'none' for None, which TOML doesn't have."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items()}
    return NONE if value is None else value


def config_from_text(text: str, origin: str) -> dict[str, Any]:
    """Return the settings in TOML text, not yet checked.

    Raises:
        InputError: it isn't TOML, or a key has far more parts than a setting has.
    """
    try:
        values = parse_toml(text)
        words = forbidden_content(values)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{origin} isn't a TOML file: {error}. Write lines such as train.steps = 600.") from error
    if words:
        raise InputError(f"{origin} holds {words}: no setting needs that; remove it.")
    return values


def read_config(path: str | os.PathLike[str], check: Callable[[bytes], None] | None = None) -> dict[str, Any]:
    """Return the settings in a TOML file, not yet checked except for the version that wrote them.

    Args:
        path: the file.
        check: called with its bytes before they are parsed.

    Raises:
        InputError: no such file, not readable, not TOML, or written by another version of nnqmc.
    """
    try:
        with open(path, "rb") as file:
            raw = file.read(_MAX_BYTES + 1)
        text = raw.decode("utf-8").replace("\r\n", "\n")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"the configuration {path} can't be read: {reason}. Give the path of a TOML file.") from error
    if len(raw) > _MAX_BYTES:
        raise InputError(f"{path} is larger than {_MAX_BYTES // 10**6} MB; give a configuration.")
    if check is not None:
        check(raw)
    values = config_from_text(text, str(path))
    writer = str(values.get("nnqmc", VERSION))  # a file that names none is a person's own
    if writer.split(".")[:2] != VERSION.split(".")[:2]:
        raise InputError(f"{path} was written by nnqmc {writer:.20}, and this is {VERSION}, which has other settings: "
                         f"use it with nnqmc {writer:.20}, or write it anew (`nnqmc info SYSTEM` shows all settings)")
    return values
