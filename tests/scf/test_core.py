"""Basis sets for valence electrons are told from those for all electrons by what they can describe."""

import numpy as np
import pytest
from pyscf import gto

from nnqmc.errors import InputError
from nnqmc.scf import hartree_fock
from nnqmc.scf.core import check_cores
from nnqmc.system import molecule
from nnqmc.system.elements import SYMBOLS


def load(basis, symbol):
    """The functions of a basis set for an element, or None where PySCF has none or goes with them a pseudopotential."""
    try:
        functions = gto.basis.load(basis, symbol)
    except Exception:  # PySCF raises whatever the file's reader happens to
        return None
    try:
        return None if gto.basis.load_ecp(basis, symbol) else functions
    except Exception:
        return functions


def atom(symbol, functions):
    return gto.M(atom=f"{symbol} 0 0 0", basis={symbol: functions}, spin=None, verbose=0)


def outcomes(basis, symbols):
    """Whether each element that the basis set has is let through."""
    found = {}
    for symbol in symbols:
        if functions := load(basis, symbol):
            try:
                check_cores(atom(symbol, functions), basis)
                found[symbol] = True
            except InputError as error:
                assert f"basis {basis!r} is for the valence electrons of {symbol} only" in str(error)
                found[symbol] = False
    return found


ALL_ELECTRON = ("sto-3g", "3-21g", "6-31g", "6-311++g**", "cc-pvdz", "cc-pvqz", "aug-cc-pvdz", "cc-pcvtz", "def2-svp",
                "def2-qzvpp", "pc-1", "pcseg-0", "ano", "dzp", "cc-pvdz-dk")
VALENCE = ("ccecp-cc-pvdz", "ccecp-aug-cc-pv5z", "ccecp-he-cc-pvdz", "bfd-vdz", "bfd-v5z", "gth-dzvp", "gth-tzv2p",
           "gth-szv-molopt-sr")

@pytest.mark.parametrize("basis", ALL_ELECTRON)
def test_all_electron_sets_are_let_through_for_every_element(basis):
    found = outcomes(basis, SYMBOLS[:103])
    assert len(found) > 20 and all(found.values())


@pytest.mark.parametrize("basis", VALENCE)
def test_sets_for_valence_electrons_are_refused_for_every_element_but_those_without_a_core(basis):
    found = outcomes(basis, SYMBOLS[:103])
    assert len(found) > 5 and {symbol for symbol, good in found.items() if good} <= {"H", "He"}
    assert all(found[symbol] for symbol in ("H", "He") if symbol in found)


@pytest.mark.parametrize(("symbol", "basis"), [("Li", "ccecp-cc-pvdz"), ("C", "bfd-vdz"), ("C", "gth-dzvp"),
                                               ("Li", "gth-dzvp")])
def test_hartree_fock_refuses_a_set_that_has_no_core(symbol, basis):
    with pytest.raises(InputError, match=rf"'{basis}' is for the valence electrons of {symbol} only: .*'cc-pvdz'"):
        hartree_fock(molecule(symbol), basis=basis)


def test_one_element_without_core_functions_is_enough_to_refuse_a_molecule():
    mixed = gto.M(atom="Li 0 0 0; F 0 0 1.6", basis={"Li": "cc-pvdz", "F": "bfd-vdz"}, verbose=0)
    with pytest.raises(InputError, match="valence electrons of F only"):
        check_cores(mixed, "mixed")


def test_hydrogen_in_a_soft_set_has_nearly_its_energy():
    energy = float(hartree_fock(molecule("H"), basis="bfd-vdz").energy)
    assert energy == pytest.approx(-0.5, abs=0.005)


@pytest.mark.parametrize("number", [1, 6, 36])
def test_the_1s_orbital_is_measured_as_pyscf_measures_it(number):
    """Overlap and energy by PySCF's integrals, with exp(-Z r) itself in many Gaussians."""
    from nnqmc.scf.core import _lowest_shell

    symbol = SYMBOLS[number - 1]
    mol = atom(symbol, [shell for shell in load("6-31g" if number < 30 else "cc-pvdz", symbol) if shell[0] == 0])
    many = atom(symbol, [[0, [0.05 * number**2 * 2.6**k, 1.0]] for k in range(24)])

    def one_electron(a):
        metric = np.linalg.inv(np.linalg.cholesky(a.intor("int1e_ovlp")))
        values, vectors = np.linalg.eigh(metric @ (a.intor("int1e_kin") + a.intor("int1e_nuc")) @ metric.T)
        return values[0], metric.T @ vectors[:, 0]

    exact, orbital = one_electron(many)
    assert exact == pytest.approx(-(number**2) / 2, rel=1e-4)
    cross = gto.intor_cross("int1e_ovlp", mol, many) @ orbital
    overlap = cross @ np.linalg.solve(mol.intor("int1e_ovlp"), cross)
    assert _lowest_shell(mol, 0, float(number)) == pytest.approx((overlap, one_electron(mol)[0] / exact), rel=1e-3)
