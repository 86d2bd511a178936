"""A page of HTML that holds everything it shows: no script, no font, and no picture is loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from nnqmc.report.figures import Figure
from nnqmc.version import VERSION

_STYLE = """
:root { --page: #f6f7f9; --card: #ffffff; --text: #1c2127; --quiet: #5b6570; --line: #dfe3e8;
  --blue: #1f5fa8; --red: #c0392b; --green: #4c9a5b; --grey: #8a8f98; --purple: #8a5fa8; --gold: #b8860b;
  --passed: #23703a; --note: #8a5a00; --doubtful: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --page: #14171b; --card: #1d2126; --text: #e4e7eb; --quiet: #a0a9b3;
  --line: #363d45; --blue: #6ea8e8; --red: #ef8277; --green: #7cc78b; --grey: #9aa1aa; --purple: #c09add;
  --gold: #d9ae4a; --passed: #7fce93; --note: #e3b458; --doubtful: #f39a92; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, sans-serif;
  overflow-wrap: anywhere; }
main { max-width: 64rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.25; }
h2 { margin: 2.2rem 0 0.6rem; font-size: 1.2rem; }
p { margin: 0.4rem 0; max-width: 48rem; }
.quiet, figcaption, th { color: var(--quiet); }
.answer { background: var(--card); border: 1px solid var(--line); border-radius: 0.6rem; padding: 1rem 1.2rem;
  margin-top: 1rem; }
.energy { font-size: 1.5rem; font-weight: 600; margin: 0 0 0.5rem; }
.passed { color: var(--passed); } .note { color: var(--note); } .doubtful { color: var(--doubtful); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1rem; }
figure { margin: 0; max-width: 52rem; padding: 0.8rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 0.6rem; }
figure svg { display: block; width: 100%; height: auto; color: var(--text); fill: currentColor; }
figure svg * { stroke-linejoin: round; stroke-linecap: butt; }
figure svg text { font-family: inherit !important; }
figcaption { font-size: 0.85rem; }
figcaption strong { color: var(--text); }
.legend { list-style: none; margin: 0.3rem 0 0; padding: 0; font-size: 0.85rem; color: var(--text); }
.legend li { display: flex; gap: 0.4em; }
.mark { flex: 0 0 1.2em; text-align: center; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; background: var(--card); font-size: 0.92rem; }
th, td { text-align: left; vertical-align: top; padding: 0.35rem 0.7rem; border: 1px solid var(--line);
  font-variant-numeric: tabular-nums; }
th { font-weight: 600; overflow-wrap: break-word; }
.pairs th { width: 13rem; }
td.verdict, .several td { white-space: nowrap; }
.several th, .several td { padding: 0.35rem 0.5rem; }
ul { margin: 0.2rem 0; padding-left: 1.2rem; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 0.4rem; padding: 0.7rem 0.9rem;
  overflow-x: auto; font-size: 0.85rem; overflow-wrap: normal; }
a { color: var(--blue); }
@media (max-width: 40rem) { .pairs th { width: 8rem; } th, td { padding: 0.3rem 0.45rem; } h1 { font-size: 1.4rem; } }
@media print { body { background: none; } main { max-width: none; } figure, tr { break-inside: avoid; } }
"""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""What a browser may load for the page: nothing."""


def page(title: str, *parts: str) -> str:
    """Return a complete page of HTML; the title is text, and the parts are HTML."""
    return (f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="color-scheme" content="light dark">\n'
            f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
            + "\n".join(parts) + f'\n<p class="quiet">Written by nnqmc {escape(VERSION)}.</p>\n</main>\n</body>\n'
            "</html>\n")


def heading(text: str) -> str:
    """Return a heading of a section."""
    return f"<h2>{escape(text)}</h2>"


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph, of a class of the style if one is given."""
    return f"<p{_class(kind)}>{escape(text)}</p>"


def listing(texts: Iterable[str]) -> str:
    """Return a list; an empty one is nothing, since HTML has none without items."""
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<ul>{items}</ul>" if items else ""


def code(text: str) -> str:
    """Return text as it stands, in a font of equal widths."""
    return f"<pre><code>{escape(text)}</code></pre>"


def folded(title: str, content: str) -> str:
    """Return HTML that is seen when its title is clicked."""
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def link(address: str, text: str) -> str:
    """Return a link, which a browser follows only when it is clicked."""
    return f'<a href="{escape(address)}" rel="noreferrer">{escape(text)}</a>'


def pairs(rows: Iterable[tuple[str, str]]) -> str:
    """Return a table of names and texts without those rows that have no text."""
    body = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(text)}</td></tr>\n' for name, text in rows
                   if text)
    return f'<table class="pairs"><tbody>\n{body}</tbody></table>'


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """Return a table of texts with titles; it scrolls by itself where it is wider than the page."""
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in titles)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows)
    return (f'<div class="wide"><table{_class(kind)}><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>'
            "</div>")


def figures(found: Iterable[tuple[str, str, Figure]]) -> str:
    """Return figures beside or below each other, each with a title, a caption and its legend."""
    parts = []
    for title, caption, each in found:
        legend = "".join(f"<li>{mark}<span>{escape(text)}</span></li>" for mark, text in each.legend)
        legend = f'<ul class="legend">{legend}</ul>' if legend else ""
        parts.append(f"<figure>{each.svg}<figcaption><strong>{escape(title)}.</strong> {escape(caption)}{legend}"
                     "</figcaption></figure>")
    return f'<div class="figures">\n{"".join(parts)}\n</div>' if parts else ""


def _class(kind: str) -> str:
    """Return the attribute of a class of the style, or nothing."""
    return f' class="{escape(kind)}"' if kind else ""
