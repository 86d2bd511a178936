"""Measure the time from a cold start to an energy that can be trusted.

    python benchmarks/time_to_accuracy.py He LiH Be --seeds 0 1 2 --out benchmarks/results/time_to_accuracy

For each accuracy X, `nnqmc run` is started again and again from scratch, each time with more training steps and with an
evaluation to an error bar of X/4, until its result, the evaluation of the averaged parameters, is within X of the
reference with that error bar. The reported seconds are those of the last process alone, from its start to its end. A
lucky training step therefore counts for nothing, and a user who knew the number of steps would wait for this time.

The script also measures the seconds to the first training step, with an empty and with a full cache of compiled
programs. It uses only the standard library, and matplotlib for the figure.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from energies import clocked, machine, table

THRESHOLDS = (10.0, 1.6, 0.5)  # mHa
SHARE = 0.25  # of the accuracy: the error bar that it takes
STEPS = (50, 100, 200, 300, 500, 800, 1200, 2000)
_MOST_EVALUATION = 50000  # steps, so that the error bar and not their number ends the evaluation
_GIVE_UP = 600.0  # seconds to wait for a first training step


def main(argv: Sequence[str] | None = None) -> int:
    """Measure all systems and seeds, print the tables and write them; return 1 if a run failed."""
    arguments = _parser().parse_args(argv)
    out = Path(arguments.out)
    (out / "runs").mkdir(parents=True, exist_ok=True)
    options = ["--set", *arguments.set] if arguments.set else []
    results: dict[str, Any] = {
        "machine": machine(), "load_before": round(os.getloadavg()[0], 2), "options": options,
        "thresholds": sorted(arguments.thresholds, reverse=True), "steps": sorted(arguments.steps),
        "starts": [], "climbs": [],
    }
    for system in arguments.systems:
        if not arguments.no_starts:
            results["starts"].append(first_step(system, options, arguments.starts))
        for seed in arguments.seeds:
            for climb in climbs(system, seed, results, out / "runs"):
                results["climbs"].append(climb)
                print(_progress(climb), file=sys.stderr, flush=True)
                _write(out, results)
        _write(out, results)
    print(report(results))
    if path := figure(results, out / "time_to_accuracy.png"):
        print(f"figure {path}", file=sys.stderr)
    return 1 if any(climb["failure"] for climb in results["climbs"]) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="+", metavar="SYSTEM", help="with a reference energy, see `nnqmc list`")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], metavar="N", help="(default: 0)")
    parser.add_argument("--thresholds", nargs="+", type=float, default=list(THRESHOLDS), metavar="MHA",
                        help="accuracies in mHa (default: 10 1.6 0.5)")
    parser.add_argument("--steps", nargs="+", type=int, default=list(STEPS), metavar="N",
                        help="numbers of training steps to try (default: %(default)s)")
    parser.add_argument("--starts", type=int, default=3, metavar="N", help="starts with either cache (default: 3)")
    parser.add_argument("--no-starts", action="store_true", help="leave the time to the first training step out")
    parser.add_argument("--out", default="benchmarks/results/time_to_accuracy", metavar="DIR",
                        help="(default: %(default)s)")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="any setting")
    return parser


def climbs(system: str, seed: int, results: Mapping[str, Any], folder: Path) -> Iterator[dict[str, Any]]:
    """Run each accuracy, from coarse to fine, with more and more steps until one of the runs reaches it.

    A finer accuracy starts with the number of steps that reached the coarser one, because fewer were not enough even
    for that.

    Args:
        system: the system to solve.
        seed: decides every random number.
        results: holds thresholds (mHa), steps and options.
        folder: holds the directories and the records of the runs; what is recorded is not run again.

    Yields:
        {"system", "seed", "threshold", "runs", "seconds", "steps", "failure"}; seconds is None if no run reached it.
    """
    steps = list(results["steps"])
    for threshold in results["thresholds"]:
        runs: list[dict[str, Any]] = []
        while steps:
            runs.append(measure(system, seed, steps[0], SHARE * threshold, results["options"], folder))
            if runs[-1]["failure"] or is_within(runs[-1]["result"], threshold):
                break
            steps.pop(0)
        last = runs[-1] if runs else None
        reached = last is not None and not last["failure"] and is_within(last["result"], threshold)
        yield {"system": system, "seed": seed, "threshold": threshold, "runs": runs,
               "seconds": last["wall_seconds"] if reached else None, "steps": last["steps"] if reached else None,
               "failure": last["failure"] if last else ""}


def is_within(result: Mapping[str, Any], threshold: float) -> bool:
    """Return whether a result is accurate enough.

    It has to be trusted and within `threshold` (mHa) of the reference, with an error bar of a quarter of that.
    """
    if result["difference"] is None:
        raise SystemExit("there is no reference energy to compare with: choose systems of `nnqmc list`")
    error = float("inf") if result["error"] is None else 1e3 * result["error"]
    is_close = 1e3 * abs(result["difference"]) <= threshold
    return result["trusted"] and is_close and error <= SHARE * threshold * (1.0 + 1e-6)


def measure(system: str, seed: int, steps: int, bar: float, options: Sequence[str], folder: Path) -> dict[str, Any]:
    """Run `nnqmc run` in a process of its own with nothing compiled before, or return its record if there is one.

    Args:
        system: the system to solve.
        seed: decides every random number.
        steps: the number of training steps.
        bar: the error bar in mHa at which the evaluation stops.
        options: further words for `nnqmc run`, which come last and therefore take precedence.
        folder: holds the directory of the run, its output (.log) and its record (.json).
    """
    name = f"{''.join(c if c.isalnum() or c in '+-' else '_' for c in system)}-seed{seed}-steps{steps}-bar{bar:g}"
    written, run = folder / f"{name}.json", folder / name
    command = ["run", system, "--no-cache", "--seed", str(seed), "--steps", str(steps), "--target-error",
               f"{1e-3 * bar:g}", "--out", str(run), "--set", f"evaluate.max_steps={_MOST_EVALUATION}", *options]
    if written.exists():
        record = json.loads(written.read_text(encoding="utf-8"))
        if record["command"] != command:
            raise SystemExit(f"{written} is of another command ({' '.join(record['command'])}): give another --out")
        return record
    if run.exists():
        raise SystemExit(f"{run} holds a run that was not timed to its end: remove it to measure again")
    record = {"system": system, "seed": seed, "steps": steps, "bar": bar, "command": command,
              "load_before": round(os.getloadavg()[0], 2),
              **clocked([sys.executable, "-m", "nnqmc", *command], folder / f"{name}.log")}
    result = run / "result.json"
    record["result"] = json.loads(result.read_text(encoding="utf-8")) if result.exists() else None
    if record["result"] is None and not record["failure"]:
        record["failure"] = "no result.json"
    written.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return record


def first_step(system: str, options: Sequence[str], starts: int) -> dict[str, Any]:
    """Return the seconds from a cold start to the first training step, with an empty and with a full cache.

    The first step is done when the checkpoint of step 1 appears. Each pair of starts has a cache folder of its own,
    which the first start fills and the second start uses.

    Returns:
        {"system", "cold", "warm"}, lists of seconds.
    """
    cold, warm = [], []
    for _ in range(starts):
        with tempfile.TemporaryDirectory(prefix="nnqmc-start-") as place:
            for number, seconds in enumerate((cold, warm)):
                seconds.append(_start(system, options, Path(place), number))
    return {"system": system, "cold": cold, "warm": warm}


def _start(system: str, options: Sequence[str], place: Path, number: int) -> float:
    """Return the seconds to the first step of a process, which then runs to its end and fills the cache."""
    run = place / f"run{number}"
    command = [sys.executable, "-m", "nnqmc", "run", system, "--steps", "1", "--out", str(run), "--set",
               "evaluate.max_steps=1", *options]
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("JAX_COMPILATION_CACHE_DIR", "NNQMC_CACHE")}
    environment["XDG_CACHE_HOME"] = str(place / "cache")
    with (place / "log").open("w", encoding="utf-8") as log:
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        seconds = None
        try:
            while process.poll() is None and seconds is None and time.monotonic() - started < _GIVE_UP:
                seconds = time.monotonic() - started if any(run.glob("checkpoint-*1.h5")) else None
                time.sleep(0.01)
            process.wait(timeout=_GIVE_UP)
        finally:
            process.kill()
            process.wait()
    if seconds is None:
        lines = (place / "log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise SystemExit(f"{' '.join(command[2:])}: no first step: {lines[-1] if lines else 'no output'}")
    shutil.rmtree(run)
    return round(seconds, 2)


def report(results: Mapping[str, Any]) -> str:
    """Return both tables as Markdown."""
    options = " ".join(results["options"]) or "none"
    parts = ["# Time to accuracy", f"Machine: {results['machine']}. Load before: {results['load_before']:.1f}. "
             f"Options: {options}. Error bars: {SHARE:g} of the accuracy."]
    if results["climbs"]:
        titles = ("system", *(f"to {threshold:g} mHa (s)" for threshold in results["thresholds"]))
        systems = dict.fromkeys(climb["system"] for climb in results["climbs"])
        parts.append(table(titles, [[system, *(_summary(results, system, x) for x in results["thresholds"])]
                                    for system in systems]))
        parts.append("Median over the seeds, in brackets the slowest; how many seeds got there, with how many steps.")
    if results["starts"]:
        rows = [[start["system"], *(f"{statistics.median(start[kind]):.1f} ({max(start[kind]):.1f})"
                                    for kind in ("cold", "warm"))] for start in results["starts"]]
        parts.append(table(("system", "first step, empty cache (s)", "first step, full cache (s)"), rows))
    failures = [f"- {climb['system']}, seed {climb['seed']}, {climb['threshold']:g} mHa: {climb['failure']}"
                for climb in results["climbs"] if climb["failure"]]
    return "\n\n".join(parts + (["Failures:\n\n" + "\n".join(failures)] if failures else [])) + "\n"


def _summary(results: Mapping[str, Any], system: str, threshold: float) -> str:
    """Return the cell with the median and the slowest of the seeds that reached the accuracy."""
    found = [climb for climb in results["climbs"] if climb["system"] == system and climb["threshold"] == threshold]
    reached = [climb for climb in found if climb["seconds"] is not None]
    count = f"{len(reached)} of {len(found)}"
    if not reached:
        return count
    seconds = [climb["seconds"] for climb in reached]
    steps = "/".join(str(climb["steps"]) for climb in reached)
    return f"{statistics.median(seconds):.0f} ({max(seconds):.0f}), {count}, steps {steps}"


def figure(results: Mapping[str, Any], path: Path) -> Path | None:
    """Draw the accuracy of every run against its seconds, marked if it reached its goal; return None without any run.
    """
    from matplotlib.figure import Figure

    points = {(run["system"], run["seed"], run["steps"], run["bar"]): run
              for climb in results["climbs"] for run in climb["runs"] if run["result"]}
    if not points:
        return None
    drawing = Figure(figsize=(7.6, 4.8), layout="constrained")
    axes = drawing.subplots()
    for number, system in enumerate(dict.fromkeys(key[0] for key in points)):
        runs = [run for run in points.values() if run["system"] == system]
        x = [run["wall_seconds"] for run in runs]
        y = [max(1e3 * abs(run["result"]["difference"]), 0.05) for run in runs]
        bars = [1e3 * (run["result"]["error"] or 0.0) for run in runs]
        axes.errorbar(x, y, bars, fmt="o", color=f"C{number}", markersize=5, elinewidth=1.0, label=system)
    for threshold in results["thresholds"]:
        axes.axhline(threshold, color="#4c9a5b", linewidth=0.8, linestyle="--")
        axes.text(1.0, threshold, f" {threshold:g} mHa", transform=axes.get_yaxis_transform(), va="center", fontsize=8)
    axes.set_yscale("log")
    axes.set_xlim(0.0, 1.05 * max(run["wall_seconds"] for run in points.values()))
    axes.set_xlabel("seconds from the start of the process to its answer")
    axes.set_ylabel("|E - reference| (mHa)")
    axes.set_title("Runs of more and more training steps, each from nothing", fontweight="bold")
    axes.legend()
    drawing.savefig(path, dpi=150)
    return path


def _progress(climb: Mapping[str, Any]) -> str:
    words = f"{climb['system']}  seed {climb['seed']}  {climb['threshold']:g} mHa  "
    if climb["seconds"] is None:
        return words + (climb["failure"] or f"not reached in {len(climb['runs'])} runs")
    return words + f"{climb['seconds']:.0f} s, {climb['steps']} steps"


def _write(out: Path, results: Mapping[str, Any]) -> None:
    (out / "time_to_accuracy.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    (out / "time_to_accuracy.md").write_text(report(results), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
