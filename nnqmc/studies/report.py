"""The result.json of a study."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnqmc.io import atomic_write
from nnqmc.job.result import finite
from nnqmc.version import VERSION


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write plain numbers and texts as a JSON file that appears complete or not at all."""
    text = json.dumps({"nnqmc": VERSION, **finite(content)}, indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_write(path) as temporary:
        Path(temporary).write_text(f"{text}\n", encoding="utf-8")
