"""The site of the documentation is built without a warning, has every page, and loads nothing from elsewhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nnqmc.catalog import CHOSEN, KINDS

ROOT = Path(__file__).resolve().parents[1]


def test_the_table_of_readme_is_what_the_benchmark_found() -> None:
    runs = json.loads((ROOT / "benchmarks" / "results" / "energies" / "energies.json").read_text(encoding="utf-8"))
    written = re.findall(r"^\| (\w+) \| ([\d, ]+) \| ([-+.\d, ]+) \| ([.\d]+) \| (\d+) \|$",
                         (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [row[0] for row in written] == [*dict.fromkeys(run["system"] for run in runs)]
    for system, seeds, differences, error, seconds in written:
        own = [run for run in runs if run["system"] == system]
        assert seeds == ", ".join(str(run["seed"]) for run in own)
        assert differences == ", ".join(f"{1000 * run['result']['difference']:+.2f}" for run in own)
        assert error == f"{max(1000 * run['result']['error'] for run in own):.2f}"
        assert seconds == f"{max(run['wall_seconds'] for run in own):.0f}"


def tables(text: str) -> list[list[list[str]]]:
    """Return the tables of a page: their rows, the head first, as the texts of their cells."""
    return [[[cell.strip() for cell in line.strip("| ").split("|")] for line in found.splitlines() if "---" not in line]
            for found in re.findall(r"^\|.*\n(?:\|.*\n)+", text, re.MULTILINE)]


def test_a_table_of_a_page_with_the_head_of_a_benchmark_has_the_numbers_of_that_benchmark() -> None:
    measured = [table for path in (ROOT / "benchmarks" / "results").rglob("*.md") for table in tables(path.read_text())]
    heads = [table[0] for table in measured]
    copied = [(path.name, table) for path in sorted((ROOT / "docs").rglob("*.md")) for table in tables(path.read_text())
              if table[0] in heads]
    assert {"faults.md", "optimizers.md", "statistics.md"} <= {name for name, _ in copied}
    for name, table in copied:
        assert table in measured, (name, table[0])


def test_what_is_said_of_whole_runs_is_what_they_took() -> None:
    runs = json.loads((ROOT / "benchmarks" / "results" / "energies" / "energies.json").read_text(encoding="utf-8"))
    own = [run for run in runs if run["system"] == "LiH"]
    stages = [[run["result"]["seconds"][stage] for run in own] for stage in
              ("scf", "pretrain", "compile", "train", "evaluate")] + [[run["wall_seconds"] for run in own]]
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert [row[1] for row in tables(page)[0][1:]] == [f"{sum(times) / len(own):.1f}" for times in stages]
    larger = [run for name in ("atoms", "molecules") for run in json.loads(
        (ROOT / "benchmarks" / "results" / name / "energies.json").read_text(encoding="utf-8"))]
    words = " ".join((ROOT / "docs" / "estimate.md").read_text(encoding="utf-8").split())
    for some in (runs, larger):
        found = [(run["result"]["performance"]["estimated_seconds"] / run["wall_seconds"],
                  run["result"]["performance"]["estimated_error"] / run["result"]["error"]) for run in some]
        ranges = [f"{min(ratios):.2f} to {max(ratios):.2f} times" for ratios in zip(*found, strict=True)]
        assert f"estimated times are {ranges[0]}" in words and f"estimated error bars {ranges[1]}" in words


def test_the_profile_of_a_step_is_what_the_benchmark_found() -> None:
    text = (ROOT / "benchmarks" / "results" / "profile" / "profile.md").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    rows = {row[0]: row[1:] for table in tables(page) for row in table}
    found = [{row[0]: row for row in table} | {"kinds": table[0]} for table in tables(text)]
    for words, stage in (("10 sweeps and one more evaluation of log psi", "sampling"), ("local energy", "local_energy"),
                         ("scores", "scores"), ("Gram matrix", "gram"), ("all stages", "all")):
        assert all(abs(float(cell) - float(one[stage][-1])) < 0.6 for cell, one in zip(rows[words], found, strict=True))
    products = [float(one["all"][one["kinds"].index("matrix products")]) for one in found]
    assert rows["matrix products in all stages"] == [f"{number:.0f}" for number in products]


@pytest.mark.slow
@pytest.mark.ci
def test_the_site_is_built_without_warnings_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", tmp_path / "trees",
                           ROOT / "docs", tmp_path / "site"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    pages = {path.relative_to(tmp_path / "site").as_posix(): path.read_text() for path in
             (tmp_path / "site").rglob("*.html")}
    sources = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")]
    assert {source.with_suffix(".html").as_posix() for source in sources} <= pages.keys()
    loaded = re.compile(r"""<(?:script|img|iframe)[^>]+src=["']https?:|<link[^>]+rel=["']stylesheet[^>]+https?:""")
    assert not [name for name, text in pages.items() if loaded.search(text)]
    assert not [name for name, text in pages.items() if "{{ " in re.sub(r"<pre>.*?</pre>", "", text, flags=re.DOTALL)]
    assert '"pseudopotentials"' in (tmp_path / "site" / "searchindex.js").read_text() and "<math" in pages[
        "explanation/vmc.html"]
    assert "nnqmc evaluate" in pages["reference/command_line.html"] and "{{" not in pages["reference/settings.html"]
    for kind in CHOSEN:
        assert all(f"{kind} {name}" in pages["reference/settings.html"] for name in KINDS[kind].makers)
