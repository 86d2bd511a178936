"""The pages on one run and on several: pure functions from what was read to HTML."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from nnqmc import plots
from nnqmc.config import config_to_text
from nnqmc.errors import NnqmcError, SignatureError
from nnqmc.job import Result, RunDirectory
from nnqmc.messages import duration
from nnqmc.plots.records import Record, record
from nnqmc.report import facts
from nnqmc.report.figures import Figure, figure
from nnqmc.report.page import (
    code,
    figures,
    folded,
    heading,
    link,
    listing,
    page,
    pairs,
    paragraph,
    table,
)
from nnqmc.statistics import in_millihartree, signed_millihartree

_COVERS = (
    "The error bar is one standard error of sampling: repeated evaluations of this wavefunction lie within one error "
    "bar in about two of three cases, and within two in about 95 of 100. Correlation between steps is included, and so "
    "is what heavy tails of the local energy can do.",
)
_LEAVES_OUT = (
    "How far this wavefunction is from the exact one. Its energy lies above the ground state of its symmetry by an "
    "amount that the error bar says nothing about; what more training would gain, and other seeds or larger networks, "
    "show some of it.",
    "The model itself: fixed point nuclei at the given geometry, no relativity, no temperature, no surroundings.",
    "What the published energy is wrong by, beyond the uncertainty that is given with it.",
)
_UNDRAWN = (NnqmcError, OSError, KeyError, IndexError, RuntimeError, ArithmeticError, ValueError)
"""What drawing raises where a run has no series yet, or damaged ones."""


class Run(NamedTuple):
    """What was read of a run: its files, and its result if there is one."""

    directory: RunDirectory
    result: Result | None

    @property
    def name(self) -> str:
        """Return the name of the system."""
        return str(self.directory.config["system"]["name"])


def of_one(run: Run) -> str:
    """Return the page on one run."""
    config, result = run.directory.config, run.result
    title = f"{run.name}: {'no result yet' if result is None else f'{result.energy} Ha'}"
    head = [f"<h1>{escape(run.name)}</h1>", paragraph(facts.what_it_is(config), "quiet")]
    if result is None:
        head += ['<div class="answer">', paragraph("No result yet.", "energy"), paragraph(
            f"{config['train']['steps']} training steps are planned; `nnqmc resume {run.directory.path}` goes on."),
            "</div>"]
        return page(title, *head, heading("Figures"), _drawn(record(run.directory)), *_settings(config),
                    *_repeat(run))
    return page(title, *head, _answer(result), heading("Figures"), _drawn(record(run.directory)),
                heading("Checks"), _checks(result), heading("What the error bar covers"), listing(_COVERS),
                paragraph("It does not cover:"), listing(_LEAVES_OUT), heading("Numbers"), pairs(facts.numbers(result)),
                *_settings(config), heading("Time and machine"), pairs([*facts.times(result),
                                                                        *sorted(result.versions.items())]),
                *_repeat(run))


def of_several(runs: Sequence[Run]) -> str:
    """Return the page that compares runs."""
    found = plots.runs.records([run.directory for run in runs])
    titles, rows = comparison(runs)
    parts = ["<h1>Comparison of runs</h1>", paragraph(", ".join(dict.fromkeys(run.name for run in runs)), "quiet"),
             heading("Results"), table(titles, rows, "several")]
    doubtful = [f"{each.label}: {'; '.join(run.result.caveats)}" for each, run in zip(found, runs, strict=True)
                if run.result is not None and not run.result.trusted]
    parts += [paragraph("Not to be trusted:"), listing(doubtful)] if doubtful else []
    drawn = _attempt("Learning curves", "Running means of training, and the evaluated energies on the right",
                     partial(plots.compare, found), "compared", (6.4, 4.0))
    parts += [heading("Figure"), paragraph(drawn) if isinstance(drawn, str) else figures([drawn])]
    differing = facts.differing_settings([run.directory.config for run in runs])
    parts += [heading("Settings that differ")]
    parts += [table(("setting", *(each.label for each in found)), differing, "several") if differing
              else paragraph("None.")]
    commands = "\n".join(facts.command(run.directory.path, run.directory.config) for run in runs)
    return page("Comparison of runs", *parts, heading("Repeat"), code(commands))


def comparison(runs: Sequence[Run]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the titles and the rows of the table that compares runs.

    There is a column with the differences of the energies from the first run's where all runs are of one system.
    """
    found = plots.runs.records([run.directory for run in runs])
    systems = [{key: value for key, value in run.directory.config["system"].items() if key != "name"} for run in runs]
    is_same = all(system == systems[0] for system in systems) and len(runs) > 1 and runs[0].result is not None
    titles = ("run", "system", "energy (Ha)", "to reference (mHa)", *(("to first run (mHa)",) if is_same else ()),
              "variance (Ha²)", "left (mHa)", "verdict", "steps", "time")
    return titles, [_row(each.label, run, runs[0].result if is_same else None) for each, run
                    in zip(found, runs, strict=True)]


def _row(label: str, run: Run, first: Result | None) -> tuple[str, ...]:
    """Return what the table says of one run."""
    result, to_first = run.result, () if first is None else ("",)
    if result is None:
        planned = f"of {run.directory.config['train']['steps']}"
        return (label, run.name, "no result yet", "", *to_first, "", "", "", planned, "")
    difference = "" if result.difference is None else signed_millihartree(result.difference, result.difference_error)
    verdict = "converged" if result.converged else "not converged" if result.trusted else "not to be trusted"
    if first is not None and result is not first:
        to_first = (_apart(result, first),)
    return (label, run.name, str(result.energy), difference, *to_first, f"{result.energy.variance:.3g}",
            "" if result.left is None else in_millihartree(*result.left), verdict, str(result.steps),
            duration(result.seconds.get("total", 0.0)))


def _apart(result: Result, first: Result) -> str:
    """Return how far the energies of two independent runs are apart, in mHa."""
    difference = result.energy - first.energy
    return signed_millihartree(difference.value, difference.error)


def _answer(result: Result) -> str:
    """Return the answer in words."""
    first, compared, *others = facts.answer(result)
    kind = facts.PASSED if result.converged else facts.NOTE if result.trusted else facts.DOUBT
    parts = [paragraph(f"E = {result.energy} hartree", "energy"), paragraph(first), paragraph(compared),
             paragraph(others[0], kind), *map(paragraph, others[1:])]
    text = re.sub(r"(?<![\w-])-(?=\d)", "\N{MINUS SIGN}", "".join(parts))
    return f'<div class="answer">{text}</div>'


def _checks(result: Result) -> str:
    """Return the table of checks; the verdict is a word, so that colours aren't needed."""
    rows = []
    for check in facts.checks(result):
        words = listing(check.words)
        rows.append(f'<tr><th scope="row">{escape(check.name)}</th><td class="verdict"><strong '
                    f'class="{check.verdict}">{check.verdict}</strong></td><td>{escape(check.found)}{words}</td></tr>\n')
    return (f'<table><thead><tr><th scope="col">check</th><th scope="col">verdict</th><th scope="col">found</th></tr>'
            f'</thead><tbody>\n{"".join(rows)}</tbody></table>')


def _drawn(found: Record) -> str:
    """Return the figures of a run, and what can't be drawn in words."""

    def variance(axes: Any) -> None:
        series = found.series("train")
        plots.draw_variance(axes, series["step"], series["variance"])
        axes.set_xlabel("training step")

    drawn = [_attempt(*each) for each in (
        ("Learning curve", "The energy of each training step and its running mean",
         partial(plots.learning_curve, found), "curve"),
        ("Variance of the local energy", "It would be zero for an exact wavefunction", variance, "variance"),
        ("Blocking", "The error bar is right where longer blocks don't change it", partial(plots.blocking, found),
         "blocking"),
        ("Local energies", "All would be equal for an exact wavefunction",
         partial(plots.local_energy_histogram, found), "histogram"))]
    missing = dict.fromkeys(each for each in drawn if isinstance(each, str))
    return figures(each for each in drawn if not isinstance(each, str)) + "".join(map(paragraph, missing))


def _attempt(title: str, caption: str, draw: Callable[[Any], Any], name: str, size: tuple[float, float] = (5.4, 3.5)
             ) -> tuple[str, str, Figure] | str:
    """Return a figure with its title and caption, or why it can't be drawn."""
    try:
        return title, caption, figure(draw, name, f"{title}. {caption}", size)
    except SignatureError:
        raise
    except _UNDRAWN as error:
        return f"There is no figure {title!r}: {error}"


def _settings(config: Mapping[str, Any]) -> list[str]:
    """Return the section on settings that differ from the preset."""
    changed = facts.changed_settings(config)
    preset = f"Preset {config['preset']}, seed {config['seed']}."
    if not changed:
        return [heading("Settings"), paragraph(f"{preset} All settings are those of the preset.")]
    return [heading("Settings"), paragraph(f"{preset} These settings differ from those of the preset:"),
            table(("setting", "preset", "this run"), changed)]


def _repeat(run: Run) -> list[str]:
    """Return the section on how to repeat and to cite the run."""
    config = run.directory.config
    cited = "".join(f"<li>{escape(part)}: {', '.join(link(_address(name), name) for name in names)}</li>"
                    for part, names in facts.sources(config))
    return [heading("Repeat and cite"), code(facts.command(run.directory.path, config)),
            paragraph("The same versions on the same kind of device give the same numbers. Elsewhere the random walks "
                      "are others, and energies agree within their error bars."),
            folded("The complete configuration", code(config_to_text(dict(config)))),
            paragraph(f"Cite: The nnqmc developers, nnqmc {config.get('nnqmc', '')}, and the methods that were used:"),
            f"<ul>{cited}</ul>" if cited else "", *_reference(run.result)]


def _reference(result: Result | None) -> list[str]:
    """Return a sentence on where the published energy is from."""
    if result is None or result.reference is None:
        return []
    return [paragraph(f"The published energy is from {result.reference['source']}.")]


def _address(name: str) -> str:
    """Return the address of a publication."""
    kind, _, rest = name.partition(":")
    return f"https://doi.org/{rest}" if kind == "doi" else f"https://arxiv.org/abs/{rest}"


def default_path(runs: Sequence[Run]) -> Path:
    """Return where a page is written if nobody says otherwise."""
    return runs[0].directory.path / "report.html" if len(runs) == 1 else Path("report.html")
