"""The site of the documentation is built without a warning, has every page, and loads nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from nnqmc.catalog import CHOSEN, KINDS

ROOT = Path(__file__).resolve().parents[1]


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
    assert "nnqmc evaluate" in pages["reference/command_line.html"] and "{{" not in pages["reference/settings.html"]
    for kind in CHOSEN:
        assert all(f"{kind} {name}" in pages["reference/settings.html"] for name in KINDS[kind].makers)
