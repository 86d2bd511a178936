"""Measure the accuracy, the time from a cold start and the memory of `nnqmc run`.

    python benchmarks/energies.py H2 He Li LiH Be --seeds 0 1 2 --out benchmarks/results/energies

Every combination of a system and a seed runs in a process of its own, one after the other, without compiled programs
from an earlier run. Every finished case is recorded at once and not computed again. This script uses only the standard
library, so that its own memory and imports don't affect the measurement.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CLOSE_ENOUGH = 1.6  # mHa from the reference: chemical accuracy
SHARP_ENOUGH = 0.4  # mHa error bar
TOO_FAR_BELOW = 4.0  # error bars below the reference
WITH_RESULT = (0, 3)  # exit codes: done, or stopped by --max-time before all training steps
_CASES = ("system", "seed", "E (Ha)", "error (mHa)", "difference (mHa)", "wall (s)", "peak (MiB)", "steps", "trusted")
_SYSTEMS = ("system", "seeds", "mean (mHa)", "worst (mHa)", "largest error (mHa)", "furthest below (error bars)",
            "longest (s)", "on target")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure all cases, print the tables and write them; return 1 if a case failed."""
    arguments = _parser().parse_args(argv)
    out = Path(arguments.out)
    (out / "runs").mkdir(parents=True, exist_ok=True)
    records: list[dict[str, Any]] = []
    for system in arguments.systems:
        for seed in arguments.seeds:
            records.append(measure(system, seed, _options(arguments), out / "runs"))
            print(_progress(records[-1]), file=sys.stderr, flush=True)
            text = report(records)
            (out / "energies.json").write_text(json.dumps(records, indent=2) + "\n", encoding="utf-8")
            (out / "energies.md").write_text(text, encoding="utf-8")
    print(text)
    return 1 if any(record["failure"] for record in records) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="+", metavar="SYSTEM", help="as for `nnqmc run`")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], metavar="N", help="one run for each (default: 0)")
    parser.add_argument("--out", default="benchmarks/results/energies", metavar="DIR", help="(default: %(default)s)")
    parser.add_argument("--preset", metavar="P", help="instead of the default one")
    parser.add_argument("--max-time", metavar="S", help="seconds for each run")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="any setting")
    return parser


def _options(arguments: argparse.Namespace) -> list[str]:
    """Return the words that are passed on to `nnqmc run`."""
    words = []
    for option in ("preset", "max_time"):
        if (value := getattr(arguments, option)) is not None:
            words += [f"--{option.replace('_', '-')}", value]
    return words + (["--set", *arguments.set] if arguments.set else [])


def measure(system: str, seed: int, options: Sequence[str], folder: Path) -> dict[str, Any]:
    """Run a case in a process of its own, or return its record if there is one already.

    Args:
        system: the system to solve.
        seed: decides every random number.
        options: further words for `nnqmc run`.
        folder: holds the directory of the run, its output (.log) and its record (.json).

    Returns:
        The record: system, seed, options, result, wall_seconds, peak_mib, load_before, machine, and a failure in words.
    """
    name = f"{''.join(c if c.isalnum() or c in '+-' else '_' for c in system)}-seed{seed}"
    written = folder / f"{name}.json"
    if written.exists():
        record = json.loads(written.read_text(encoding="utf-8"))
        if record["options"] != list(options):
            raise SystemExit(f"{written} was measured with the options {record['options']}: give another --out")
        return record
    if (folder / name).exists():
        raise SystemExit(f"{folder / name} holds a run that was not timed to its end: remove it to measure again")
    command = [sys.executable, "-m", "nnqmc", "run", system, "--seed", str(seed), "--out", str(folder / name),
               "--no-cache", *options]
    record = {"system": system, "seed": seed, "options": list(options), "machine": machine(),
              "load_before": round(os.getloadavg()[0], 2), **clocked(command, folder / f"{name}.log")}
    result = folder / name / "result.json"
    record["result"] = json.loads(result.read_text(encoding="utf-8")) if result.exists() else None
    written.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return record


def clocked(command: Sequence[str], log: Path) -> dict[str, Any]:
    """Return the wall time (s) and the peak memory (MiB) of a command, and its last words if it failed."""
    environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    started = time.monotonic()
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB elsewhere
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    failed = process.returncode not in WITH_RESULT
    failure = f"exit code {process.returncode}: {lines[-1] if lines else ''}" if failed else ""
    return {"wall_seconds": round(seconds, 2), "peak_mib": round(usage.ru_maxrss * unit / 2**20), "failure": failure}


def machine() -> str:
    """Return the processor, the cores and the version of Python in a few words."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model}, {cores} cores, Python {platform.python_version()}"


def report(records: Sequence[Mapping[str, Any]]) -> str:
    """Return both tables as Markdown, with one line for each run and one for each system.

    Args:
        records: from `measure`.
    """
    systems = list(dict.fromkeys(record["system"] for record in records))
    summaries = [summary([r for r in records if r["system"] == system]) for system in systems]
    machines = "; ".join(dict.fromkeys(record["machine"] for record in records))
    options = "; ".join(dict.fromkeys(" ".join(r["options"]) or "none (the default preset)" for r in records))
    parts = ["# Energies", f"Options: {options}. Machine: {machines}. Load before each run: up to "
             f"{max(record['load_before'] for record in records):.1f}.",
             table(_CASES, [_case(record) for record in records]), table(_SYSTEMS, summaries),
             f"On target: every run trusted, within {CLOSE_ENOUGH} mHa of the reference with an error bar of at most "
             f"{SHARP_ENOUGH} mHa, and never more than {TOO_FAR_BELOW:g} error bars below it."]
    failures = [f"- {r['system']}, seed {r['seed']}: {r['failure']}" for r in records if r["failure"]]
    return "\n\n".join(parts + (["Failures:\n\n" + "\n".join(failures)] if failures else [])) + "\n"


def summary(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the line of a system: mean and worst difference, error bars, time, and whether all runs are on target."""
    found = [record["result"] for record in records if not record["failure"] and record["result"]]
    name, count = str(records[0]["system"]), f"{len(found)} of {len(records)}"
    longest = f"{max(record['wall_seconds'] for record in records):.0f}"
    if not found or any(_milli(result, "difference") is None for result in found):
        return [name, count, "", "", "", "", longest, "no reference" if found else "no"]
    differences = [_milli(result, "difference") for result in found]
    errors = [_milli(result, "error") if result["error"] is not None else float("inf") for result in found]
    bars = [_milli(result, "difference_error") or float("inf") for result in found]
    below = max(-difference / bar for difference, bar in zip(differences, bars, strict=True))
    worst = max(differences, key=abs)
    is_good = (len(found) == len(records) and abs(worst) <= CLOSE_ENOUGH and max(errors) <= SHARP_ENOUGH
               and below <= TOO_FAR_BELOW and all(result["trusted"] for result in found))
    return [name, count, f"{statistics.fmean(differences):+.2f}", f"{worst:+.2f}", f"{max(errors):.2f}",
            f"{max(below, 0.0):.1f}", longest, "yes" if is_good else "no"]


def _case(record: Mapping[str, Any]) -> list[str]:
    """Return the line of a run."""
    start, end = [record["system"], str(record["seed"])], [f"{record['wall_seconds']:.0f}", str(record["peak_mib"])]
    result = record["result"]
    if record["failure"] or not result:
        return [*start, "failed", "", "", *end, "", "no"]
    error, difference = _milli(result, "error"), _milli(result, "difference")
    return [*start, f"{result['energy']:.6f}", "" if error is None else f"{error:.2f}",
            "" if difference is None else f"{difference:+.2f}", *end, str(result["steps"]),
            "yes" if result["trusted"] else "no"]


def _milli(result: Mapping[str, Any], name: str) -> float | None:
    return None if result[name] is None else 1000.0 * result[name]


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in (titles, ["---"] * len(titles), *rows))


def _progress(record: Mapping[str, Any]) -> str:
    cells = dict(zip(_CASES, _case(record), strict=True))
    return "  ".join(f"{title} {cell}" for title, cell in cells.items() if cell)


if __name__ == "__main__":
    sys.exit(main())
