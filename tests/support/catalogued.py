"""Every part of the catalogue, made for a test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnqmc import catalog


def catalogued(kind: str, settings: Mapping[str, Mapping[str, Any]], **offered: Any) -> dict[str, Any]:
    """Return all parts of one kind by name.

    Args:
        kind: a key of `catalog.KINDS`.
        settings: for the parts whose defaults are too large for a test, or that need settings, by name.
        **offered: arguments for makers that accept them.
    """
    assert settings.keys() <= catalog.KINDS[kind].makers.keys(), "settings of parts that the catalogue doesn't have"
    return {name: catalog.bind(kind, {"name": name, **settings.get(name, {})}, **offered)()
            for name in catalog.KINDS[kind].makers}
