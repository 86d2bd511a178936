"""Measure the time of each part of a training step, compared with the obvious implementation and with folx.

    python benchmarks/speed.py --out benchmarks/results/speed
    python benchmarks/speed.py --cases N2-medium-128 H8-small-64:energy --repeats 20
    python benchmarks/speed.py --quick

All ways to compute a part have to agree first, and are then timed in turns in one process. The results are written to
speed.json, speed.md and figures.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
from energies import machine
from jax.flatten_util import ravel_pytree
from speed_cases import ASPECTS, CASES, ENERGY, QUICK, SWEEPS, Case, Setting, parse_case, prepare
from speed_clock import Program, compiled, in_turns, matrix_peak, median_and_quartiles, ratios
from speed_parts import FOLX_CHUNKED, NNQMC, OBVIOUS, Candidate, candidates
from speed_report import figures, report

from nnqmc.errors import InputError
from nnqmc.parallel.threads import keep_memory

_CLOSE, _NEARLY, _PARALLEL = 1e-4, 1e-2, 0.99
_TRIES = 3


class Disagreement(Exception):
    """Raised if two ways to compute the same thing give different numbers."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure all cases, print the table and write it with its figures; return 1 if candidates disagree."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    keep_memory()
    try:
        cases = [parse_case(text) for text in arguments.cases or (QUICK if arguments.quick else CASES)]
        settings = [prepare(case) for case in cases]
    except (ValueError, InputError) as error:
        parser.error(str(error))
    repeats = arguments.repeats or (3 if arguments.quick else 10)
    chunks = tuple(arguments.folx_chunks or ((8,) if arguments.quick else (4, 8, 16, 32)))
    if importlib.util.find_spec("folx") is None:
        print("folx isn't installed: measured without it", file=sys.stderr)
        chunks = ()
    results: dict[str, Any] = _circumstances(repeats)
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    try:
        for setting in settings:
            results["cases"].append(measure(setting, repeats, chunks))
            _write(out, results)
    except Disagreement as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    print(report(results))
    for path in figures(results, out):
        print(f"figure {path}", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    def positive(text: str) -> int:
        if not text.isdigit() or int(text) < 1:
            raise argparse.ArgumentTypeError(f"{text!r}: give a whole number of at least 1")
        return int(text)

    parser = argparse.ArgumentParser(prog="speed.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", metavar="CASE", help="SYSTEM-NETWORK-WALKERS, with :energy for the local "
                        f"energy alone or :memory for the memory of a step that isn't run (default: {' '.join(CASES)})")
    parser.add_argument("--repeats", type=positive, metavar="N", help="readings of each (default: 10)")
    parser.add_argument("--folx-chunks", nargs="+", type=positive, metavar="N",
                        help="walkers in a chunk, of which folx gets the best (default: 4 8 16 32)")
    parser.add_argument("--out", default="benchmarks/results/speed", metavar="DIR", help="(default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="small cases and 3 readings, to see that everything works")
    return parser


def _circumstances(repeats: int) -> dict[str, Any]:
    """Return what the numbers depend on besides the code."""
    return {
        "machine": machine(), "device": jax.devices()[0].device_kind, "load_before": round(os.getloadavg()[0], 2),
        "started": time.strftime("%Y-%m-%d %H:%M"), "repeats": repeats, "sweeps": SWEEPS,
        "versions": {name: version(name) for name in ("jax", "jaxlib", "folx") if importlib.util.find_spec(name)},
        "matrix_peak": matrix_peak(5), "cases": [],
    }


def measure(setting: Setting, repeats: int, chunks: tuple[int, ...]) -> dict[str, Any]:
    """Compile, compare and time all parts of a case.

    Args:
        setting: the case.
        repeats: the number of readings of each candidate.
        chunks: the numbers of walkers to try for folx; none of them leaves folx out.

    Returns:
        The record of the case: {"parts": {part: {candidate: numbers}}} and its description.

    Raises:
        Disagreement: the local energies or updates of nnqmc differ from those of the obvious way.
    """
    case, parts, left_out = setting.case, {}, []
    chunks = () if case.aspect == "memory" else chunks
    for part in ASPECTS[case.aspect]:
        print(f"{case.name}: {part}", file=sys.stderr, flush=True)
        found = candidates(part, setting, chunks)
        programs = {name: compiled(way.function, *way.arguments) for name, way in found.items()}
        readings: dict[str, list[float]] = {}
        if case.aspect != "memory":
            programs, said = _agreeing(part, case, programs)
            left_out += said
            programs = _best_chunk(programs)
            if part == ENERGY:
                chunks = tuple(int(name.rpartition(" ")[2]) for name in programs
                               if name.startswith(FOLX_CHUNKED)) or chunks
            readings = in_turns(programs, repeats)
        parts[part] = {_plain(name): _numbers(name, found[name], programs, readings) for name in programs}
    n_params = ravel_pytree(setting.params)[0].shape[0]
    return {"name": case.name, **case._asdict(), "electrons": setting.system.n_electrons, "parameters": n_params,
            "chunk_size": setting.chunk_size, "parts": parts, "left_out": left_out}


def _plain(name: str) -> str:
    """Return the name without the size of the chunk."""
    return FOLX_CHUNKED if name.startswith(FOLX_CHUNKED) else name


def _best_chunk(programs: Mapping[str, Program]) -> dict[str, Program]:
    """Keep only the fastest of all chunk sizes."""
    chunked = {name: program for name, program in programs.items() if name.startswith(FOLX_CHUNKED)}
    kept = {name: program for name, program in programs.items() if name not in chunked}
    if chunked:
        times = in_turns(chunked, _TRIES)
        best = min(chunked, key=lambda name: min(times[name]))
        kept[best] = chunked[best]
    return kept


def _agreeing(part: str, case: Case, programs: dict[str, Program]) -> tuple[dict[str, Program], list[str]]:
    """Return the candidates that agree with the obvious way, and why the others aren't timed.

    If nnqmc is one of the others, nothing is timed.
    """
    if part not in (ENERGY, "update"):
        return programs, []
    agreeing, left_out = dict(programs), []
    values = {name: np.asarray(ravel_pytree(program.call())[0], np.float64) for name, program in programs.items()}
    expected = values[OBVIOUS]
    for name, found in values.items():
        if part == "update":
            cosine = found @ expected / max(np.linalg.norm(found) * np.linalg.norm(expected), 1e-300)
            is_same, words = cosine > _PARALLEL, f"the cosine between them is {cosine:.4g}, not above {_PARALLEL}"
        else:
            deviation = np.abs(found - expected) / (1.0 + np.abs(expected))
            typical, large = np.median(deviation), np.quantile(deviation, 0.9)
            is_same = typical < _CLOSE and large < _NEARLY  # close to nodes float32 has no digits left
            words = f"relative deviations: median {typical:.2g} and 90 % quantile {large:.2g}"
        if is_same:
            continue
        said = f"{case.name}: the {part} by {name!r} isn't that by {OBVIOUS!r}: {words}"
        if name.startswith(NNQMC):
            raise Disagreement(f"{said}. Nothing is timed until they agree")
        print(f"{said}. It is left out", file=sys.stderr)
        left_out.append(said)
        del agreeing[name]
    return agreeing, left_out


def _numbers(name: str, way: Candidate, programs: Mapping[str, Program], readings: Mapping[str, list[float]]
             ) -> dict[str, Any]:
    """Return what the table and the figures need of a candidate: times in ms, and ratios to the times of nnqmc."""
    program = programs[name]
    numbers: dict[str, Any] = {"peak_mib": program.peak_bytes / 2**20, "temp_mib": program.temp_bytes / 2**20,
                               "compile_s": program.compile_seconds}
    if name.startswith(FOLX_CHUNKED):
        numbers["chunk"] = int(name.rpartition(" ")[2])
    if name in readings:
        numbers["ms"], numbers["ms_low"], numbers["ms_high"] = (
            1e3 * seconds / way.divisor for seconds in median_and_quartiles(readings[name]))
    if name in readings and NNQMC in readings and name != NNQMC:
        numbers["ratio"], numbers["ratio_low"], numbers["ratio_high"] = ratios(readings[name], readings[NNQMC])
    if name in readings:
        flops, moved = _cost(way, program)
        numbers |= {"flops": flops, "bytes": moved}
    return numbers


def _cost(way: Candidate, program: Program) -> tuple[float | None, float | None]:
    """Return the operations and bytes of one execution of the part, or None if they aren't counted."""
    if way.pieces is None:
        flops, moved = program.cost
    elif not way.pieces:
        return None, None
    else:
        costs = [(compiled(function, *arguments).cost, times) for function, arguments, times in way.pieces]
        flops = sum(cost.flops * times for cost, times in costs)
        moved = sum(cost.bytes * times for cost, times in costs)
    return (flops if way.flops is None else way.flops) / way.divisor, moved / way.divisor


def _write(out: Path, results: Mapping[str, Any]) -> None:
    """Write the numbers and the table so far, after every case."""
    (out / "speed.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    (out / "speed.md").write_text(report(results), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
