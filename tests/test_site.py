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
