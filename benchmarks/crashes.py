"""Test whether a run survives killed processes, full disks and damaged files with bitwise the same numbers.

    python benchmarks/crashes.py --kills 100 --others 8 --out benchmarks/results/crashes

A run of a few seconds is disturbed again and again: it is killed at random and at exact moments, it meets disks that
are full, read-only or lose data, clocks that jump, and other processes. After each fault it is resumed. Its last
checkpoint, series, evaluation and result then have to be bitwise those of an undisturbed run, or the command has to end
in one clear error, leave every file unchanged, and continue once the cause is removed. The faults depend on --seed
only, the exact moment of a kill also on the machine. New results are added to those in --out. The exit code is 1 if
anything was lost.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_COLUMNS = ("fault", "injected", "processes killed", "survived", "clear error, then went on", "data lost", "seconds")


def main(argv: Sequence[str] | None = None) -> int:
    """Inject all faults, print the table and write it; return 1 if data was lost."""
    arguments = _parser().parse_args(argv)
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="nnqmc-crashes-") as folder:
        _prepare(arguments.cache or os.path.join(folder, "cache"))
        from crash_arena import Arena

        arena = Arena(Path(folder) / "arena")
        _say(f"undisturbed: {sum(arena.reference.seconds.values()):.1f} s, {arena.reference.file_events} file events")
        records = json.loads((out / "crashes.json").read_text()) if (out / "crashes.json").exists() else []
        for record in campaign(arena, arguments):
            records.append(record)
            _say("{seconds:6.1f} s  {outcome}  {fault}  {detail}".format(**record))
            text = report(records)
            (out / "crashes.json").write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
            (out / "crashes.md").write_text(text, encoding="utf-8")
    print(text)
    return 1 if any(record["outcome"] == "LOST" for record in records) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, metavar="N", help="kills (default: %(default)s)")
    parser.add_argument("--others", type=int, default=8, metavar="N", help="of each other fault (default: %(default)s)")
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD", help="faults whose names hold one of these")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="decides what is drawn (default: 0)")
    parser.add_argument("--cache", metavar="DIR", help="of compiled programs, kept (default: a temporary one)")
    parser.add_argument("--out", default="benchmarks/results/crashes", metavar="DIR", help="(default: %(default)s)")
    return parser


def _prepare(cache: str) -> None:
    """Choose one thread and a cache that keeps everything, and import all libraries, before any child is made."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    os.environ |= {"JAX_COMPILATION_CACHE_DIR": cache, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                   "JAX_PLATFORMS": "cpu"}
    from crash_child import import_everything

    import_everything()


def campaign(arena: Any, arguments: argparse.Namespace) -> Any:
    """Inject one fault after the other and yield a record of each."""
    from crash_faults import KILLS, OTHERS

    def is_wanted(name: str) -> bool:
        return not arguments.only or any(word in name for word in arguments.only)

    rng, killed = random.Random(arguments.seed), 0
    kills = [(name, inject) for name, inject in KILLS.items() if is_wanted(name)]
    while kills and killed < arguments.kills:
        name, inject = rng.choices(kills, [6, 3, 1][: len(kills)])[0]
        record = _record(name, inject, arena, rng) | {"seed": arguments.seed}
        killed += record["kills"]
        yield record
    others = [(name, inject) for name, inject in OTHERS.items() if is_wanted(name)]
    for name, inject in others * arguments.others:  # in turns, so that a campaign cut short has some of each
        yield _record(name, inject, arena, rng) | {"seed": arguments.seed}


def _record(name: str, inject: Any, arena: Any, rng: random.Random) -> dict[str, Any]:
    started = time.monotonic()
    finding = inject(arena, rng)
    return {"fault": name, **finding._asdict(), "seconds": round(time.monotonic() - started, 2)}


def report(records: Sequence[Mapping[str, Any]]) -> str:
    """Return the table by kind of fault and a list of what was lost."""
    names = dict.fromkeys(r["fault"] for r in records)
    rows = [_row(name, [r for r in records if r["fault"] == name]) for name in names]
    rows.append(_row("all", records))
    lines = [f"| {' | '.join(row)} |" for row in (_COLUMNS, ["---"] * len(_COLUMNS), *rows)]
    lost = [f"- {r['fault']}: {r['detail']}" for r in records if r["outcome"] == "LOST"]
    head = f"{len(records)} faults, {sum(r['kills'] for r in records)} processes killed, seeds {_seeds(records)}."
    return "\n".join(["# Crashes", "", head, "", *lines, "", *lost]).rstrip() + "\n"


def _seeds(records: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(str(seed) for seed in dict.fromkeys(r["seed"] for r in records))


def _row(name: str, records: Sequence[Mapping[str, Any]]) -> list[str]:
    counts = [sum(r["outcome"] == outcome for r in records) for outcome in ("survived", "clear error", "LOST")]
    seconds = sum(r["seconds"] for r in records)
    return [name, str(len(records)), str(sum(r["kills"] for r in records)), *map(str, counts), f"{seconds:.0f}"]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
