"""The table and the figures of the speed benchmark, made from its numbers."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from energies import table
from speed_cases import ENERGY, PARTS, STEP, SWEEPS
from speed_parts import CANDIDATES, FOLX, FOLX_CHUNKED, NNQMC, OBVIOUS

YARDSTICK = "N2-medium-128"
"""The case whose local energy was also timed on the machine of the rivals."""

YARDSTICK_MS: Mapping[str, float] = MappingProxyType({OBVIOUS: 442.0, FOLX: 322.0, FOLX_CHUNKED: 121.0})
RIVAL_SECONDS: Mapping[str, tuple[float, str]] = MappingProxyType({
    "LiH-published-256": (0.42, "FermiNet"), "N2-published-64": (0.95, "JaQMC"), "N2-medium-128": (0.31, "JaQMC"),
    "LiH-small-256": (0.037, "JaQMC"),
})
"""The seconds of a step of the fastest other program on that machine (rivals.md)."""

_FASTER: Mapping[str, float] = MappingProxyType({FOLX_CHUNKED: 2.0, FOLX: 5.0, OBVIOUS: 7.0})
_STEP_GOAL, _MEMORY_CASE, _MEMORY_GOAL = 0.5, "N2-published-1024:memory", 1.5
_COLOURS: Mapping[str, str] = MappingProxyType({NNQMC: "#1f5fa8", OBVIOUS: "#8a8f98", FOLX: "#e0a03c",
                                                FOLX_CHUNKED: "#c0392b"})
_SHADES = ("#9ecae9", "#4c9a5b", "#1f5fa8", "#e0a03c", "#8a8f98")
_TITLES = ("case", "part", *(f"{name} (ms)" for name in CANDIDATES), "Gflop", "GB moved", "of matrix peak",
           "peak memory (MiB)")


def report(results: Mapping[str, Any]) -> str:
    """Return the whole report as Markdown.

    Args:
        results: the contents of speed.json.
    """
    cases = results["cases"]
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    rows = [row for case in cases for row in _rows(case, results["matrix_peak"])]
    parts = [
        "# Speed",
        f"{results['started']}, {results['machine']}, {results['device']}, {versions}. Load before: "
        f"{results['load_before']:.1f}. Largest float32 rate in a matrix product: {results['matrix_peak'] / 1e9:.0f} "
        f"Gflop/s. Medians of {results['repeats']} readings in turns.",
        table(_TITLES, rows),
        "In brackets: median of the ratios to nnqmc's neighbouring readings, with their quartiles. A step has "
        f"{SWEEPS} sweeps. Operations and bytes are nnqmc's as the compiler counts them; where it can't, those of the "
        "obvious way, and for a step the sum over its parts. The fraction of the peak is that of nnqmc's time, or of "
        f"the obvious way's where nnqmc has no such part. Peak memory in the order {', '.join(CANDIDATES)}.",
    ]
    if left_out := [f"- {words}" for case in cases for words in case.get("left_out", ())]:
        parts += ["Left out, since they compute something else:", "\n".join(left_out)]
    if goals := _goals(results):
        parts += ["## Goals", table(("goal", "measured", "reached"), goals)]
    if growth := exponents(cases):
        rows = [[name, f"{slope:.2f}", f"{error:.2f}", str(count)] for name, (slope, error, count) in growth.items()]
        parts += ["## Growth of the local energy along chains of hydrogen",
                  table(("way", "exponent", "error", "chains"), rows)]
    return "\n\n".join(parts) + "\n"


def three_digits(number: float) -> str:
    """Return a number with three digits and without powers of ten: 0.468, 11.6, 4,430."""
    return f"{float(f'{number:.3g}'):,g}"


def _rows(case: Mapping[str, Any], peak: float) -> list[list[str]]:
    rows = []
    for part, ways in case["parts"].items():
        first = ways.get(NNQMC) or ways[OBVIOUS]
        flops, moved = _cost(case, part)
        is_own = first.get("flops") is not None  # else the operations are those of the obvious way, which nnqmc avoids
        rate = f"{flops / (1e-3 * first['ms']) / peak:.1%}" if flops and "ms" in first and is_own else ""
        memory = " / ".join(three_digits(ways[name]["peak_mib"]) for name in CANDIDATES if name in ways)
        rows.append([case["name"], part, *(_time(ways.get(name)) for name in CANDIDATES),
                     f"{flops / 1e9:.3g}" if flops else "", f"{moved / 1e9:.3g}" if moved else "", rate, memory])
    return rows


def _time(way: Mapping[str, Any] | None) -> str:
    """Return a time with its ratio, and the chunk if there is one."""
    if way is None or "ms" not in way:
        return ""
    chunk = f", chunks of {way['chunk']}" if "chunk" in way else ""
    if "ratio" not in way:
        return three_digits(way["ms"]) + chunk
    return f"{three_digits(way['ms'])} ({way['ratio']:.2f}: {way['ratio_low']:.2f} to {way['ratio_high']:.2f}{chunk})"


def _cost(case: Mapping[str, Any], part: str) -> tuple[float | None, float | None]:
    """Return the operations and bytes of a part; those of the update and of a step are computed from those of their
    parts.
    """
    ways = case["parts"][part]
    if part == STEP:
        found = [_cost(case, name) for name in ("sweep", ENERGY, "update") if name in case["parts"]]
        if len(found) < 3 or any(flops is None for flops, _ in found):
            return None, None
        times = (SWEEPS, 1, 1)
        return tuple(sum(n * cost[i] for n, cost in zip(times, found, strict=True)) for i in (0, 1))
    way = ways.get(NNQMC, {})
    if way.get("flops") is None:
        way = ways.get(OBVIOUS, {})
    return way.get("flops"), way.get("bytes")


def _goals(results: Mapping[str, Any]) -> list[list[str]]:
    """Return the goals and the measured ratios, for the cases that were measured."""
    cases = {case["name"]: case["parts"] for case in results["cases"]}
    rows = []
    yardstick = cases.get(YARDSTICK, {}).get(ENERGY, {})
    for name, goal in _FASTER.items():
        if "ratio" in yardstick.get(name, {}):
            ratio = yardstick[name]["ratio"]
            rows.append([f"local energy of {YARDSTICK}: {goal:g}x faster than {name}", f"{ratio:.2f}x",
                         _yes(ratio >= goal)])
    conversion = machine_factor(yardstick)
    for name, (seconds, rival) in RIVAL_SECONDS.items():
        own = cases.get(name, {}).get(STEP, {}).get(NNQMC, {}).get("ms")
        if own is not None and conversion is not None:
            here = seconds * conversion
            goal = f"step of {name}: at most {_STEP_GOAL:g} of {rival}'s {seconds:g} s, which are {here:.3g} s here"
            share = 1e-3 * own / here
            rows.append([goal, f"{1e-3 * own:.3g} s, {share:.2f}", _yes(share <= _STEP_GOAL)])
    growth = exponents(results["cases"])
    if NNQMC in growth and FOLX in growth:
        own, other = growth[NNQMC][0], min(growth[name][0] for name in (FOLX, FOLX_CHUNKED) if name in growth)
        rows.append(["growth along chains: below folx's", f"{own:.2f} against {other:.2f}", _yes(own < other)])
    if _MEMORY_CASE in cases:
        gib = cases[_MEMORY_CASE][STEP][NNQMC]["peak_mib"] / 1024
        rows.append([f"memory of {_MEMORY_CASE.partition(':')[0]}: below {_MEMORY_GOAL:g} GiB", f"{gib:.2f} GiB",
                     _yes(gib < _MEMORY_GOAL)])
    return rows


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"


def machine_factor(yardstick: Mapping[str, Any]) -> float | None:
    """Return how many times slower this machine is than that of the rivals, as the median over the yardstick's
    baselines.
    """
    found = [yardstick[name]["ms"] / ms for name, ms in YARDSTICK_MS.items() if "ms" in yardstick.get(name, {})]
    return statistics.median(found) if found else None


def _chains(cases: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return by length the chains of hydrogen with the network and the walkers that most of them have."""
    chains = [case for case in cases if case["system"].removeprefix("H").isdigit() and case["electrons"] >= 4
              and "ms" in case["parts"].get(ENERGY, {}).get(NNQMC, {})]
    kinds = [(case["network"], case["walkers"]) for case in chains]
    usual = statistics.mode(kinds) if kinds else None
    return sorted((case for case, kind in zip(chains, kinds, strict=True) if kind == usual),
                  key=lambda case: case["electrons"])


def exponents(cases: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, float, int]]:
    """Return the exponent p of time ~ n_electrons^p by least squares, its standard error, and the number of chains."""
    chains, found = _chains(cases), {}
    for name in CANDIDATES:
        points = [(case["electrons"], case["parts"][ENERGY][name]["ms"]) for case in chains
                  if name in case["parts"][ENERGY]]
        if len(points) < 3:
            continue
        x, y = np.log(np.array(points, np.float64)).T
        spread = np.sum((x - x.mean()) ** 2)
        slope = float(np.sum((x - x.mean()) * y) / spread)
        residual = y - y.mean() - slope * (x - x.mean())
        found[name] = slope, math.sqrt(float(np.sum(residual**2)) / (len(x) - 2) / float(spread)), len(x)
    return found


def figures(results: Mapping[str, Any], out: Path) -> list[Path]:
    """Draw the figures for which there are numbers: two comparisons, the parts of a step, and the growth."""
    cases = results["cases"]
    written = []
    for part, name in ((ENERGY, "local_energy.png"), (STEP, "step.png")):
        timed = [case for case in cases if "ms" in case["parts"].get(part, {}).get(NNQMC, {})]
        if timed:
            written.append(_bars(timed, part, out / name))
    whole = [case for case in cases if all("ms" in case["parts"].get(part, {}).get(NNQMC, {})
                                           for part in ("sweep", ENERGY, "update", STEP))]
    if whole:
        written.append(_shares(whole, out / "parts.png"))
    if exponents(cases):
        written.append(_growth(cases, out / "growth.png"))
    return written


def _new_figure(height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, height), layout="constrained")
    return figure, figure.subplots()


def _bars(cases: Sequence[Mapping[str, Any]], part: str, path: Path) -> Path:
    """Draw the time of every way relative to that of nnqmc, with one group for each case."""
    figure, axes = _new_figure(1.4 + 0.62 * len(cases))
    for offset, name in enumerate(CANDIDATES):
        for place, case in enumerate(cases):
            if (way := case["parts"][part].get(name)) is None:
                continue
            y, ratio = place + 0.2 * (offset - 1.5), way.get("ratio", 1.0)
            axes.barh(y, ratio, 0.18, color=_COLOURS[name], label=name if place == 0 else None)
            axes.text(ratio, y, f" {three_digits(way['ms'])} ms", va="center", fontsize=7)
    axes.set_yticks(range(len(cases)), [case["name"].partition(":")[0] for case in cases])
    axes.invert_yaxis()
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.margins(x=0.15)
    axes.set_xlabel("time relative to nnqmc")
    axes.set_title(part, fontweight="bold")
    figure.legend(loc="outside lower center", ncols=len(CANDIDATES), fontsize=8)
    figure.savefig(path, dpi=150)
    return path


def _shares(cases: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Draw where the time of a step of nnqmc goes."""
    figure, axes = _new_figure(1.6 + 0.4 * len(cases))
    for place, case in enumerate(cases):
        ms = {part: case["parts"][part][NNQMC]["ms"] for part in PARTS if NNQMC in case["parts"].get(part, {})}
        pieces = {f"{SWEEPS} sweeps": SWEEPS * ms["sweep"], ENERGY: ms[ENERGY], "update": ms["update"]}
        left = 0.0
        for (name, value), colour in zip(pieces.items(), _SHADES, strict=False):
            axes.barh(place, value / ms[STEP], 0.6, left=left, color=colour, label=name if place == 0 else None)
            left += value / ms[STEP]
        axes.text(max(left, 1.0), place, f" {three_digits(ms[STEP])} ms", va="center", fontsize=8)
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(cases)), [case["name"] for case in cases])
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_xlabel("share of the whole step; parts timed alone needn't add up to it")
    axes.set_title("Parts of nnqmc's training step", fontweight="bold")
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    figure.savefig(path, dpi=150)
    return path


def _growth(cases: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Draw the time of the local energy against the number of electrons on logarithmic axes."""
    figure, axes = _new_figure(4.6)
    chains = _chains(cases)
    for name, (slope, error, _) in exponents(cases).items():
        points = [(case["electrons"], case["parts"][ENERGY][name]["ms"]) for case in chains
                  if name in case["parts"][ENERGY]]
        axes.loglog(*zip(*points, strict=True), "o-", color=_COLOURS[name], label=f"{name}: {slope:.2f} ± {error:.2f}")
    ticks = sorted({case["electrons"] for case in chains})
    axes.set_xticks(ticks, [str(n) for n in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("electrons in a chain of hydrogen atoms")
    axes.set_ylabel("local energy (ms)")
    axes.grid(alpha=0.3)
    axes.legend(title="exponent")
    axes.set_title(f"{chains[0]['walkers']} walkers, {chains[0]['network']} network", fontweight="bold")
    figure.savefig(path, dpi=150)
    return path
