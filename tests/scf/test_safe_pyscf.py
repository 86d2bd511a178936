"""PySCF evaluates and executes what it is given as text: no text of a stranger may reach it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nnqmc.errors import InputError
from nnqmc.scf import hartree_fock
from nnqmc.system import molecule

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = "H S\n [__import__('os').system('touch${{IFS}}{}'),1.0]\n"
"""Basis functions in NWChem's format, whose second line PySCF evaluates."""


@pytest.mark.parametrize("head", ["", "BASIS\n", "GTH\n"])
def test_basis_functions_as_text_are_not_evaluated(head: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not the name of a basis set"):
        hartree_fock(molecule("H"), basis=head + FUNCTIONS.format(tmp_path / "executed"))
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("basis", ["", "/etc/passwd", "../x", "a\0b", "x" * 81, "$HOME", "~", ".hidden", "a;b"])
def test_what_is_no_name_is_refused(basis: str) -> None:
    with pytest.raises(InputError, match="is not the name of a basis set"):
        hartree_fock(molecule("H"), basis=basis)


@pytest.mark.parametrize("basis", ["cc-pvdz", "sto-3g", "sto-3g@3s"])
def test_a_file_with_the_name_of_a_basis_set_is_not_evaluated(
    basis: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / basis.partition("@")[0]).write_text(FUNCTIONS.format(tmp_path / "executed"))
    with pytest.raises(InputError, match="lies in the working directory"):
        hartree_fock(molecule("H"), basis=basis)
    assert not (tmp_path / "executed").exists()


def test_no_file_stands_for_a_basis_set_that_is_chosen_automatically(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The anion of hydrogen takes diffuse functions by itself: an unbound electron is kept rather than a file read."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "aug-cc-pvdz").write_text(FUNCTIONS.format(tmp_path / "executed"))
    hartree_fock(molecule("H", charge=-1))
    assert not (tmp_path / "executed").exists()


def test_a_folder_with_the_name_of_a_basis_set_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cc-pvdz").mkdir()
    assert float(hartree_fock(molecule("H")).energy) == pytest.approx(-0.499, abs=0.001)


@pytest.mark.parametrize("basis", ["6-31g", "6-311++G(d,p)", "6-31g*", "cc-pvdz@2s1p", "def2-svp", "STO 3G"])
def test_names_of_basis_sets_are_let_through(basis: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert float(hartree_fock(molecule("H"), basis=basis).energy) == pytest.approx(-0.49, abs=0.03)


def test_settings_of_the_working_directory_are_not_executed_and_those_of_the_home_are(tmp_path: Path) -> None:
    home, here = tmp_path / "home", tmp_path / "here"
    for folder, word in ((home, "mine"), (here, "stranger's")):
        folder.mkdir()
        (folder / ".pyscf_conf.py").write_text(f'print("{word}")')
    code = "import nnqmc, os; nnqmc.hartree_fock(nnqmc.molecule('H')); print(os.environ.get('PYSCF_CONFIG_FILE'))"
    for own, said in ((home, "mine\nNone\n"), (tmp_path, "None\n"), (here, "stranger's\nNone\n")):
        done = subprocess.run([sys.executable, "-c", code], cwd=here, capture_output=True, text=True, timeout=300,
                              env={"HOME": str(own), "PYTHONPATH": str(ROOT), "PATH": ""}, check=True)
        assert done.stdout == said
        assert ("isn't executed" in done.stderr) == (own != here)
