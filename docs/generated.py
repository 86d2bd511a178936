"""What the pages of the site take from the code and from the results: tables, the changelog, and notebooks.

A page has `{{ NAME }}` or `{{ NAME ARGUMENT }}` in braces where `MAKERS[NAME]` writes text.
"""

from __future__ import annotations

import html
import inspect
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_PLACE = re.compile(r"\{\{ (\w+)(?: ([\w./-]+))? \}\}")
_OUTSIDE = r"(?<!!)\[([^\]]+)\]\((?:\.\./){%d,}(?!docs/)[^)]+\)"
"""A link to a file of the repository that isn't part of the site, from a page so many folders below its root."""
_SITE = re.compile(r"\]\((?:\.\./)*examples/(\w+)\.ipynb\)")
"""A link to a notebook, which has a page of its own."""
_FIELDS = MappingProxyType({
    "system": "name of the system", "error": "standard error of the energy, in the same unit",
    "unit": "of energies: hartree", "estimate": "the energy with all its diagnostics",
    "trusted": "whether nothing speaks against the energy and its error bar",
    "caveats": "the reasons, in sentences, not to trust the energy",
    "seed": "the seed of all random numbers", "difference": "the energy less its reference in hartree, or null",
    "difference_error": "standard error of the difference in hartree, the reference's own included",
    "converged": "whether training and evaluation reached their aims, see [error bars](../statistics.md)",
    "acceptance": "share of moves that were accepted", "stuck": "share of walkers that haven't moved for long",
    "excluded": "share of samples that were left out, since their energy wasn't finite",
    "reseeded": "share of walkers that were lost and replaced",
    "bad_proposals": "share of moves that led where the wavefunction isn't finite",
})
"""Fields of result.json that aren't attributes of a result or of an estimate."""


def filled_in(text: str, depth: int = 0) -> str:
    """Return the text of a page, `depth` folders below docs/, with what stands in braces written out."""
    text = _PLACE.sub(lambda found: MAKERS[found[1]](*filter(None, [found[2]])), text)
    return re.sub(_OUTSIDE % (depth + 1), r"\1", _SITE.sub(rf"]({'../' * depth}notebooks/\1.md)", text))


def commands() -> str:
    """Return the help of every command, as `nnqmc COMMAND --help` prints it."""
    return "\n".join(f"## nnqmc {name}\n\n```text\n{command.format_help()}```\n"
                     for name, command in _parsers().items())


def options() -> str:
    """Return a table of all options, with the commands that have them."""
    found: dict[str, tuple[str, list[str]]] = {}
    for name, command in _parsers().items():
        for action in command._actions:
            if action.option_strings and action.dest != "help":
                value = f" {' '.join([action.metavar] if isinstance(action.metavar, str) else action.metavar or [])}"
                word = f"`{action.option_strings[-1]}{value.rstrip()}`"
                found.setdefault(word, (action.help or "", []))[1].append(name)
    every = len(_parsers())
    rows = [(word, text, "all" if len(names) == every else ", ".join(names)) for word, (text, names) in found.items()]
    return _table(("option", "what it says", "commands"), rows)


def settings() -> str:
    """Return a table of settings for each part that a run can be made of, for each stage, and for each observable."""
    from nnqmc.catalog import KINDS, find, part_settings, summary
    from nnqmc.config.schema import SECTIONS, section

    lines = []
    for kind in (*SECTIONS, "observable"):
        for part in KINDS[kind].makers if kind in KINDS else (None,):
            lines += [f"## {kind} {part or ''}", ""] + ([summary(find(kind, part)) + ".", ""] if part else [])
            known = section(kind, part) if kind in SECTIONS else part_settings(kind, part)
            rows = [(f"`{kind}.{key}`" if kind in SECTIONS else f"`{part}:{key}`", f"`{setting.default}`",
                     setting.allowed("none")) for key, setting in known.items() if key != "name"]
            lines += [_table(("setting", "default", "allowed"), rows) if rows else "It has no settings.", ""]
    return "\n".join(lines)


def presets() -> str:
    """Return a table of what every preset chooses, by the number of electrons."""
    from nnqmc.presets import DEFAULT, PRESETS

    rows = []
    for name, preset in PRESETS.items():
        rows.append((f"`{name}`" + (" (default)" if name == DEFAULT else ""), "any", _assignments(preset.settings)))
        rows += [("", f"up to {most:g}" if most < 1e9 else "more", _assignments(row)) for most, row in
                 preset.rows.items()]
    words = [f"- `{name}`: {preset.purpose}" for name, preset in PRESETS.items()]
    return "\n".join(words) + "\n\n" + _table(("preset", "electrons", "settings"), rows)


def parts() -> str:
    """Return a table of all parts of the catalogue."""
    from nnqmc.catalog import KINDS, find, summary

    return _table(("kind", "part", "what it is"), [
        (kind, f"`{name}`" + (" (default)" if name == known.default else ""), summary(find(kind, name)))
        for kind, known in KINDS.items() for name in known.makers])


def systems() -> str:
    """Return a table of the named systems and their reference energies."""
    from nnqmc.system.named import entries

    return _table(("name", "also", "reference (Ha)", "kind", "source"), [
        (f"`{entry.name}`", ", ".join(entry.aliases), f"{entry.reference.energy:.10g}", entry.reference.kind,
         entry.reference.source) for entry in entries()])


def result_fields() -> str:
    """Return a table of the fields of result.json."""
    from nnqmc import Estimate
    from nnqmc.job.result import FRACTIONS, Result

    known = {**_attributes(Estimate), **_attributes(Result), **_FIELDS}
    blank = Estimate(0.0, 0.0, 0.0, 0.0, 0.0, 1)
    fields = Result("", blank, fractions=dict.fromkeys(FRACTIONS, 0.0)).to_dict()
    return _table(("field", "what it holds"), [(f"`{name}`", known[name]) for name in fields])


def changelog() -> str:
    """Return the changelog with its links as they are from a page of the site."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").replace("](docs/", "](")
    return re.sub(r"\]\((?!https?:|[\w/]+\.md|examples/\w+\.ipynb)", "](../", text)


def results(name: str) -> str:
    """Return the tables of a file below benchmarks/results/, without its titles."""
    text = (ROOT / "benchmarks" / "results" / name).read_text(encoding="utf-8")
    return re.sub(r"^#+ (.*)$", r"**\1**", re.sub(r"\A# .*\n", "", text), flags=re.MULTILINE)


def notebook(name: str) -> str:
    """Return a notebook of examples/ with its outputs as Markdown; the page loads nothing else for it."""
    book = json.loads((ROOT / "examples" / f"{name}.ipynb").read_text(encoding="utf-8"))
    cells = "\n\n".join(_cell(cell) for cell in book["cells"] if "".join(cell["source"]).strip())
    return cells.replace("](../docs/", "](../") + "\n"


def _cell(cell: Mapping[str, Any]) -> str:
    """Return one cell of a notebook as Markdown."""
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return source
    return "\n\n".join([f"```python\n{source}\n```", *filter(None, map(_output, cell["outputs"]))])


def _output(output: Mapping[str, Any]) -> str:
    """Return one output of a cell: a figure, or else text."""
    data = output.get("data", {})
    if "image/png" in data:
        code = "".join("".join(data["image/png"]).split())
        return f'<img class="figure" alt="figure drawn by the cell above" src="data:image/png;base64,{code}">'
    text = "".join(output.get("text", data.get("text/plain", "")))
    return f'<pre class="output">{html.escape(text.rstrip())}</pre>'.replace("\n\n", "\n&#8203;\n") if text else ""


def _parsers() -> Mapping[str, Any]:
    """Return the parser of every command by its name."""
    from nnqmc.cli.parser import make_parser

    (found,) = (action for action in make_parser()._actions if isinstance(action.choices, dict))
    return found.choices


def _assignments(chosen: Mapping[str, Any]) -> str:
    """Return settings as they are given on the command line."""
    return ", ".join(f"`{name}={value:g}`" if isinstance(value, float) else f"`{name}={value}`"
                     for name, value in chosen.items())


def _attributes(cls: type) -> dict[str, str]:
    """Return what the docstring of a class says of its attributes."""
    text = (inspect.getdoc(cls) or "").partition("Attributes:\n")[2]
    return {name: " ".join(words.split()).removesuffix(".") for name, words in
            re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", text, re.MULTILINE)}


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", r"\|") for cell in row) + " |" for row in lines)


MAKERS: Mapping[str, Callable[..., str]] = MappingProxyType({
    "commands": commands, "options": options, "settings": settings, "presets": presets, "parts": parts,
    "systems": systems, "result_fields": result_fields, "changelog": changelog, "results": results,
    "notebook": notebook})
