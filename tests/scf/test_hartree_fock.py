"""Hartree-Fock energies, spin cases, stability, and what is refused."""

import logging
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from nnqmc.errors import InputError, SCFError
from nnqmc.scf import hartree_fock
from nnqmc.typing import System

_CHARGES = {"H": 1.0, "He": 2.0, "Li": 3.0, "N": 7.0, "O": 8.0, "K": 19.0, "I": 53.0}
_WATER = [[0.0, 0.0, 0.2217], [0.0, 1.4309, -0.8867], [0.0, -1.4309, -0.8867]]


def _system(symbols, atoms, n_up, n_down):
    charges = np.array([_CHARGES[symbol] for symbol in symbols])
    return System(np.array(atoms, dtype=float).reshape(-1, 3), charges, n_up, n_down, tuple(symbols))


def _diatomic(first, second, distance, n_up, n_down):
    return _system([first, second], [[0, 0, 0], [0, 0, distance]], n_up, n_down)


def _atom(symbol, n_up, n_down):
    return _system([symbol], [[0, 0, 0]], n_up, n_down)


@pytest.mark.parametrize(
    ("system", "unrestricted"),
    [
        (_atom("He", 1, 1), False),
        (_atom("Li", 2, 1), True),
        (_diatomic("Li", "H", 3.015, 2, 2), False),
        (_system(["O", "H", "H"], _WATER, 5, 5), False),
        (_diatomic("O", "O", 2.282, 9, 7), True),
    ],
    ids=["He", "Li", "LiH", "H2O", "triplet O2"],
)
def test_the_energy_is_that_of_a_plain_pyscf_run(system, unrestricted):
    from pyscf import gto, scf

    mol = gto.M(
        atom=list(zip(system.symbols, system.atoms.tolist())), unit="Bohr", spin=system.spin, basis="cc-pvdz", verbose=0
    )
    expected = (scf.UHF if unrestricted else scf.RHF)(mol).run().e_tot
    assert float(hartree_fock(system).energy) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("system", "exact_hartree_fock", "tolerance"),
    [
        (_atom("H", 1, 0), -0.5, 1e-3),
        (_atom("H", 0, 1), -0.5, 1e-3),
        (_diatomic("H", "H", 2.0, 1, 0), -0.6026342, 3e-3),
        (_atom("He", 1, 1), -2.8616800, 7e-3),
        (_atom("Li", 1, 1), -7.2364152, 1e-3),
        (_atom("Li", 2, 1), -7.4327509, 1e-3),
        (_atom("Li", 1, 2), -7.4327509, 1e-3),
        (_atom("H", 1, 1), -0.4879297, 2e-3),
        (_atom("He", 2, 0), -2.1742508, 3e-2),
        (_atom("He", 0, 2), -2.1742508, 3e-2),
    ],
    ids=["H", "H down", "H2+", "He", "Li+", "Li", "Li down", "H-", "He triplet", "He triplet down"],
)
def test_every_spin_case_comes_close_to_the_complete_basis(system, exact_hartree_fock, tolerance):
    """Anions and excited spins too, although cc-pVDZ itself does not bind their last electron."""
    mean_field = hartree_fock(system)
    assert exact_hartree_fock - 1e-6 < float(mean_field.energy) < exact_hartree_fock + tolerance
    assert mean_field.up_coefficients.shape[1] == len(mean_field.up_energies) == system.n_up
    assert mean_field.down_coefficients.shape[1] == len(mean_field.down_energies) == system.n_down
    assert np.all(mean_field.populations >= 0)
    np.testing.assert_allclose(mean_field.populations.sum(axis=0), [system.n_up, system.n_down], atol=1e-12)


def test_populations_tell_the_atoms_apart():
    lih = hartree_fock(_diatomic("Li", "H", 3.015, 2, 2)).populations
    assert 2.5 < lih[0].sum() < 3.5 and 0.5 < lih[1].sum() < 1.5
    h2_plus = hartree_fock(_diatomic("H", "H", 2.0, 1, 0)).populations
    np.testing.assert_allclose(h2_plus, [[0.5, 0], [0.5, 0]], atol=1e-8)


def test_a_stretched_bond_breaks_into_two_atoms():
    """RHF of H2 at 8 bohr lies 0.24 hartree too high; the stable solution has one electron on each atom."""
    atom = float(hartree_fock(_atom("H", 1, 0)).energy)
    molecule = hartree_fock(_diatomic("H", "H", 8.0, 1, 1))
    assert float(molecule.energy) == pytest.approx(2 * atom, abs=1e-4)
    np.testing.assert_allclose(molecule.populations.sum(axis=1), [1, 1], atol=1e-3)
    assert abs(molecule.populations[0, 0] - molecule.populations[0, 1]) > 0.99


def test_a_broken_triple_bond_finds_two_high_spin_atoms():
    atom = float(hartree_fock(_atom("N", 5, 2)).energy)
    molecule = hartree_fock(_diatomic("N", "N", 5.0, 7, 7))
    assert float(molecule.energy) == pytest.approx(2 * atom, abs=5e-3)


def test_the_solution_is_reproducible_to_the_last_bit():
    system = _diatomic("H", "H", 8.0, 1, 1)
    first, second = hartree_fock(system), hartree_fock(system)
    for name in first.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_the_molecule_is_neither_moved_nor_turned():
    atoms = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 5.0]])
    mean_field = hartree_fock(_system(["Li", "H"], atoms, 2, 2))
    assert {tuple(centre) for centre in mean_field.function_centres} == {tuple(atom) for atom in atoms}
    assert {tuple(centre) for centre in mean_field.primitive_centres} == {tuple(atom) for atom in atoms}


def test_pyscf_threads_and_temporary_files_are_left_as_they_were(tmp_path, monkeypatch, capfd):
    from pyscf import lib

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lib.param, "TMPDIR", str(tmp_path))
    before = lib.num_threads()
    hartree_fock(_atom("Li", 2, 1))
    assert lib.num_threads() == before
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_second_order_steps_rescue_what_diis_does_not_reach(monkeypatch):
    from pyscf.scf import uhf

    system = _atom("O", 5, 3)
    expected = float(hartree_fock(system).energy)
    plain = uhf.UHF.kernel

    def two_cycles(self, *args, **kwargs):
        self.max_cycle = 2
        result = plain(self, *args, **kwargs)
        assert not self.converged
        self.max_cycle = 100
        return result

    monkeypatch.setattr(uhf.UHF, "kernel", two_cycles)
    assert float(hartree_fock(system).energy) == pytest.approx(expected, abs=1e-7)


def test_no_convergence_is_an_error_that_says_what_to_do(monkeypatch):
    from nnqmc.scf import solver

    monkeypatch.setattr(solver, "_second_order", lambda *args: None)
    message = r"\(2 up, 1 down electrons\) did not converge .*max_cycles=1 .*check the geometry.*raise max_cycles="
    with pytest.raises(SCFError, match=message):
        hartree_fock(_atom("Li", 2, 1), max_cycles=1)


@pytest.mark.parametrize("basis", ["cc-pcvdz", "dyall-v2z"])
def test_sets_that_pyscf_keeps_in_several_files_or_in_python_are_read(basis):
    """The limit of Hartree-Fock is -7.43273 hartree."""
    assert float(hartree_fock(_atom("Li", 2, 1), basis=basis).energy) == pytest.approx(-7.4326, abs=2e-4)


def test_an_element_outside_the_default_basis_gets_another_one(caplog):
    with caplog.at_level(logging.WARNING, logger="nnqmc"):
        mean_field = hartree_fock(_atom("K", 10, 9))
    assert float(mean_field.energy) == pytest.approx(-599.16, abs=0.2)
    assert "cc-pvdz has no K" in caplog.text and "def2-svp" in caplog.text


@pytest.mark.parametrize(
    ("system", "options", "message"),
    [
        (_atom("He", 1, 1), {"basis": "no-such-basis"}, "'no-such-basis' is not a basis set.*'cc-pvtz'"),
        (_atom("K", 10, 9), {"basis": "cc-pvtz"}, "'cc-pvtz' has no all-electron functions for K.*'def2-svp'"),
        (_atom("I", 27, 26), {"basis": "def2-svp"}, "no all-electron functions for I.*'ano'"),
        (_atom("He", 2, 0), {"basis": "sto-3g"}, "has 1 function for He .*larger basis="),
        (_atom("He", 1, 1), {"max_cycles": 0}, "max_cycles = 0: it has to be a whole number from 1"),
        (_atom("He", 1, 1), {"conv_tol": 0.0}, r"conv_tol = 0\.0: it has to be a number from 1e-14"),
    ],
    ids=["unknown", "missing element", "effective core", "too small", "max_cycles", "conv_tol"],
)
def test_unusable_input_is_refused_with_advice(system, options, message):
    with pytest.raises(InputError, match=message):
        hartree_fock(system, **options)


def test_charges_that_are_not_the_elements_are_refused():
    system = System(np.zeros((1, 3)), np.array([1.5]), 1, 0, ("H",))
    with pytest.raises(InputError, match=r"the charges \[1.5\] don't belong to the elements \['H'\]"):
        hartree_fock(system)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"core": (2,), "charges": np.array([4.0]), "n_up": 3, "n_down": 1},
      r"Hartree-Fock of C \(3 up, 1 down electrons\) has no pseudopotential for cores of \[2\] electrons: leave core"),
     ({"lattice": np.eye(3)}, "C has a lattice, and only molecules are allowed here")],
    ids=["core", "lattice"],
)
def test_a_core_or_a_lattice_is_refused(changes, message):
    carbon = System(np.zeros((1, 3)), np.array([6.0]), 4, 2, ("C",), "C")
    with pytest.raises(InputError, match=message):
        hartree_fock(replace(carbon, **changes))


def test_importing_does_not_import_pyscf():
    code = "import sys, nnqmc.scf; sys.exit('pyscf' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["e_tot", "mo_coeff", "mo_energy"])
def test_a_solution_that_is_not_finite_is_an_error(monkeypatch, name):
    solver = sys.modules["nnqmc.scf.solver"]
    solve = solver._stable_solution

    def broken(*args):
        found = solve(*args)
        setattr(found, name, np.nan * getattr(found, name))
        return found

    monkeypatch.setattr(solver, "_stable_solution", broken)
    with pytest.raises(SCFError, match=r"Hartree-Fock of He .*isn't finite.*check the geometry"):
        hartree_fock(_atom("He", 1, 1))


@pytest.mark.parametrize("error", [np.linalg.LinAlgError("singular"), ValueError("array must not contain infs or NaNs"),
                                   FloatingPointError("overflow")], ids=lambda error: type(error).__name__)
def test_what_breaks_down_inside_of_pyscf_is_an_error_in_words(monkeypatch, error):
    def broken(*args):
        raise error

    monkeypatch.setattr(sys.modules["nnqmc.scf.solver"], "_stable_solution", broken)
    with pytest.raises(SCFError, match=rf"broke down in linear algebra \({error}\)"):
        hartree_fock(_atom("He", 1, 1))
