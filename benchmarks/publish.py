"""Write the results of energies.py into the package, from where `nnqmc info` shows them.

    python benchmarks/publish.py

Only runs with the default preset and without further settings count, apart from what is observed.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("energies", "atoms", "molecules")
"""Of benchmarks/results."""
PACKAGED = ROOT / "nnqmc" / "system" / "data" / "reached.json"


def collected() -> list[Mapping[str, Any]]:
    """Return the records of all folders, those without a result left out."""
    files = [ROOT / "benchmarks" / "results" / folder / "energies.json" for folder in FOLDERS]
    records = [record for file in files if file.exists() for record in json.loads(file.read_text(encoding="utf-8"))]
    return [r for r in records if r["result"] and all("observe" in o for o in r["options"] if o != "--set")]


def summary(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the packaged file has of the runs of one system (see `nnqmc.system.reached`)."""
    results = [record["result"] for record in records]
    return {"differences": [round(result["difference"], 7) for result in results],
            "error": round(max(result["error"] for result in results), 7),
            "seconds": round(max(record["wall_seconds"] for record in records)),
            "cores": max(int(re.search(r"(\d+) cores", record["machine"])[1]) for record in records)}


def text() -> str:
    """Return the packaged file as it should be."""
    records = collected()
    names = dict.fromkeys(record["system"] for record in records)
    found = {name: summary([record for record in records if record["system"] == name]) for name in names}
    return json.dumps(found, indent=1) + "\n"


def main() -> int:
    """Write the packaged file."""
    PACKAGED.write_text(text(), encoding="utf-8")
    print(f"{PACKAGED.relative_to(ROOT)}: {', '.join(json.loads(text()))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
