"""The table of presets is data: complete, ordered, and made of settings that exist."""

from __future__ import annotations

import math
from typing import Any

import pytest

from nnqmc.config import Layer, resolve
from nnqmc.errors import InputError
from nnqmc.presets import DEFAULT, PRESETS, preset_settings
from nnqmc.system import molecule
from nnqmc.wavefunctions import FermiNet


def chosen(name: str, system: str) -> dict[str, Any]:
    return resolve(molecule(system), [Layer("test", {"preset": name})])


@pytest.mark.parametrize("name", PRESETS)
def test_rows_grow_and_cover_every_number_of_electrons(name: str) -> None:
    limits = list(PRESETS[name].rows)
    assert limits == sorted(set(limits)) and limits[-1] == math.inf


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("system", ["H", "LiH", "Ne", "C6H6"])
def test_every_choice_of_a_preset_is_in_the_configuration(name: str, system: str) -> None:
    config = chosen(name, system)
    for section, values in preset_settings(name, molecule(system).n_electrons).items():
        meaning = FermiNet.sizes[values.pop("size")] if "size" in values else {}
        assert config[section].items() >= {**meaning, **values}.items()


def test_a_preset_asks_for_a_size_of_the_wavefunction_and_for_nothing_else_of_it() -> None:
    for preset in PRESETS.values():
        for row in preset.rows.values():
            names = {name for name in {**preset.settings, **row} if name.startswith("wavefunction.")}
            assert names == {"wavefunction.size"}


def test_the_row_follows_the_number_of_electrons() -> None:
    few, many = preset_settings(DEFAULT, 2), preset_settings(DEFAULT, 30)
    assert few["train"]["steps"] < many["train"]["steps"]
    assert preset_settings(DEFAULT, 4) == few


def test_quick_is_quicker_and_accurate_is_longer() -> None:
    steps = [preset_settings(name, 4)["train"]["steps"] for name in ("quick", "standard", "accurate")]
    assert steps == sorted(steps) and len(set(steps)) == 3


def test_the_published_network_is_there() -> None:
    network = chosen("ferminet", "Ne")["wavefunction"]
    assert network.items() >= {"layers": 4, "hidden_one": 256, "hidden_two": 32, "n_determinants": 16}.items()


def test_an_unknown_preset_names_those_there_are() -> None:
    with pytest.raises(InputError, match=r"quick, standard, accurate, ladder, ferminet"):
        preset_settings("fast", 4)
