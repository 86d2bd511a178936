"""The accuracy that runs of the named systems have reached (packaged results of benchmarks/energies.py)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True)
class Reached:
    """Holds what measured runs of a system with the preset `standard` and with nothing compiled before have reached.

    Attributes:
        differences: energies less the reference in hartree, one for each seed.
        error: the largest of their standard errors in hartree.
        seconds: wall time of the longest run.
        cores: how many processor cores each run had.
    """

    differences: tuple[float, ...]
    error: float
    seconds: float
    cores: int


def reached(name: str) -> Reached | None:
    """Return what runs of the named system have reached, or None if none was measured.

    Args:
        name: as in `entries`.
    """
    found = _measured().get(name)
    return None if found is None else Reached(**{**found, "differences": tuple(found["differences"])})


@cache
def _measured() -> dict[str, dict]:
    """Return the packaged data, which benchmarks/publish.py has written, by the name of the system."""
    return json.loads((resources.files("nnqmc.system") / "data" / "reached.json").read_text(encoding="utf-8"))
