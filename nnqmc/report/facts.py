"""What there is to say of a finished run, as plain texts: the answer, the checks, the numbers, and what was changed."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nnqmc import catalog
from nnqmc.config import Layer, resolve
from nnqmc.config.schema import SECTIONS
from nnqmc.cost.forecast import speed_text
from nnqmc.errors import InputError
from nnqmc.job import Result
from nnqmc.messages import counted, duration, gibibytes
from nnqmc.methods import reasons_not_to_trust
from nnqmc.statistics import Estimate, in_millihartree
from nnqmc.system import from_dict
from nnqmc.units import CHEMICAL_ACCURACY

Rows = list[tuple[str, str]]
"""Names and texts."""

PASSED, NOTE, DOUBT = "passed", "note", "doubtful"
"""The verdicts of checks."""

_ERROR_BARS = 2.0
"""Error bars within which a difference is left open."""

_SOURCE = re.compile(r"arXiv:\d{4}\.\d{4,5}|doi:10\.\d{4,9}/[^\s;,]+[^\s;,.)]")
_CHECKED = {"spin_squared": "total spin <S²>", "cusps": "cusps", "virial": "virial ratio"}.items


class Check(NamedTuple):
    """One check of a result: its name, what was found, the verdict, and sentences that explain it."""

    name: str
    found: str
    verdict: str
    words: tuple[str, ...] = ()


def answer(result: Result) -> list[str]:
    """Return the answer of a run in sentences: the energy, how far it is from a published one, and whether to trust it.

    The first sentence is the energy.
    """
    sentences = [f"The total energy of {result.name} is {result.energy} hartree; the number in parentheses is the "
                 "standard error of its last digit."]
    sentences.append(_compared(result))
    if result.converged:
        sentences.append("No check speaks against this number and its error bar, and the run has converged.")
    elif result.trusted:
        sentences.append("No check speaks against the error bar, but the run hasn't converged: what more training or "
                         "a longer evaluation would change is not part of it.")
    else:
        sentences.append("This number is not to be trusted: " + "; ".join(result.caveats) + ".")
    if not result.complete:
        sentences.append("The run was cut before it was complete.")
    if result.left is not None:
        sentences.append(f"More training would probably lower the energy by {in_millihartree(*result.left)} mHa.")
    return sentences


def _compared(result: Result) -> str:
    """Return in a sentence how far the energy is from the published one."""
    if result.reference is None:
        return "No published energy of it is known here."
    distance, error = result.difference, result.difference_error
    side = "above" if distance >= 0.0 else "below"
    size = in_millihartree(abs(distance), error)
    within = "and whether that is within chemical accuracy, 1.6 mHa, the error bar leaves open"
    if abs(distance) + _ERROR_BARS * error <= CHEMICAL_ACCURACY:
        within = "which is within chemical accuracy, 1.6 mHa"
    elif abs(distance) - _ERROR_BARS * error > CHEMICAL_ACCURACY:
        within = "which is more than chemical accuracy, 1.6 mHa"
    return (f"It lies {size} mHa {side} the published energy {result.reference['energy']:.10g} hartree "
            f"({result.reference['kind']}), {within}.")


def checks(result: Result) -> list[Check]:
    """Return all checks of a result with their verdicts; every reason not to trust it stands beside one of them."""
    energy, walk = result.energy, reasons_not_to_trust(result.fractions)
    of_error = tuple(sentence for sentence in energy.caveats if sentence not in walk)
    others = tuple(sentence for sentence in result.caveats if sentence not in (*of_error, *walk))
    r_hat = "" if math.isnan(energy.r_hat) else f", R-hat {energy.r_hat:.4f}"
    found = [
        _check("error bar", f"{1e3 * energy.error:.2g} mHa, autocorrelation time {energy.tau:.2g} steps{r_hat}",
               of_error),
        _check("random walk", ", ".join(f"{name.replace('_', ' ')} {share:.2%}" for name, share
                                        in result.fractions.items()), walk),
        _check("against other energies", "variational bound, Hartree-Fock, course of training", others),
    ]
    left = "" if result.left is None else f", probably {in_millihartree(*result.left)} mHa left"
    steps = f"{result.steps} of {counted(result.planned_steps, 'training step')}{left}"
    found.append(Check("convergence", steps, PASSED if result.converged else NOTE, tuple(result.notes)))
    names = dict(_CHECKED())
    for name in sorted(result.observables, key=lambda name: name not in names):
        each = result.observables[name]
        found.append(_check(names.get(name, name.replace("_", " ")), str(each), each.caveats, each.notes))
    return found


def _check(name: str, found: str, caveats: tuple[str, ...], notes: tuple[str, ...] = ()) -> Check:
    """Return a check that is passed unless there are reasons for doubt, or something to note."""
    return Check(name, found, DOUBT if caveats else NOTE if notes else PASSED, (*caveats, *notes))


def numbers(result: Result) -> Rows:
    """Return the numbers of a result by name."""
    energy, known = result.energy, result.reference
    return [
        ("reference", "" if known is None else f"{known['kind']}: {known['source']}"),
        ("error bar", f"{1e3 * energy.error:.3g} mHa from {energy.n_samples} samples"),
        ("variance", f"{energy.variance:.4g} Ha^2"),
        ("autocorrelation time", f"{energy.tau:.3g} steps"),
        ("R-hat", f"{energy.r_hat:.4f}"),
        ("tails", _tails(energy)),
        *((name.replace("_", " "), f"{value:.2%}") for name, value in result.fractions.items()),
        *((name.replace("_", " "), f"{value} Ha") for name, value in result.terms.items()),
        *((name, str(value)) for name, value in result.observables.items()),
        ("training steps", f"{result.steps} of {result.planned_steps}"),
        ("converged", "yes" if result.converged else "no"),
    ]


def times(result: Result) -> Rows:
    """Return the time of each stage, the speed, and what had been forecast, by name."""
    numbers = result.performance
    forecast = [duration(numbers["estimated_seconds"])] if numbers.get("estimated_seconds") else []
    forecast += [gibibytes(numbers["estimated_memory"])] if numbers.get("estimated_memory") else []
    return [*((name, duration(value)) for name, value in result.seconds.items()),
            ("throughput", speed_text(numbers)),
            ("of the matrix peak", _of_the_peak(numbers)),
            ("most memory", gibibytes(numbers["peak_memory"]) if numbers.get("peak_memory") else ""),
            ("forecast", ", ".join(forecast))]


def _of_the_peak(numbers: Mapping[str, float]) -> str:
    """Return in words which fraction of the matrix peak each part of a training step reached, as far as it is known."""
    found = [f"{words} {numbers[name] / numbers['matrix_peak']:.1%}" for name, words in (
        ("walk_flops_per_second", "sampling and local energies"), ("update_flops_per_second", "update"))
        if name in numbers and numbers.get("matrix_peak")]
    return ", ".join(found)


def _tails(energy: Estimate) -> str:
    """Return in words how heavy the tails of the local energies are; a mean needs a power above 2."""
    index, share = energy.tail_index, energy.largest_share
    power = "too few samples to tell" if math.isnan(index) else f"fall off with the power {index:.2g}"
    return power + ("" if math.isnan(share) else f", largest block {share:.1%} of the squared error")


def flat(config: Mapping[str, Any]) -> dict[str, str]:
    """Return all settings of a configuration as SECTION.KEY and text."""
    found = {name: config[name] for name in ("preset", "seed", "max_time")}
    found |= {f"{name}.{key}": value for name in SECTIONS for key, value in config[name].items()}
    found |= {f"custom.{name}": text for name, text in config.get("custom", {}).items()}
    return {name: "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in found.items()}


def changed_settings(config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the settings that differ from those of the preset: name, what the preset has, and what the run has."""
    usual = flat(resolve(from_dict(config["system"]), [Layer("preset", {"preset": config["preset"]})]))
    own = flat(config)
    names = [name for name in dict.fromkeys((*usual, *own)) if name not in ("preset", "seed")]
    return [(name, usual.get(name, "-"), own.get(name, "-")) for name in names if usual.get(name) != own.get(name)]


def differing_settings(configs: list[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return the settings in which runs differ: name, and what each run has."""
    found = [flat(config) for config in configs]
    names = dict.fromkeys(name for settings in found for name in settings)
    rows = [(name, *(settings.get(name, "-") for settings in found)) for name in names]
    return [row for row in rows if len(set(row[1:])) > 1]


def what_it_is(config: Mapping[str, Any]) -> str:
    """Return in words what was solved: electrons, charge, and atoms."""
    system = from_dict(config["system"])
    charge = f"{system.charge:+d}" if system.charge else "0"
    return (f"{counted(system.n_electrons, 'electron')}, {system.n_up} up and {system.n_down} down, charge {charge}, "
            f"{counted(len(system.symbols), 'atom')}: {' '.join(system.symbols)}")


def command(path: Path, config: Mapping[str, Any]) -> str:
    """Return the command that repeats a run, or a sentence where no command can."""
    if config.get("custom"):
        return (f"This run has Python objects of its own ({', '.join(config['custom'])}): repeat it from Python with "
                "nnqmc.solve.")
    return f"nnqmc run --config {shlex.quote(str(path / 'config.toml'))} --out NEW-DIRECTORY"


def sources(config: Mapping[str, Any]) -> list[tuple[str, tuple[str, ...]]]:
    """Return the publications behind the parts of a run, as its docstrings have them: part, and identifiers."""
    found = []
    for kind in catalog.CHOSEN:
        try:
            text = catalog.find(kind, config[kind]["name"]).__doc__ or ""
        except InputError:  # a part of another version
            continue
        if kind not in config.get("custom", {}) and (named := _SOURCE.findall(text)):
            found.append((f"{kind} {config[kind]['name']}", tuple(named)))
    return found
