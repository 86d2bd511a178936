"""Every example runs, in tiny, and says what its docstring promises."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import runpy
from pathlib import Path

import pytest

from nnqmc.io import load_series

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted((ROOT / "examples").glob("[0-9][0-9]_*.py"))
NOTEBOOKS = [("energy_convergence", 2, "reference -8.0705"), ("use_the_wavefunction", 3, "electrons in 19 orbitals"),
             ("atoms_h_to_ne", 2, "mHa below Hartree-Fock"),
             ("anatomy_of_a_run", 5, "of the clipped variance"), ("a_molecule_of_your_own", 0, "bond 1.4632 bohr"),
             ("read_the_files", 1, "'term.kinetic'"), ("parts_of_your_own", 1, "exact 2.6847"),
             ("a_curve_with_forces", 3, "r_e = 1.4011")]
"""Of each: its name, the number of its figures, and what it prints."""
NEEDED = {"read_the_files": "pandas", "a_molecule_of_your_own": "ase"}
"""What a notebook needs besides the dependencies of nnqmc."""


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NNQMC_TINY", "1")
    monkeypatch.chdir(tmp_path)


def output_of(name: str, capsys: pytest.CaptureFixture) -> str:
    runpy.run_path(str(next(script for script in SCRIPTS if script.name.startswith(name))), run_name="__main__")
    return capsys.readouterr().out


def test_scripts_are_numbered_and_short_and_say_what_one_learns() -> None:
    assert [script.name[:2] for script in SCRIPTS] == ["01", "02", "03", "04", "05", "06", "07", "08", "09", "10"]
    for script in SCRIPTS:
        text = script.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 40, script.name
        assert text.startswith('"""') and "This example shows" in text and "NNQMC_TINY" in text, script.name


@pytest.mark.slow
def test_01_prints_an_energy_with_its_reference_and_leaves_its_files(capsys: pytest.CaptureFixture) -> None:
    text = output_of("01", capsys)
    assert re.search(r"^LiH   E = -\d+\.\d*\(\d+\) Ha    reference -8\.0705\d*    difference", text)
    assert "kinetic" in text and re.search(r"-V/T = \d", text)
    assert Path("runs/01-lih/energy.png").exists() and Path("runs/01-lih/result.json").exists()
    described = (ROOT / "docs" / "reference" / "files.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in described for name in load_series("runs/01-lih/train.h5")[0])


@pytest.mark.slow
def test_02_three_descriptions_are_one_molecule(capsys: pytest.CaptureFixture) -> None:
    text = output_of("02", capsys)
    assert text.count("1 up, 1 down, bond 1.4632 bohr") == 3
    assert "hydrohelium: 1 up" in text and re.search(r"E = -\d", text)


@pytest.mark.slow
def test_03_the_parts_give_an_energy_and_an_observable(capsys: pytest.CaptureFixture) -> None:
    text = output_of("03", capsys)
    assert text.count("step ") == 4
    assert re.search(r"Hartree-Fock -7\.43\d+ Ha   VMC -\d\S*\(\d+\) Ha   <r\^2> = \d\S*\(\d+\) bohr\^2", text)


@pytest.mark.slow
def test_04_a_term_of_ones_own_is_part_of_the_energy(capsys: pytest.CaptureFixture) -> None:
    text = output_of("04", capsys)
    assert "Hooke's atom   E = " in text and "no reference" in text and "above the exact 2 Ha by" in text
    assert re.search(r"'kinetic': .*'repulsion': .*'trap': '\d", text)


@pytest.mark.slow
@pytest.mark.ci
def test_05_a_loop_trains_a_wavefunction_without_a_network(capsys: pytest.CaptureFixture) -> None:
    text = output_of("05", capsys)
    found = re.search(r"E = (-\d\.\d*)\(", text)
    assert re.search(r"trained: \{'b': [\d.-]+, 'c': [\d.-]+, 'k': [\d.-]+\}", text)
    assert found and -3.4 < float(found[1]) < -2.4, text  # helium, even after four steps of few walkers


@pytest.mark.slow
def test_06_a_run_is_loaded_and_its_wavefunction_and_density_are_drawn(capsys: pytest.CaptureFixture) -> None:
    text = output_of("06", capsys)
    assert "LiH after 4 training steps" in text and "debye" in text and "debye angstrom" in text
    assert Path("runs/06-lih/cut.png").stat().st_size > 10_000


@pytest.mark.slow
def test_07_a_relaxation_prints_bonds_and_forces_with_error_bars(capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("ase", reason="the calculator needs ASE: pip install 'nnqmc[ase]'")
    text = output_of("07", capsys)
    assert re.search(r"^bond 1\.600 bohr   E = -\d\S* Ha   pull [+-]\S+ \+- \S+ eV/angstrom   4 training steps", text)
    assert Path("runs/07-h2/0001/result.json").exists()


@pytest.mark.slow
@pytest.mark.skipif(any(importlib.util.find_spec(name) is None for name in ("nbclient", "nbformat", "ipykernel")),
                    reason="executing a notebook needs nbclient, nbformat and ipykernel: pip install 'nnqmc[test]'")
@pytest.mark.parametrize(("name", "figures", "text"), [
    pytest.param(*book, marks=[pytest.mark.ci] if book == NOTEBOOKS[0] else []) for book in NOTEBOOKS])
def test_a_notebook_runs_from_top_to_bottom_and_draws_its_figures(
    name: str, figures: int, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nbclient
    import nbformat

    if name in NEEDED:
        pytest.importorskip(NEEDED[name], reason="the notebook needs the extra notebook")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]))
    book = nbformat.read(ROOT / "examples" / f"{name}.ipynb", as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(book, timeout=600, kernel_name="python3", resources=resources).execute()
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == figures
    assert any(text in output.get("text", "") for output in outputs)
    assert [*(tmp_path / "runs" / name.replace("_", "-")).rglob("train.h5")]


def test_every_notebook_is_stored_with_its_outputs_is_executed_here_and_has_a_page() -> None:
    assert {name for name, *_ in NOTEBOOKS} == {path.stem for path in (ROOT / "examples").glob("*.ipynb")}
    for name, figures, _ in NOTEBOOKS:
        book = json.loads((ROOT / "examples" / f"{name}.ipynb").read_text(encoding="utf-8"))
        codes = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
        assert [cell["execution_count"] for cell in codes] == [*range(1, len(codes) + 1)], name
        outputs = [output for cell in codes for output in cell["outputs"]]
        assert sum("image/png" in output.get("data", {}) for output in outputs) == figures, name
        assert not any(output["output_type"] == "error" or "Warning" in "".join(output.get("text", "")) for output in
                       outputs), name
        assert f"{{{{ notebook {name} }}}}" in (ROOT / "docs" / "notebooks" / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_08_a_curve_prints_its_points_and_leaves_what_ase_reads(capsys: pytest.CaptureFixture) -> None:
    text = output_of("08", capsys)
    assert "H2: 2 of 2 points" in text and re.search(r"\n1\.800 bohr   -\d\S* Ha   1 training steps\n", text)
    assert "energy" in Path("runs/08-h2/curve.xyz").read_text() and Path("runs/08-h2/curve.png").exists()


@pytest.mark.slow
def test_09_a_recipe_prints_a_difference_beside_its_reference(capsys: pytest.CaptureFixture) -> None:
    text = output_of("09", capsys)
    assert "ionisation of He" in text and "kcal/mol" in text and "reference 0.9037" in text
    assert Path("runs/09-he/result.json").exists()


@pytest.mark.slow
def test_10_a_vibration_prints_differences_and_what_they_lead_to(capsys: pytest.CaptureFixture) -> None:
    text = output_of("10", capsys)
    assert re.search(r"E\(1\.0\) - E\(1\.4 bohr\) = [+-]\S+ mHa \(.* overlap \d\.\d\d; independent", text)
    assert "no spectroscopic constants: they need four points or more" in text
