"""Measure on a GPU, within ten minutes, compilation included: first steps, seconds per step, and times to an energy.

    python benchmarks/gpu.py --out benchmarks/results/gpu
    python benchmarks/gpu.py --tiny --out /tmp/gpu-trial

Each case is a process of its own, `nnqmc run` with an empty cache or with the one that the case before has filled. The
cases are in the order of what is most worth knowing; a case that would not fit into the rest of the time is not
started, and the table says so. `--tiny` runs the same script with small networks and few steps, on a CPU too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from energies import machine, table


class Case(NamedTuple):
    """A run to measure: its words, what is read from it, the goal in its unit, and the seconds that it may take."""

    name: str
    words: tuple[str, ...]
    quantity: str
    goal: float
    seconds: float


_BRIEF = ("--set", "evaluate.max_steps=10", "evaluate.burn_in=1")
_PUBLISHED = ("--preset", "ferminet")
CASES = (
    Case("N published, nothing cached", ("N", *_PUBLISHED, "--steps", "1", *_BRIEF), "first step (s)", 40, 150),
    Case("N published, cached", ("N", *_PUBLISHED, "--steps", "1", *_BRIEF), "first step (s)", 15, 60),
    Case("N2 published, 4096 walkers", ("N2", *_PUBLISHED, "--steps", "40", *_BRIEF), "step (ms)", 150, 180),
    Case("LiH, nothing cached", ("LiH",), "whole run (s)", 25, 90),
    Case("LiH, cached", ("LiH",), "whole run (s)", 15, 60),
    Case("LiH, 2000 steps", ("LiH", "--steps", "2000", *_BRIEF), "step (ms)", 2, 60),
    Case("N published, 300 s", ("N", *_PUBLISHED, "--max-time", "300"), "difference (mHa)", 0.5, 320),
)
"""What is measured, with the goals for one H100."""

_TINY = ("--set", "wavefunction.layers=1", "wavefunction.hidden_one=4", "wavefunction.hidden_two=2",
         "wavefunction.n_determinants=1", "wavefunction.slater_functions=false", "pretrain.steps=2", "train.walkers=8",
         "train.burn_in=1", "evaluate.max_steps=10", "evaluate.burn_in=1")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the cases that fit into the time, print the table and write it; return 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/gpu"), metavar="DIR")
    parser.add_argument("--minutes", type=float, default=10.0, metavar="N", help="for everything (default: 10)")
    parser.add_argument("--cases", type=int, default=len(CASES), metavar="N", help="only the first N")
    parser.add_argument("--tiny", action="store_true", help="small networks and few steps: a trial of the script")
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    over, records = time.monotonic() + 60.0 * options.minutes, []
    with tempfile.TemporaryDirectory(prefix="nnqmc-gpu-") as place:
        for number, case in enumerate(CASES[:options.cases]):
            left = over - time.monotonic()
            fits = left > (0.0 if options.tiny else case.seconds)
            records.append(measured(case, Path(place), number, options.tiny, left) if fits else dict(case._asdict()))
            print(_row(records[-1]), file=sys.stderr, flush=True)
            (options.out / "gpu.json").write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    text = report(records)
    (options.out / "gpu.md").write_text(text, encoding="utf-8")
    print(text)
    return 1 if any(record.get("failure") for record in records) else 0


def measured(case: Case, place: Path, number: int, tiny: bool, left: float) -> dict[str, Any]:
    """Run a case and return its record; a name with "cached" at its end finds the programs of the case before.

    Args:
        case: what to run.
        place: a folder for the run and for the caches.
        number: of the case, which names its directory.
        tiny: whether the network is replaced by a small one.
        left: seconds after which the run is stopped.
    """
    run = place / f"run{number}"
    cache = place / f"cache{number - case.name.endswith(', cached')}"
    words = [*(word for word in case.words if word not in _BRIEF), *_TINY, "--steps", "1"] if tiny else case.words
    command = [sys.executable, "-m", "nnqmc", "run", *words, "--out", str(run)]
    environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    environment["XDG_CACHE_HOME"] = str(cache)
    started, first = time.monotonic(), None
    with (place / "log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        try:
            while process.poll() is None and time.monotonic() - started < left:
                first = first or (time.monotonic() - started if any(run.glob("checkpoint-*1.h5")) else None)
                time.sleep(0.01)
        finally:
            process.kill()
            process.wait()
    seconds, path = time.monotonic() - started, run / "result.json"
    lines = (place / "log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    result = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    failure = "" if result else f"no result: {lines[-1] if lines else 'no output'}"
    return {**case._asdict(), "failure": failure, "machine": _device(lines),
            "measured": _numbers(result, seconds, first)}


def _numbers(result: Mapping[str, Any] | None, seconds: float, first: float | None) -> dict[str, float | None]:
    """Return everything that a case may be judged by, by quantity, and the error bar of the difference."""
    found: dict[str, float | None] = {"whole run (s)": seconds, "first step (s)": first}
    if result:
        found["step (ms)"] = 1e3 * result["seconds"]["train"] / max(result["steps"], 1)
        found["compilation (s)"] = result["seconds"]["compile"]
        found["difference (mHa)"] = None if result["difference"] is None else 1e3 * result["difference"]
        found["error (mHa)"] = 1e3 * result["error"]
    return found


def _device(lines: Sequence[str]) -> str:
    """Return the processor, and what a run said of its devices."""
    said = [line.partition("] ")[2] for line in lines if "device" in line.lower()]
    return "; ".join([machine(), *said[:1]])


def _row(record: Mapping[str, Any]) -> list[str]:
    """Return the cells of a case: its name, what was measured, its value, the goal, and the rest in words."""
    found = record.get("measured")
    if found is None:
        return [record["name"], record["quantity"], "", f"{record['goal']:g}", "not started: too little time was left"]
    value = found.get(record["quantity"])
    rest = record["failure"] or ", ".join(f"{name} {number:.3g}" for name, number in found.items()
                                          if number is not None and name != record["quantity"])
    return [record["name"], record["quantity"], "" if value is None else f"{value:.3g}", f"{record['goal']:g}", rest]


def report(records: Sequence[Mapping[str, Any]]) -> str:
    """Return the table as Markdown."""
    machines = "; ".join(dict.fromkeys(record["machine"] for record in records if "machine" in record)) or "none"
    rows = table(("case", "quantity", "measured", "goal on one H100", "besides"), [_row(record) for record in records])
    return f"# On a GPU\n\nMachine: {machines}.\n\n{rows}\n"


if __name__ == "__main__":
    sys.exit(main())
