"""Sphinx builds the site of the documentation from the Markdown files here: `sphinx-build -W docs site`.

Sphinx rather than MkDocs, whose Material theme nears the end of its life; furo has light and dark colours, works on a
phone, and loads nothing from elsewhere.
"""

from __future__ import annotations

import importlib.metadata
import re
from typing import Any

project = "nnqmc"
author = "The nnqmc developers"
release = importlib.metadata.version("nnqmc")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "nnqmc"
html_copy_source = False
myst_heading_anchors = 4
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
napoleon_use_rtype = False
exclude_patterns = ["site"]

OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+(?!docs/)[^)]+\)")
"""A link to a file of the repository that isn't part of the site."""


def setup(app: Any) -> None:
    """Fill in what the code says before a page is read."""
    app.connect("source-read", _fill_in)
    app.connect("autodoc-process-docstring", _as_plain_text)


def _fill_in(app: Any, name: str, source: list[str]) -> None:
    """Replace links to files outside of the site by their text, and words in braces by what they stand for."""
    source[0] = OUTSIDE.sub(r"\1", source[0])
    for word, make in {"{{ commands }}": _commands, "{{ settings }}": _settings}.items():
        if word in source[0]:
            source[0] = source[0].replace(word, make())


def _as_plain_text(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Keep the bars of |psi| in docstrings, which would stand for a substitution."""
    lines[:] = [line.replace("|", r"\|") for line in lines]


def _commands() -> str:
    """Return the help of every command, as `nnqmc COMMAND --help` prints it."""
    from nnqmc.cli.parser import make_parser

    (commands,) = (action for action in make_parser()._actions if isinstance(action.choices, dict))
    return "\n".join(f"## nnqmc {name}\n\n```text\n{command.format_help()}```\n"
                     for name, command in commands.choices.items())


def _settings() -> str:
    """Return a table of settings for each part that a run can be made of, and for each stage."""
    from nnqmc.catalog import KINDS, find, summary
    from nnqmc.config.schema import SECTIONS, section

    lines = []
    for kind in SECTIONS:
        for part in KINDS[kind].makers if kind in KINDS else (None,):
            lines += [f"## {kind} {part or ''}", ""] + ([summary(find(kind, part)) + ".", ""] if part else [])
            lines += ["| setting | default | allowed |", "|---|---|---|"]
            lines += [f"| `{kind}.{key}` | `{setting.default}` | {setting.allowed('none')} |"
                      for key, setting in section(kind, part).items() if key != "name"] + [""]
    return "\n".join(lines)
