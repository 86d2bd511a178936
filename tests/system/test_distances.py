"""Distances that come from another unit are pointed out, and those of stretched and dense molecules are not."""

import logging

import ase
import numpy as np
import pytest
from ase.collections import g2

from nnqmc.system import entries, from_dict, molecule, to_dict


@pytest.mark.parametrize(
    ("text", "unit", "said"),
    [
        ("H 0 0 0; H 0 0 0.074", "angstrom", "atoms 1 (H) and 2 (H) are 0.1398 bohr (0.074 angstrom) apart, closer"),
        ("H 0 0 0; H 0 0 740", "angstrom", "atom 1 (H) is 1398 bohr (740 angstrom) away from the nearest other one"),
        ("H 0 0 0; H 0 0 74", "angstrom", "atom 1 (H) is 139.8 bohr"),
        ("N 0 0 0; N 0 0 1.0977", "bohr", "atoms 1 (N) and 2 (N) are 1.098 bohr"),
        ("O 0 0 0; H 0.757 0.587 0; H -0.757 0.587 0", "bohr", "atoms 1 (O) and 2 (H)"),
        ("I 0 0 0; I 0 0 2.666", "bohr", "atoms 1 (I) and 2 (I) are 2.666 bohr"),
        ("Li 0 0 0; H 0 0 1.595; He 0 90 0", "angstrom", "atom 3 (He)"),
    ],
)
def test_implausible_distances_are_pointed_out_with_the_unit(text, unit, said, caplog):
    molecule(text, unit=unit)
    assert len(caplog.records) == 1
    assert said in caplog.text and "check the coordinates and their unit (unit='bohr' or 'angstrom'" in caplog.text


@pytest.mark.parametrize("text", ["H 0 0 0; H 0 0 0.8", "H 0 0 0; H 0 0 12", "He 0 0 0; He 0 0 20", "He 0 0 0",
                                  "Li 0 0 0; H 0 0 12", "N 0 0 0; N 0 0 1.8", "Cr 0 0 0; Cr 0 0 3.17",
                                  "U 0 0 0; U 0 0 4.6"])
def test_stretched_dense_and_multiple_bonds_are_not(text, caplog):
    molecule(text, unit="bohr")
    assert not caplog.records


def test_no_named_system_has_an_implausible_distance(caplog):
    for entry in entries():
        molecule(entry.name)
    assert not caplog.records


def test_no_molecule_of_the_g2_set_has_an_implausible_distance(caplog):
    """L. A. Curtiss et al., J. Chem. Phys. 106, 1063 (1997), doi:10.1063/1.473182, as ASE has it."""
    for name in g2.names:
        molecule(g2[name])
    assert "check the coordinates" not in caplog.text


def test_every_source_is_looked_at_and_what_was_looked_at_is_not_again(caplog):
    near = [("H", (0, 0, 0)), ("H", (0, 0, 0.2))]
    system = molecule(near, unit="bohr")
    molecule(ase.Atoms("H2", np.array([[0, 0, 0], [0, 0, 0.1]])))
    from_dict({"symbols": ["H", "H"], "atoms": [[0.0, 0, 0], [0, 0, 0.2]], "unit": "bohr"})
    assert len(caplog.records) == 3
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="nnqmc"):
        from_dict(to_dict(molecule(system)))
    assert not caplog.records
