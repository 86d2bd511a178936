"""Sphinx builds the site of the documentation from the Markdown files here: `sphinx-build -W docs site`.

Sphinx rather than MkDocs, whose Material theme nears the end of its life; furo has light and dark colours, works on a
phone, and loads nothing from elsewhere. Formulas become MathML, which browsers draw by themselves.
"""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

sys.path.insert(0, str(Path(__file__).parent))
from generated import filled_in

project = "nnqmc"
author = "The nnqmc developers"
copyright = author
release = importlib.metadata.version("nnqmc")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "nnqmc"
smartquotes = False
html_copy_source = False
html_static_path = ["static"]
html_css_files = ["nnqmc.css"]
html_math_renderer = "mathml"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
napoleon_use_rtype = False
napoleon_use_ivar = True
pygments_dark_style = "monokai"
exclude_patterns = ["site"]


def setup(app: Any) -> None:
    """Fill in what the code says before a page is read, and write formulas as MathML."""
    app.connect("source-read", _fill_in)
    app.connect("env-get-outdated", _all_pages)
    app.connect("autodoc-process-docstring", _as_plain_text)
    app.add_html_math_renderer("mathml", (_formula, None), (_formula, None))


def _fill_in(app: Any, name: str, source: list[str]) -> None:
    """Replace links to files outside of the site by their text, and words in braces by what they stand for."""
    source[0] = filled_in(source[0], name.count("/"))


def _all_pages(app: Any, env: Any, *changes: Any) -> list[str]:
    """Read every page again, since what it takes from the code may have changed without the page."""
    return sorted(env.found_docs)


def _as_plain_text(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Keep the bars of |psi| in docstrings, which would stand for a substitution."""
    lines[:] = [line.replace("|", r"\|") for line in lines]


def _formula(writer: Any, node: nodes.Element) -> None:
    """Write a formula, in a line or of its own; one that docutils can't read stops the build."""
    is_block = isinstance(node, nodes.math_block)
    text = tex2mathml(node.astext(), as_block=is_block).strip()
    writer.body.append(f'<div class="formula">{text}</div>' if is_block else text)
    raise nodes.SkipNode
