"""The project can be released: one version everywhere, and archives that install and run outside of the checkout."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from nnqmc.version import VERSION

ROOT = Path(__file__).resolve().parents[1]


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)[1]
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert project["version"] == cited == newest == VERSION


def test_a_bug_report_asks_for_what_doctor_prints() -> None:
    text = (ROOT / ".github" / "ISSUE_TEMPLATE" / "bug_report.yml").read_text(encoding="utf-8")
    assert "nnqmc doctor" in text and text.count("required: true") == 3


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.skipif(any(importlib.util.find_spec(name) is None for name in ("build", "hatchling")),
                    reason="building archives needs build and hatchling: pip install 'nnqmc[test]'")
def test_wheel_and_source_archive_install_and_run_outside_of_the_checkout(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp_path / "dist", ROOT],
                          capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,), (source,) = (tmp_path / "dist").glob("*.whl"), (tmp_path / "dist").glob("*.tar.gz")
    shipped = zipfile.ZipFile(wheel).namelist()
    assert {"nnqmc/py.typed", "nnqmc/system/data/references.json"} <= {*shipped}
    assert all(name.startswith(("nnqmc/", f"nnqmc-{VERSION}.dist-info/")) for name in shipped)
    archived = {name.partition("/")[2] for name in tarfile.open(source).getnames()}
    assert {"CITATION.cff", "CONTRIBUTING.md", "docs/index.md", "tests/conftest.py", ".ci/run"} <= archived
    for archive in (wheel, source):
        check_installed(archive, tmp_path / archive.suffix.removeprefix("."))
    tarfile.open(source).extractall(tmp_path, filter="data")
    unpacked = tmp_path / source.name.removesuffix(".tar.gz")
    (unpacked / "nnqmc").rename(unpacked / "elsewhere")  # so that the tests find what is installed and nothing else
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([tmp_path / "whl" / "bin" / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider",
                           "tests/system", "tests/test_units.py"], cwd=unpacked, env=environment, capture_output=True,
                          text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def check_installed(archive: Path, place: Path) -> None:
    """Install an archive alone in a fresh environment, which borrows the dependencies of this one, and use it."""
    venv.create(place, with_pip=True)
    (packages,) = place.glob("lib/python*/site-packages")
    borrowed = [path for path in map(Path, sys.path) if path.is_dir() and (
        path.name == "site-packages" or not path.resolve().is_relative_to(ROOT))]  # the environment may be in ROOT
    (packages / "borrowed.pth").write_text("\n".join(map(str, borrowed)) + "\n", encoding="utf-8")
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}

    def output_of(*command: str | Path) -> str:
        done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    output_of(place / "bin" / "python", "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index",
              "--ignore-installed", archive)
    home = output_of(place / "bin" / "python", "-c", "import nnqmc; print(nnqmc.__file__)")
    assert Path(home.strip()).is_relative_to(packages)
    assert output_of(place / "bin" / "nnqmc", "--version") == f"nnqmc {VERSION}\n"
    assert "Puchalski" in output_of(place / "bin" / "nnqmc", "list")
