"""Run all speed benchmarks and join their tables and figures in one file.

    python benchmarks/report.py --out benchmarks/results
    python benchmarks/report.py --quick --out /tmp/results
    python benchmarks/report.py --join --out benchmarks/results

Each benchmark is a separate process, so that neither the memory nor the compiled programs of one affect the other.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
SYSTEMS = ("He", "LiH", "Be")
_QUICK = ("He", "--steps", "20", "40", "--thresholds", "1000", "100", "--starts", "1", "--set", "train.walkers=64",
          "pretrain.steps=20", "train.burn_in=5")


def main(argv: Sequence[str] | None = None) -> int:
    """Run both benchmarks and write report.md; return 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="benchmarks/results", metavar="DIR", help="(default: %(default)s)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="N", help="(default: 0 1 2)")
    parser.add_argument("--quick", action="store_true", help="small cases, to see that everything works")
    parser.add_argument("--join", action="store_true", help="measure nothing: join the results that are there")
    arguments = parser.parse_args(argv)
    out = Path(arguments.out)
    words: dict[str, list[str]] = {"speed": [], "time_to_accuracy": [*SYSTEMS, "--seeds", *map(str, arguments.seeds)]}
    if arguments.quick:
        words = {"speed": ["--quick"], "time_to_accuracy": list(_QUICK)}
    codes = [subprocess.run([sys.executable, str(HERE / f"{name}.py"), "--out", str(out / name), *rest], check=False,
                            stdout=subprocess.DEVNULL).returncode for name, rest in words.items() if not arguments.join]
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.md").write_text(joined(out, list(words)), encoding="utf-8")
    print(out / "report.md")
    return 1 if any(codes) else 0


def joined(out: Path, names: Sequence[str]) -> str:
    """Return the tables of all benchmarks, each followed by its figures, and name the missing ones."""
    parts = []
    for name in names:
        tables = out / name / f"{name}.md"
        parts.append(tables.read_text(encoding="utf-8").strip() if tables.exists() else f"# {name}\n\nNot measured.")
        parts += [f"![{path.stem}]({name}/{path.name})" for path in sorted((out / name).glob("*.png"))]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.exit(main())
