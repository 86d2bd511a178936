"""Every Python program in the documents runs, every command is one, and docs/extending.md says what a part takes.

A block that isn't executed or read here has a comment `<!-- not executed: REASON -->` in the line before it.
"""

from __future__ import annotations

import ast
import importlib
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

import nnqmc
from nnqmc import catalog
from nnqmc.cli import main
from nnqmc.cli.parser import parse
from nnqmc.config import Layer, resolve
from nnqmc.config.schema import SECTIONS
from nnqmc.config.schema import section as settings_of
from nnqmc.job.build import build
from nnqmc.typing import SignedLog
from nnqmc.wavefunctions.features import electron_nucleus

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.md"))
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md",
             *sorted({*(ROOT / "docs").rglob("*.md")} - {*NOTEBOOKS})]
SCRIPTS = ("cluster.md", "devices.md")
"""The documents whose batch scripts other tests execute."""
ELSEWHERE = ("python3 -m venv .venv && ", ".venv/bin/pip install '.[docs]' && .venv/bin/sphinx-build -W docs site")
"""How lines begin that .ci/run and tests/test_site.py execute."""


class Block(NamedTuple):
    """A block of code: the document and heading above it, its language and text, and the line before it."""

    place: str
    language: str
    text: str
    before: str


class Part(NamedTuple):
    """What docs/extending.md says of one part under "Making it a part of nnqmc"."""

    kind: str
    name: str
    definition: str
    file: str
    catalogue_line: str
    battery: str
    setting: str
    command: str
    program: str


def blocks(document: Path) -> list[Block]:
    """Return all blocks of code of a document."""
    found, place, before, fence = [], document.name, "", None
    for line in document.read_text(encoding="utf-8").splitlines():
        if fence is not None and line != "```":
            fence.append(line)
        elif fence is not None:
            found.append(Block(place, fence[0], "\n".join(fence[1:]) + "\n", before))
            fence, before = None, ""
        elif line.startswith("```"):
            fence = [line.removeprefix("```")]
        else:
            place = f"{document.name}: {line.lstrip('# ')}" if line.startswith("#") else place
            before = line or before
    return found


def parts() -> list[Part]:
    """Return the parts of docs/extending.md."""
    found = []
    for section in (ROOT / "docs" / "extending.md").read_text(encoding="utf-8").split("\n## ")[1:]:
        text, program = " ".join(section.split()), re.search(r"```python\n(.*?)```", section, re.DOTALL)
        line = re.search(r"table `(\w+)` of `nnqmc/catalog.py`: `(\"(\w+)\": lambda: [\w.()]+\.(\w+),)`", text)
        battery = re.search(r"of `(tests/conformance/\w+\.py)`: `(.+?)`", text)
        if line is not None:
            file, command = re.search(r"- file: `(\S+)`", text), re.search(r"- command: `(.+?)`", text)
            found.append(Part(line[1], line[3], line[4], file[1], line[2], *(battery.groups() if battery else ("", "")),
                              command[1], program[1]))
    return found


BLOCKS = [block for document in DOCUMENTS for block in blocks(document)]
PROGRAMS = [block for block in BLOCKS if block.language == "python"]
PARTS = parts()


def executed(program: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Execute a program in a module of its own and return its names."""
    module = ModuleType("program_of_a_document")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(program, module.__name__, "exec"), vars(module))
    return vars(module)


def definitions(program: str) -> str:
    """Return a program without the statements that compute something."""
    kept = [node for node in ast.parse(program).body
            if isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef)]
    return "\n\n\n".join(ast.get_source_segment(program, node) if not getattr(node, "decorator_list", None)
                         else ast.unparse(node) for node in kept) + "\n"


def in_the_catalogue(part: Part, maker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enter a part into its table of the catalogue."""
    kind = catalog.KINDS[part.kind]
    table = MappingProxyType({**kind.makers, part.name: lambda: maker})
    monkeypatch.setattr(catalog, "KINDS", MappingProxyType({**catalog.KINDS, part.kind: kind._replace(makers=table)}))


class Product(nn.Module):
    """A product of one-electron functions with one parameter, which compiles in a moment."""

    @nn.compact
    def __call__(self, electrons: Any, system: Any) -> SignedLog:
        zeta = self.param("zeta", nn.initializers.constant(1.5), (), jnp.float32)
        distances = electron_nucleus(electrons, system)[1]
        return SignedLog(jnp.ones((), electrons.dtype), jnp.sum(jax.nn.logsumexp(-zeta * distances, axis=-1)))


@pytest.fixture
def tiny_solve(tiny: Mapping[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give `nnqmc.solve` few walkers and steps, a tiny wavefunction where none is given, and an empty directory."""
    solve = nnqmc.solve
    tiny = {**tiny, "wavefunction": Product(), "pretrain": {"steps": 0}}
    monkeypatch.setattr(nnqmc, "solve", lambda source, **given: solve(source, **{**tiny, **given}))
    monkeypatch.chdir(tmp_path)


def skeleton(text: str) -> list[str]:
    """Return the lines of an output without numbers, warnings and notes, which depend on the settings."""
    lines = [line for line in text.splitlines() if not line.startswith(("  note:", "  not to be trusted:"))]
    return [re.sub(r"[-+]?\b(\d[\d.e+-]*|nan|inf)(\(\d*\.?\d*\))?", "#", line) for line in lines]


@pytest.mark.slow
@pytest.mark.parametrize("program", [
    pytest.param(program, id=program.place,
                 marks=[pytest.mark.ci] if program.place.startswith(("README", "extending")) else [])
    for program in PROGRAMS])
def test_every_program_runs_and_prints_what_the_document_shows(
    program: Block, tiny_solve: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if "not executed" in program.before:
        pytest.skip(re.fullmatch(r"<!-- not executed: (\w.+) -->", program.before)[1])
    executed(program.text, monkeypatch)
    following = BLOCKS[BLOCKS.index(program) + 1]
    assert following.place == program.place and following.language in ("", "text"), "a program has its output below it"
    assert skeleton(capsys.readouterr().out) == skeleton(following.text)


def test_programs_are_short_and_there_is_one_for_each_kind_of_part() -> None:
    own = [program for program in PROGRAMS if program.place.startswith("extending.md")]
    assert all(len(program.text.splitlines()) <= 40 for program in own)
    assert all("not executed" not in program.before for program in own)
    assert {part.kind for part in PARTS} == set(catalog.KINDS) and len(PARTS) == len(own) == 8


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_in_a_document_is_one(document: Path) -> None:
    """Those of shell blocks and those between backticks; N stands for a number."""
    shell = "\n".join(block.text for block in blocks(document) if block.language in ("sh", "bash"))
    text = re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    text = " ".join(text.split())
    for command in re.findall(r"(?:^|&& )(?:\.venv/bin/)?(nnqmc [^&\n]+)", shell, re.MULTILINE) + re.findall(
            r"`(nnqmc [^`|]+)`", text):
        words = ["1" if word == "N" else word for word in shlex.split(command, comments=True) if word != "..."][1:]
        if words[1:]:  # a command without arguments is its name only
            given = getattr(parse(words), "assignments", [])
            check_settings([text for text in given if document.name != "extending.md"])  # which makes its own
    for script in re.findall(r"python (benchmarks/\S+\.py)", shell + text):
        assert (ROOT / script).is_file(), script
    check_settings(re.findall(rf"`((?:{'|'.join(SECTIONS)})\.(?!h5)\w+)", text))


def check_settings(named: Sequence[str]) -> None:
    """Check that what documents call settings, SECTION.KEY or SECTION.KEY=VALUE, are some."""
    known = {f"{kind}.{key}" for kind in SECTIONS for part in (catalog.KINDS[kind].makers if kind in catalog.KINDS else
                                                               (None,)) for key in settings_of(kind, part)}
    for text in named:
        assert text.partition("=")[0] in known | {"wavefunction.size"}, f"{text} is no setting"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_block_of_a_document_is_executed_or_says_why_not(document: Path) -> None:
    """Python programs and batch scripts are executed, lines of a shell are commands of nnqmc, the rest is output."""
    for block in blocks(document):
        if "not executed" in block.before:
            assert re.fullmatch(r"<!-- not executed: \w.+ -->", block.before), block.place
        elif block.language == "sh":
            lines = [line for line in block.text.splitlines() if line]
            assert all(line.startswith(("nnqmc ", *ELSEWHERE)) for line in lines), f"{block.place}: {lines}"
        else:
            assert block.language in ("", "text", "python") or block.language.startswith("{") or (
                block.language == "bash" and document.name in SCRIPTS), f"{block.place}: {block.language}"
        if block.language == "python":
            check_names(block.text)


def check_names(program: str) -> None:
    """Check that a program of a document is Python, and that nnqmc has what it takes from there."""
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "nnqmc":
            assert hasattr(nnqmc, node.attr), node.attr
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nnqmc"):
            found = importlib.import_module(node.module)
            assert all(hasattr(found, name.name) for name in node.names), ast.unparse(node)


@pytest.mark.parametrize("part", PARTS, ids=[part.name for part in PARTS])
def test_a_part_in_the_catalogue_is_known_by_its_name(
    part: Part, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    in_the_catalogue(part, executed(definitions(part.program), monkeypatch)[part.definition], monkeypatch)
    assert main(["list", "parts"]) == 0
    assert re.search(rf"^{part.kind} +{part.name} +\w.{{20}}", capsys.readouterr().out, re.MULTILINE)
    words = shlex.split(part.command)[1:]
    arguments = parse(words)
    if part.kind in catalog.CHOSEN:
        assert getattr(arguments, part.kind) == part.name
        config = resolve(nnqmc.molecule("He"), [Layer("command", {part.kind: {"name": part.name}})])
        assert callable(getattr(getattr(build(config), part.kind), {"sampler": "step", "optimizer": "update"}.get(
            part.kind, "__call__")))
    elif part.kind == "observable":
        assert arguments.observe == part.name
        config = resolve(nnqmc.molecule("He"), [Layer("command", {"evaluate": {"observe": part.name}})])
        assert build(config).observables.keys() == {part.name, "spin_squared", "cusps", "virial"}


@pytest.mark.slow
def test_the_command_line_measures_an_observable_of_the_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    part = next(part for part in PARTS if part.kind == "observable")
    in_the_catalogue(part, executed(definitions(part.program), monkeypatch)[part.definition], monkeypatch)
    monkeypatch.chdir(tmp_path)
    tiny = ["--walkers", "32", "--steps", "4", "--target-error", "1", "--set", "wavefunction.layers=1",
            "wavefunction.hidden_one=8", "wavefunction.hidden_two=4", "wavefunction.n_determinants=1",
            "pretrain.steps=5", "train.burn_in=5", "train.checkpoint_steps=1", "evaluate.max_steps=20"]
    assert main(["run", "He", "--observe", part.name, "--out", "run", "--quiet", *tiny]) == 0
    assert main(["report", "run"]) == 0
    assert re.search(rf"^  {part.name} +\d\.\d*\(\d*\) bohr$", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("part", [part for part in PARTS if part.battery or part.kind in ("observable", "objective",
                                                                                        "wavefunction")],
                         ids=lambda part: part.name)
def test_a_part_passes_the_tests_of_its_kind(part: Part, tmp_path: Path) -> None:
    """Do what the document says in a copy of the project."""
    for folder in ("nnqmc", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    file = tmp_path / part.file
    assert not file.exists()
    file.write_text(f'"""A part of the documents."""\n\n{definitions(part.program)}', encoding="utf-8")
    with open(file.parent / "__init__.py", "a", encoding="utf-8") as package:
        package.write(f"from {'.'.join(Path(part.file).with_suffix('').parts)} import {part.definition}\n")
    catalogue = tmp_path / "nnqmc" / "catalog.py"
    text = re.sub(rf'^(    "{part.kind}": Kind\(.*)$', rf"\1\n        {part.catalogue_line}",
                  catalogue.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert part.catalogue_line in text
    catalogue.write_text(text, encoding="utf-8")
    battery = tmp_path / (part.battery or next((tmp_path / "tests" / "conformance").glob(f"*_{part.kind}.py")))
    if part.setting:
        text = re.sub(r"^SETTINGS = \{", f"SETTINGS = {{{part.setting} ", battery.read_text(encoding="utf-8"), count=1,
                      flags=re.MULTILINE)
        assert part.setting in text
        battery.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-k", part.name, str(battery)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0 and re.search(r"\d passed", done.stdout), done.stdout[-4000:]
