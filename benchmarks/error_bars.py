"""Measure how often an error bar contains the exact value.

    python benchmarks/error_bars.py --out benchmarks/results/coverage
    python benchmarks/error_bars.py --trials 100 --only tau=10
    python benchmarks/error_bars.py --real --seeds 600 --seeds-to-error 300

The first two commands generate chains with a known mean and autocorrelation time, and compute their error bars with the
function that every evaluation uses; cases that are finished are not computed again. With `--real`, hydrogen is trained
for a short time, and the same parameters are evaluated with many seeds. One standard error should contain the exact
value in 68.3 of 100 trials. The results are written to synthetic.{json,md} or real-SYSTEM.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from energies import machine, table
from error_bars_chains import CASES, Case, draw
from error_bars_real import report_real, run_real

from nnqmc.statistics import Estimate, estimate

NOMINAL, LOW, HIGH = 0.6827, 0.65, 0.71
"""The normal probability within one standard error, and the limits of the goal."""

_TITLES = ("chains", "tau", "steps", "walkers", "trusted", "covered where trusted", "covered in all",
           "2 error bars, trusted", "error bar / true error", "verdict")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the study, print its table and write it; return 1 if an error bar misses the goal."""
    arguments = _parser().parse_args(argv)
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    if arguments.real:
        results = run_real(arguments.system, arguments.seeds, arguments.steps, arguments.seeds_to_error)
        return _finish(out / f"real-{arguments.system}", report_real, results, lambda found: True)
    chosen = [case for case in CASES if not arguments.only or all(word in case.name for word in arguments.only)]
    if not chosen:
        raise SystemExit(f"no case has {' and '.join(arguments.only)} in its name; there are: "
                         + ", ".join(case.name for case in CASES))
    results: dict[str, Any] = {"machine": machine(), "trials": arguments.trials, "rows": []}
    done = _finished(out / "synthetic.json", arguments.trials)
    for case in chosen:
        results["rows"].append(done.get(case.name) or measure(case, arguments.trials))
        print("  ".join(_cells(results["rows"][-1])), file=sys.stderr, flush=True)
        (out / "synthetic.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return _finish(out / "synthetic", report, results, lambda found: all(map(holds, found["rows"])))


def _finish(stem: Path, words: Callable[[Any], str], results: Any, is_good: Callable[[Any], bool]) -> int:
    stem.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    stem.with_suffix(".md").write_text(words(results), encoding="utf-8")
    print(words(results))
    return 0 if is_good(results) else 1


def _finished(path: Path, trials: int) -> dict[str, dict[str, Any]]:
    """Return the lines of an earlier study with as many trials, by the name of the case."""
    if not path.exists():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    return {row["name"]: row for row in found["rows"] if row["trials"] == trials}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="error_bars.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000, metavar="N", help="for each case (default: 1000)")
    parser.add_argument("--only", nargs="+", metavar="TEXT", help="cases with all of these in their name")
    parser.add_argument("--real", action="store_true", help="evaluations of hydrogen instead of synthetic chains")
    parser.add_argument("--system", default="H2", metavar="NAME", help="of real evaluations (default: H2)")
    parser.add_argument("--steps", type=int, default=400, metavar="N", help="of a real evaluation (default: 400)")
    parser.add_argument("--seeds", type=int, default=50, metavar="N", help="of real evaluations (default: 50)")
    parser.add_argument("--seeds-to-error", type=int, metavar="N",
                        help="of those that end at an error bar (default: as many)")
    parser.add_argument("--out", default="benchmarks/results/coverage", metavar="DIR", help="(default: %(default)s)")
    return parser


def measure(case: Case, trials: int, judge: Callable[[np.ndarray], Estimate] = estimate) -> dict[str, Any]:
    """Measure how often the error bar of a case contains the exact mean, which is 0.

    Args:
        case: the kind of chains.
        trials: the number of trials.
        judge: returns the estimate of a series (n_steps, n_walkers).

    Returns:
        The fields of the case, `trusted`, `covered_trusted`, `covered_all` and `covered_2_trusted` (fractions), `ratio`
        (root mean square of the error bars divided by that of the true errors) and the mean estimated time `tau_found`.
    """
    started = time.monotonic()
    found = [_trial(case, number, judge) for number in range(trials)]
    values, errors, taus = np.array([(each.value, each.error, each.tau) for each in found]).T
    trusted = np.array([each.trusted for each in found])
    one, two = np.abs(values) <= errors, np.abs(values) <= 2.0 * errors
    caveats: dict[str, int] = {}
    for each in found:
        for sentence in each.caveats:
            kind = sentence.partition(":")[0].split(" 1")[0].split(" 2")[0][:40]
            caveats[kind] = caveats.get(kind, 0) + 1
    return {**case._asdict(), "name": case.name, "trials": trials, "n_trusted": int(trusted.sum()),
            "covered_trusted": float(one[trusted].mean()) if trusted.any() else None,
            "covered_2_trusted": float(two[trusted].mean()) if trusted.any() else None,
            "covered_all": float(one.mean()), "ratio": float(np.sqrt(np.mean(errors**2) / np.mean(values**2))),
            "tau_found": float(taus.mean()), "caveats": caveats, "seconds": round(time.monotonic() - started, 1)}


def _trial(case: Case, number: int, judge: Callable[[np.ndarray], Estimate]) -> Estimate:
    rng = np.random.default_rng([number, *case.name.encode()])
    return judge(draw(rng, case))


def holds(row: dict[str, Any]) -> bool:
    """Return whether the goal is met.

    The coverage of trusted error bars has to be in 65 to 71 %, up to two of its own standard errors.
    """
    if row["covered_trusted"] is None:
        return True
    noise = 2.0 * math.sqrt(NOMINAL * (1.0 - NOMINAL) / row["n_trusted"])
    return LOW - noise <= row["covered_trusted"] <= HIGH + noise


def verdict(row: dict[str, Any]) -> str:
    """Return the verdict in a word or two."""
    if row["n_trusted"] == 0:
        return "never trusted"
    if LOW <= row["covered_trusted"] <= HIGH:
        return "holds"
    return "holds within noise" if holds(row) else "OFF"


def _cells(row: dict[str, Any]) -> list[str]:
    def percent(value: float | None) -> str:
        return "" if value is None else f"{value:.1%}"

    return [row["chains"], f"{row['tau']:g}", str(row["steps"]), str(row["walkers"]),
            f"{row['n_trusted'] / row['trials']:.1%}", percent(row["covered_trusted"]), percent(row["covered_all"]),
            percent(row["covered_2_trusted"]), f"{row['ratio']:.3f}", verdict(row)]


def report(results: dict[str, Any]) -> str:
    """Return the table as Markdown."""
    rows, trials = results["rows"], results["trials"]
    noise = math.sqrt(NOMINAL * (1.0 - NOMINAL) / trials)
    n_off = sum(not holds(row) for row in rows)
    judged = [row for row in rows if row["covered_trusted"] is not None]
    total = sum(row["n_trusted"] for row in judged)
    mean = sum(row["covered_trusted"] * row["n_trusted"] for row in judged) / max(total, 1)
    return "\n\n".join([
        "# Coverage of error bars on synthetic chains",
        f"{trials} trials for each line; one standard error of a coverage of all trials is {noise:.1%}. "
        f"Machine: {results['machine']}.",
        table(_TITLES, [_cells(row) for row in rows]),
        f"All {total} trusted error bars together: {mean:.2%} hold the truth. Lines off the goal ({LOW:.0%} to "
        f"{HIGH:.0%} or not trusted, two standard errors of the line allowed): {n_off} of {len(rows)}.",
    ]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
