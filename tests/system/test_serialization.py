"""A system as plain values: read back exactly, and hostile ones refused in words."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import numpy as np
import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from nnqmc.errors import InputError
from nnqmc.system import from_dict, molecule, to_dict
from nnqmc.system.elements import SYMBOLS
from nnqmc.typing import System

COORDINATE = st.floats(-9.0, 9.0, allow_nan=False)


def through_toml(plain: dict) -> dict:
    return tomllib.loads(tomli_w.dumps(plain))


def through_json(plain: dict) -> dict:
    return json.loads(json.dumps(plain))


def assert_same(first: System, second: System) -> None:
    """All fields are equal, the arrays to the last bit."""
    for name in ("n_up", "n_down", "symbols", "name", "core", "lattice"):
        assert getattr(first, name) == getattr(second, name)
    assert all(type(count) is int for count in (second.n_up, second.n_down))
    for name in ("atoms", "charges"):
        assert np.asarray(getattr(first, name), np.float64).tobytes() == getattr(second, name).tobytes()


@st.composite
def molecules(draw: st.DrawFn) -> dict:
    """Plain values of molecules of up to four atoms in a loose row, some of them charged or with cores."""
    symbols = draw(st.lists(st.sampled_from(SYMBOLS[:36]), min_size=1, max_size=4))
    rows = [[10.0 * i + draw(COORDINATE) / 3, draw(COORDINATE), draw(COORDINATE)] for i in range(len(symbols))]
    core = [draw(st.sampled_from((0, 2))) if symbol not in ("H", "He") else 0 for symbol in symbols]
    charge = draw(st.integers(0, 0 if "H" in symbols or "Li" in symbols else 1))
    parity = (sum(SYMBOLS.index(symbol) + 1 for symbol in symbols) - charge) % 2
    return {"symbols": symbols, "atoms": rows, "unit": "bohr", "core": core, "charge": charge, "spin": parity}


@settings(max_examples=40)
@given(molecules(), st.sampled_from([through_toml, through_json, dict]))
def test_the_round_trip_is_exact(written: dict, through: Any) -> None:
    system = from_dict(written)
    plain = to_dict(system)
    assert_same(system, from_dict(through(plain)))
    assert to_dict(from_dict(plain)) == plain


@pytest.mark.parametrize("system", [
    molecule("O 0.1 0 0; H 0.3 1.7 1e-5; H 1.2 -0.4 0", unit="angstrom", charge=1, spin=1), molecule("C2H4"),
    molecule("H 0 -0.0 5e-324", name="ångström \"quoted\""), molecule("C", core=[2]), molecule("H-"),
], ids=lambda system: system.name)
def test_systems_come_back_as_they_were(system: System) -> None:
    assert_same(system, from_dict(through_toml(to_dict(system))))
    assert_same(system, from_dict(through_json(to_dict(system))))


def test_what_is_written_is_plain_and_has_a_core_only_where_there_is_one() -> None:
    assert to_dict(molecule("LiH")) == {"name": "LiH", "charge": 0, "spin": 0, "unit": "bohr", "symbols": ["Li", "H"],
                                        "atoms": [[0.0, 0.0, 0.0], [0.0, 0.0, 3.015]]}
    assert to_dict(molecule("LiH", core=[2, 0]))["core"] == [2, 0]


def test_a_nameless_system_of_float32_is_written_with_its_formula() -> None:
    plain = to_dict(System(np.ones((1, 3), np.float32), np.ones(1, np.float32), 1, 0, ("H",)))
    assert (plain["name"], plain["atoms"]) == ("H", [[1.0, 1.0, 1.0]])


def test_a_person_may_write_any_source_unit_and_case() -> None:
    assert_same(from_dict({"source": "water"}), molecule("water"))
    assert_same(from_dict({"source": "He 0 0 0; H 0 0 1.4", "unit": "bohr", "charge": 1}),
                molecule("He 0 0 0; H 0 0 1.4", unit="bohr", charge=1))
    assert_same(from_dict({"symbols": ["he", "H"], "atoms": [[0, 0, 0], [0, 0, 1]], "unit": "angstrom", "charge": 1}),
                molecule("He 0 0 0; H 0 0 1", unit="angstrom", charge=1))
    assert_same(from_dict({"source": "C", "core": [2], "name": "carbon"}), molecule("C", core=[2], name="carbon"))
    assert_same(from_dict({"symbols": ("He",), "atoms": ((0, 0, 0),)}), molecule("He 0 0 0"))


@pytest.mark.parametrize(
    ("plain", "options", "expected"),
    [
        ({"source": "O2"}, {}, (0, 2, "O2")),
        ({"source": "O2"}, {"charge": 0}, (0, 2, "O2")),
        ({"source": "O2", "charge": 1, "spin": 3}, {}, (1, 3, "O2+")),
        ({"source": "O2", "charge": 1, "spin": 3}, {"charge": 1}, (1, 3, "O2+")),
        ({"source": "O2", "charge": 1, "spin": 3, "name": "mine"}, {"charge": 2}, (2, 0, "O2^2+")),
        ({"source": "O2", "name": "mine"}, {"spin": 0}, (0, 0, "mine")),
        ({"source": "Li+", "name": "mine"}, {"charge": 0}, (0, 1, "Li")),
        ({"symbols": ["O"], "atoms": [[0, 0, 0]], "spin": 0}, {"charge": 0}, (0, 0, "O")),
        ({"symbols": ["O"], "atoms": [[0, 0, 0]], "spin": 0}, {"charge": 1}, (1, 3, "O+")),
        ({"source": "Au"}, {"spin": 1}, (0, 1, "Au")),
        (to_dict(molecule("LiH")), {"charge": 1}, (1, 1, "LiH+")),
        (to_dict(molecule("LiH")), {"charge": 1, "spin": 3}, (1, 3, "LiH+")),
    ],
)
def test_charge_and_spin_from_elsewhere_count_before_those_written(plain, options, expected) -> None:
    system = from_dict(plain, **options)
    assert (system.charge, system.spin, system.name) == expected


HYDROGEN = {"symbols": ["H"], "atoms": [[0, 0, 0]]}
PAIR = {"symbols": ["H", "H"], "atoms": [[0, 0, 0], [0, 0, 1.4]], "unit": "bohr"}


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        (5, r"system = 5: it is a section"),
        ("LiH", r"system = 'LiH': it is a section; write system\.source = 'LiH'"),
        ([], r"system = \[\]: it is a section"),
        ({}, r"needs source"),
        ({"charge": 0}, r"needs source"),
        ({"symbols": ["H"]}, r"needs source"),
        ({"atoms": [[0, 0, 0]]}, r"needs source"),
        ({"source": "H", "symbols": ["He"]}, r"needs source"),
        ({"source": "H"} | HYDROGEN, r"needs source"),
        ({"sorce": "LiH"}, r"unknown setting 'system\.sorce': did you mean 'system\.source'\? Allowed: source, name"),
        ({"source": "LiH", 5: 1}, r"unknown setting 'system\.5'"),
        ({"source": "LiH", "lattice": [[1, 0, 0]]}, r"unknown setting 'system\.lattice'"),
        ({"source": 5}, r"system\.source = 5: it has to be text"),
        ({"source": "LiHH"}, r"unknown name 'LiHH'"),
        ({"source": "LiH", "name": ["LiH"]}, r"system\.name = \['LiH'\]: it has to be text"),
        ({"source": "LiH", "name": ""}, r"name='' is not a name"),
        ({"source": "LiH", "name": "a\nb"}, r"is not a name"),
        ({"source": "LiH", "unit": 1}, r"system\.unit = 1: it has to be text"),
        (PAIR | {"unit": "nm"}, r"unknown unit 'nm'"),
        ({**PAIR, "unit": "none"}, r"unknown unit 'none'"),
        ({"symbols": PAIR["symbols"], "atoms": PAIR["atoms"]}, r"the unit of these 2 atoms is not known"),
        ({"source": "LiH", "charge": 1.5}, r"system\.charge=1\.5 is not a whole number"),
        ({"source": "LiH", "charge": "1"}, r"system\.charge='1' is not a whole number"),
        ({"source": "LiH", "charge": 10**5000}, r"system\.charge is beyond any molecule"),
        ({"source": "LiH", "charge": None}, r"system\.charge=None is not a whole number"),
        ({"source": "LiH", "spin": True}, r"system\.spin=True is not a whole number"),
        ({"source": "LiH", "spin": 1}, r"spin=1 is impossible for 4 electrons"),
        (HYDROGEN | {"symbols": "H"}, r"system\.symbols = 'H': it has to be a list"),
        (HYDROGEN | {"symbols": {"H": 1}}, r"system\.symbols = \{'H': 1\}: it has to be a list"),
        (HYDROGEN | {"symbols": ["H", "H"]}, r"system\.symbols has the length 2 and system\.atoms 1"),
        (HYDROGEN | {"symbols": [1]}, r"system\.symbols holds 1: give element symbols"),
        (HYDROGEN | {"symbols": [["H"]]}, r"system\.symbols holds \['H'\]"),
        (HYDROGEN | {"symbols": ["Hx"]}, r"unknown element 'Hx'"),
        (HYDROGEN | {"symbols": ["H 0 0 0\nHe"]}, r"unknown element"),
        (HYDROGEN | {"atoms": 5}, r"system\.atoms = 5: it has to be a list"),
        (HYDROGEN | {"atoms": [5]}, r"system\.atoms: atom 1 is 5, and three numbers"),
        (HYDROGEN | {"atoms": [[0, 0]]}, r"system\.atoms: atom 1 is \[0, 0\], and three numbers"),
        (HYDROGEN | {"atoms": [[0, 0, 0, 0]]}, r"atom 1 is \[0, 0, 0, 0\]"),
        (HYDROGEN | {"atoms": [[0, 0, "x"]]}, r"atom 1 is \[0, 0, 'x'\]"),
        (HYDROGEN | {"atoms": [[0, 0, True]]}, r"atom 1 is \[0, 0, True\]"),
        (HYDROGEN | {"atoms": [[0, 0, [0]]]}, r"atom 1 is \[0, 0, \[0\]\]"),
        (HYDROGEN | {"atoms": [[0, 0, 10**400]]}, r"atom 1 is .*three numbers"),
        (HYDROGEN | {"atoms": [[0, 0, 10**5000]]}, r"atom 1 is a huge number"),
        (HYDROGEN | {"atoms": [[0, 0, float("nan")]]}, r"atom 1 \(H\) has a coordinate that is not finite"),
        (HYDROGEN | {"atoms": [[0, 0, float("-inf")]]}, r"not finite"),
        (HYDROGEN | {"atoms": [[0, 0, 1e300]], "unit": "angstrom"}, r"coordinates up to 10000 bohr are allowed"),
        (PAIR | {"atoms": [[0, 0, 0], [0, 0, 0.01]]}, r"atoms 1 \(H\) and 2 \(H\) are 0\.0100 bohr apart"),
        ({"symbols": [], "atoms": []}, r"0 atoms given"),
        ({"symbols": ["H"] * 1001, "atoms": [[i, 0, 0] for i in range(1001)], "unit": "bohr"}, r"1001 atoms given"),
        ({"source": "C", "core": 2}, r"system\.core = 2: it has to be a list"),
        ({"source": "C", "core": [2, 2]}, r"core has 2 numbers for 1 atom;"),
        ({"source": "C", "core": [1]}, r"a core of 1 electron doesn't fill"),
        ({"source": "C", "core": [[2]]}, r"is not a whole number"),
    ],
)
def test_plain_values_that_are_no_molecule_are_refused_in_words(plain: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        from_dict(plain)
    assert len(str(refused.value)) < 500


KEYS = ("source", "name", "unit", "charge", "spin", "symbols", "atoms", "core")
LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["H", "bohr"])
ANYTHING = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(LEAF, inner, max_size=2),
                        max_leaves=6)


@settings(max_examples=150)
@given(st.dictionaries(st.sampled_from(KEYS), ANYTHING))
def test_whatever_is_read_makes_a_molecule_or_an_error_in_words(plain: dict) -> None:
    try:
        system = from_dict(plain)
    except InputError:
        return
    assert_same(system, from_dict(to_dict(system)))
