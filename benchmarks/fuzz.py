"""Test that no generated input ends in a traceback, a hang or a partially written file.

    python benchmarks/fuzz.py --inputs 5000 --out benchmarks/results/fuzz
    python benchmarks/fuzz.py --inputs 200 --kinds "xyz files" --seed 7

The script generates molecules, charges and spins, xyz files, TOML files, command lines, HDF5 files and result files
(with hypothesis), passes each of them to the `main` function of the program in a folder in which nothing can be
computed, and counts the outcomes. It writes fuzz.json and fuzz.md, and every faulty input as faults/KIND-NUMBER.json.
The same seed gives the same inputs.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import math
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from energies import machine, table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))
os.environ.setdefault("NNQMC_CACHE", "off")

import hypothesis  # noqa: E402

from fuzz_ground import ACCEPTED, DONE, FAULTS, REFUSED, Attempt, Ground, Verdict, make_finished  # noqa: E402
from fuzz_inputs import KINDS  # noqa: E402

SHARES = MappingProxyType({"molecules": 0.24, "charges and spins": 0.14, "xyz files": 0.2, "TOML files": 0.14,
                           "command lines": 0.14, "HDF5 files": 0.06, "result files": 0.08})
"""The fraction of all inputs by kind; a TOML or HDF5 file takes a second, a molecule a hundredth of that."""

_TITLES = ("kind", "inputs", "accepted", "refused", "tracebacks", "hangs", "partial files",
           "unclear messages", "slowest (s)")
_MOST_BATCHES = 20
_WASTE = 100  # inputs between two sweeps of JAX's memory of what it has traced


def main(argv: Sequence[str] | None = None) -> int:
    """Run the campaign, print the table and write it; return 1 if an input ended in a fault."""
    arguments = _parser().parse_args(argv)
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"machine": machine(), "seed": arguments.seed, "inputs": arguments.inputs,
                               "limit": arguments.limit, "rows": []}
    with tempfile.TemporaryDirectory(prefix="nnqmc-fuzz-") as place:
        finished = make_finished(Path(arguments.finished) if arguments.finished else Path(place) / "finished")
        (Path(place) / "ground").mkdir()
        ground = Ground(Path(place) / "ground", finished, arguments.limit)
        ground.judge(Attempt("", ("resume", DONE, "--quiet")))  # imports what is slow to import
        for kind in arguments.kinds or KINDS:
            count = math.ceil(SHARES[kind] * arguments.inputs) if not arguments.kinds else arguments.inputs
            results["rows"].append(campaign(kind, count, ground, arguments.seed, out / "faults"))
            print(_cells(results["rows"][-1]), file=sys.stderr, flush=True)
            (out / "fuzz.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
            (out / "fuzz.md").write_text(report(results), encoding="utf-8")
    print(report(results))
    return 1 if any(row[fault] for row in results["rows"] for fault in FAULTS) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fuzz.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=5000, metavar="N",
                        help="in all, or of each of the --kinds (default: 5000)")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="decides the inputs (default: 0)")
    parser.add_argument("--limit", type=float, default=60.0, metavar="S", help="seconds that are no hang (default: 60)")
    parser.add_argument("--finished", metavar="DIR", help="the small run that files are taken from; made if it is not "
                        "there (default: made anew)")
    parser.add_argument("--out", default="benchmarks/results/fuzz", metavar="DIR", help="(default: %(default)s)")
    return parser


def campaign(kind: str, count: int, ground: Ground, seed: int, faults: Path) -> dict[str, Any]:
    """Try `count` different inputs of one kind.

    Args:
        kind: a key of `KINDS`.
        count: the number of inputs.
        ground: where they are tried.
        seed: decides the inputs.
        faults: the folder to which faulty inputs are written.

    Returns:
        The number of inputs by outcome, and the longest time.
    """
    import jax

    outcomes: Counter[str] = Counter()
    seen: set[bytes] = set()
    slowest, started = 0.0, time.monotonic()

    def one(attempt: Attempt) -> None:
        nonlocal slowest
        content = repr((attempt.words, sorted(attempt.files.items()))).encode("utf-8", "surrogatepass")
        if (digest := hashlib.sha256(content).digest()) in seen or len(seen) == count:
            return
        seen.add(digest)
        verdict = ground.judge(attempt)
        outcomes[verdict.outcome] += 1
        slowest = max(slowest, verdict.seconds)
        if verdict.outcome in FAULTS:
            _keep(faults, attempt, verdict, outcomes[verdict.outcome])
        if outcomes.total() % _WASTE == 0:
            jax.clear_caches()

    for batch in range(_MOST_BATCHES):  # some inputs come twice, and hypothesis ends where it thinks it has seen all
        if len(seen) == count:
            break
        wanted = min(count, 2 * (count - len(seen)) + 20)
        settings = hypothesis.settings(max_examples=wanted, deadline=None, database=None,
                                       phases=[hypothesis.Phase.generate],
                                       suppress_health_check=list(hypothesis.HealthCheck))
        hypothesis.seed(seed + 1000 * batch)(settings(hypothesis.given(KINDS[kind](ground.originals))(one)))()
    return {"kind": kind, "inputs": outcomes.total(), ACCEPTED: outcomes[ACCEPTED],
            REFUSED: outcomes[REFUSED], **{fault: outcomes[fault] for fault in FAULTS}, "slowest": round(slowest, 2),
            "seconds": round(time.monotonic() - started, 1)}


def _keep(folder: Path, attempt: Attempt, verdict: Verdict, number: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: base64.b64encode(content).decode("ascii") for name, content in attempt.files.items()}
    content = {"kind": attempt.kind, "words": attempt.words, "locked": attempt.locked, "files": files,
               "outcome": verdict.outcome, "code": verdict.code, "text": verdict.text[-4000:]}
    name = f"{attempt.kind} {verdict.outcome} {number}".replace(" ", "-")
    (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"{name}: {attempt.words!r:.200}\n{verdict.text[-600:]}", file=sys.stderr, flush=True)


def _cells(row: dict[str, Any]) -> list[str]:
    numbers = [str(row[name]) for name in ("inputs", ACCEPTED, REFUSED, *FAULTS)]
    return [row["kind"], *numbers, f"{row['slowest']:.1f}"]


def report(results: dict[str, Any]) -> str:
    """Return the table as Markdown."""
    rows = results["rows"]
    total = {name: sum(row[name] for row in rows) for name in ("inputs", ACCEPTED, REFUSED, *FAULTS)}
    total |= {"kind": "all", "slowest": max(row["slowest"] for row in rows)}
    return "\n\n".join([
        "# Generated inputs",
        f"Seed {results['seed']}; {sum(row['seconds'] for row in rows) / 60.0:.0f} minutes on {results['machine']}; "
        f"a command that takes longer than {results['limit']:g} s counts as a hang.",
        table(_TITLES, [_cells(row) for row in (*rows, total)]),
        "All inputs of a kind are different. Accepted: exit code 0, or refused only because the folder given for "
        "results is taken, which every good input is here. Refused: exit code 1 or 2 and a message. Every command's "
        "folder is compared before and after: a new, changed or missing file is a partial file, but for complete "
        "figures of `nnqmc report`.",
    ]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
