"""The packaged benchmark systems and the search for a reference energy."""

import json
from importlib import resources

import numpy as np
import pytest

from nnqmc.errors import InputError
from nnqmc.system import entries, molecule, reference
from nnqmc.typing import System

RAW = json.loads((resources.files("nnqmc.system") / "data" / "references.json").read_text())["entries"]


@pytest.mark.parametrize("raw", RAW, ids=lambda raw: raw["name"])
def test_every_entry_builds_as_published_and_finds_its_own_reference(raw):
    system = molecule(raw["name"])
    assert system.name == raw["name"]
    assert (system.charge, system.spin) == (raw["charge"], raw["spin"])
    assert [[s, *xyz] for s, xyz in zip(system.symbols, system.atoms.tolist(), strict=True)] == raw["atoms"]
    found = reference(system)
    assert (found.name, found.energy, found.uncertainty) == (raw["name"], raw["energy"], raw["uncertainty"])
    assert (found.kind, found.source) == (raw["kind"], raw["source"])
    if "lowest_variational" in raw:
        lowest = found.lowest_variational
        assert raw["lowest_variational"] == {
            "energy": lowest.energy,
            "uncertainty": lowest.uncertainty,
            "source": lowest.source,
        }
    else:
        assert found.lowest_variational is None


def test_every_reference_says_where_it_is_from():
    assert all(entry.reference.source and entry.reference.kind in ("exact", "best-estimate") for entry in entries())


def test_every_alias_means_an_entry_and_every_unshared_one_finds_it():
    names = {entry.name for entry in entries()}
    aliases = json.loads((resources.files("nnqmc.system") / "data" / "aliases.json").read_text())
    assert set(aliases) <= names
    shared = {"hydrogen", "nitrogen", "oxygen", "fluorine"}
    for entry in entries():
        for alias in set(entry.aliases) - shared:
            assert molecule(alias).name == molecule(alias.upper()).name == entry.name


def test_no_two_entries_are_the_same_system():
    found = [reference(molecule(entry.name)).name for entry in entries()]
    assert len(set(found)) == len(found)


def test_c4h6_is_the_bicyclic_isomer_that_its_geometry_shows():
    """Every carbon of bicyclobutane has at least two carbon neighbours; the ends of butadiene have one."""
    system = molecule("bicyclobutane")
    carbons = system.atoms[[symbol == "C" for symbol in system.symbols]]
    distances = np.linalg.norm(carbons[:, None] - carbons[None], axis=-1)
    assert (((distances > 0.1) & (distances < 3.2)).sum(axis=1) >= 2).all()
    with pytest.raises(InputError, match="unknown name 'butadiene'"):
        molecule("butadiene")


def moved(system, matrix, shift, order):
    atoms = (system.atoms @ matrix.T + shift)[order]
    symbols = tuple(system.symbols[i] for i in order)
    return System(atoms, system.charges[order], system.n_up, system.n_down, symbols, "something else")


@pytest.mark.parametrize("name", ["Be", "LiH", "H2O", "NH3", "C2H5OH"])
def test_the_reference_survives_rotation_reflection_translation_and_reordering(name):
    rng = np.random.default_rng(3)
    system = molecule(name)
    matrix, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    for sign in (1.0, -1.0):
        twin = moved(system, sign * matrix, rng.normal(size=3), rng.permutation(system.n_atoms))
        assert reference(twin).name == name


def test_a_name_alone_finds_no_reference():
    stretched = molecule("Li 0 0 0; H 0 0 3.2", unit="bohr", name="LiH")
    assert reference(stretched) is None
    assert reference(molecule("Li 0 0 0; H 0 0 3.0155", unit="bohr")).name == "LiH"


def test_another_charge_or_spin_has_another_reference_or_none():
    assert reference(molecule("LiH", charge=1)) is None
    assert reference(molecule("LiH", spin=2)) is None
    assert reference(molecule("Li", charge=1)).name == "Li+"
    assert reference(molecule("C", spin=0)) is None


def test_equal_distances_between_other_elements_are_another_molecule():
    assert reference(molecule("C 0 0 0; O 0 0 2.173", unit="bohr")).name == "CO"
    assert reference(molecule("N 0 0 0; N 0 0 2.173", unit="bohr")) is None
    assert reference(molecule("C 0 0 0; O 0 0 2.19232901; O 0 0 4.38465802", unit="bohr")) is None
