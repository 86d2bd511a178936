"""The table of presets is data: complete, ordered, and made of settings that exist."""

from __future__ import annotations

import math

import pytest

from nnqmc.config import resolve
from nnqmc.errors import InputError
from nnqmc.presets import DEFAULT, PRESETS, preset_settings
from nnqmc.system import molecule


@pytest.mark.parametrize("name", PRESETS)
def test_rows_grow_and_cover_every_number_of_electrons(name: str) -> None:
    limits = [row.up_to for row in PRESETS[name].rows]
    assert limits == sorted(set(limits)) and limits[-1] == math.inf


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("system", ["H", "LiH", "Ne", "C6H6"])
def test_every_choice_is_a_setting_of_the_right_type_and_range(name: str, system: str) -> None:
    config = resolve(molecule(system))
    chosen = resolve(molecule(system), [_named(name)])
    assert chosen.keys() == config.keys()


def _named(name: str) -> tuple:
    from nnqmc.config import Layer

    return Layer("test", {"preset": name})


def test_the_row_follows_the_number_of_electrons() -> None:
    few, many = preset_settings(DEFAULT, 2), preset_settings(DEFAULT, 30)
    assert few["train"]["steps"] < many["train"]["steps"]
    assert preset_settings(DEFAULT, 4) == few


def test_quick_is_quicker_and_accurate_is_longer() -> None:
    steps = [preset_settings(name, 4)["train"]["steps"] for name in ("quick", "standard", "accurate")]
    assert steps == sorted(steps) and len(set(steps)) == 3


def test_the_published_network_is_there() -> None:
    network = preset_settings("ferminet", 10)["wavefunction"]
    assert network == {"layers": 4, "hidden_one": 256, "hidden_two": 32, "n_determinants": 16}


def test_an_unknown_preset_names_those_there_are() -> None:
    with pytest.raises(InputError, match=r"quick, standard, accurate, ferminet"):
        preset_settings("fast", 4)
