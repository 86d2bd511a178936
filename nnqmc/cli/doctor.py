"""`nnqmc doctor`: whether this installation computes right, in lines that belong into a bug report."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

from nnqmc.cli.environment import CHECKS, Finding


def doctor(arguments: Namespace) -> int:
    """Print what was found; 1 if something is wrong, which the last line names."""
    import nnqmc

    print(f"nnqmc {nnqmc.__version__}, {_kind_of_installation()}", flush=True)
    wrong = []
    for name, check in (*CHECKS, ("hydrogen", hydrogen)):
        for finding in _guarded(name, check):
            print(_line(finding), flush=True)
            wrong += [finding.name] if finding.wrong else []
    print(f"\nWRONG: {', '.join(wrong)}" if wrong else "\nall right")
    return 1 if wrong else 0


def _kind_of_installation() -> str:
    """Whether it comes from a package folder or a source tree, without naming folders of this machine."""
    is_installed = any(part in ("site-packages", "dist-packages") for part in Path(__file__).parts)
    return f"{'installed' if is_installed else 'from a source tree'}, {sys.implementation.name}"


def _guarded(name: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings of a check; one that breaks is itself a finding."""
    try:
        yield from check()
    except Exception as error:  # a report is wanted most where something breaks in a way nobody thought of
        yield Finding(name, "broken", " ".join(f"{type(error).__name__}: {error}".split())[:500])


def _line(finding: Finding) -> str:
    mark = "WRONG" if finding.wrong else "note" if finding.note else "ok"
    advice = f"\n{'':22}{finding.wrong or finding.note}" if finding.wrong or finding.note else ""
    return f"{mark:<6} {finding.name:<14} {finding.text}{advice}"


def hydrogen() -> Iterator[Finding]:
    """The hydrogen atom through Hartree-Fock, sampling, training and evaluation, against its exact answer.

    Its wavefunction is one exponential: a network takes too long to compile for a check of seconds.
    """
    from nnqmc.cli.hydrogen import check_hydrogen

    started = time.monotonic()
    found = check_hydrogen()
    yield Finding("hydrogen", f"E = {found.energy:.6f} Ha, variance {found.variance:.1e} Ha^2, exponent "
                  f"{found.exponent:.4f} (exact: -0.5, 0, 1) in {time.monotonic() - started:.1f} s",
                  "; ".join(found.problems()))
