"""One configuration from preset, file, flags and --set: complete, checked, written and read back unchanged."""

from __future__ import annotations

import copy
import inspect
import tomllib
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnqmc.config import (
    Layer,
    config_digest,
    config_from_text,
    config_to_text,
    parse_assignment,
    read_config,
    resolve,
    sections,
)
from nnqmc.errors import InputError
from nnqmc.samplers import Metropolis
from nnqmc.system import from_dict, molecule


def of(system: str = "LiH", **values: Any) -> dict:
    return resolve(molecule(system), [Layer("test", values)])


def test_the_signatures_are_the_schema() -> None:
    sampler = sections()["sampler"]
    assert list(sampler) == list(inspect.signature(Metropolis).parameters)
    assert sampler["width"].kind is float and sampler["width"].default == Metropolis().width


def test_a_configuration_is_complete() -> None:
    config = of()
    assert all(set(config[name]) == set(fields) for name, fields in sections().items())


def test_later_layers_win() -> None:
    layers = [Layer("file", {"train": {"steps": 10, "walkers": 20}, "seed": 1}),
              Layer("flags", {"train": {"steps": 30}})]
    config = resolve(molecule("LiH"), layers)
    assert (config["train"]["steps"], config["train"]["walkers"], config["seed"]) == (30, 20, 1)


def test_settings_of_another_optimizer_are_dropped() -> None:
    layers = [Layer("file", {"optimizer": {"name": "spring", "momentum": 0.5}}),
              Layer("flags", {"optimizer": {"name": "adam"}})]
    assert "momentum" not in resolve(molecule("LiH"), layers)["optimizer"]
    with pytest.raises(InputError, match=r"optimizer\.momentum"):
        resolve(molecule("LiH"), [*layers, Layer("--set", {"optimizer": {"momentum": 0.1}})])


def test_an_integer_is_fine_for_a_float_and_becomes_one() -> None:
    clip = of(train={"clip": 4})["train"]["clip"]
    assert clip == 4.0 and isinstance(clip, float)


def test_numbers_of_numpy_are_numbers() -> None:
    assert of(train={"walkers": np.int64(64)})["train"]["walkers"] == 64


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tran": {"clip": 4}}, r"'tran'.*did you mean 'train'"),
        ({"walkers": 64}, r"write train\.walkers"),
        ({"train": {"clipp": 4}}, r"did you mean 'train\.clip'\? Allowed: .*train\.walkers"),
        ({"train": 5}, r"train is a section"),
        ({"train": {"walkers": 0}}, r"train\.walkers = 0: it has to be a whole number from 2 to"),
        ({"train": {"walkers": -3}}, r"whole number from 2"),
        ({"train": {"walkers": 10**30}}, r"whole number from 2 to 1000000"),
        ({"train": {"steps": 1.5}}, r"whole number"),
        ({"train": {"steps": True}}, r"whole number"),
        ({"train": {"clip": "wide"}}, r"train\.clip = 'wide': it has to be a number"),
        ({"train": {"clip": float("nan")}}, r"has to be a number"),
        ({"wavefunction": {"cusp": 1}}, r"true or false"),
        ({"evaluate": {"target_error": 0.0}}, r"from 1e-09 or 'none'"),
        ({"optimizer": {"name": "sprig"}}, r"did you mean 'spring'"),
        ({"optimizer": {"name": 5}}, r"optimizer\.name = 5: it has to be text"),
        ({"preset": "quik"}, r"did you mean 'quick'"),
        ({"preset": []}, r"unknown preset"),
        ({"seed": -1}, r"seed = -1: it has to be a whole number from 0"),
        ({"seed": 2**40}, r"from 0 to 4294967295"),
        ({"max_time": 0}, r"max_time"),
    ],
)
def test_what_cant_be_is_refused_with_what_can(values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        of(**values)


@pytest.mark.parametrize("system", ["LiH", "H-", "C2H4"])
def test_the_file_gives_the_same_configuration_back(system: str) -> None:
    config = of(system, evaluate={"target_error": "none"}, optimizer={"delay": float("inf")}, max_time=10)
    values = config_from_text(config_to_text(config), "test")
    again = resolve(from_dict(values["system"]), [Layer("file", values)])
    assert again == config
    assert config_digest(again) == config_digest(config)


def test_a_setting_that_a_preset_switches_on_can_be_switched_off() -> None:
    assert of()["evaluate"]["target_error"] is not None
    assert of(evaluate={"target_error": "none"})["evaluate"]["target_error"] is None


@pytest.mark.parametrize("change", [{"steps": 7}, {"walkers": 64}, {"checkpoint_steps": 3},
                                    {"checkpoint_seconds": 1.0}])
def test_lengths_and_walkers_dont_change_the_digest(change: dict) -> None:
    assert config_digest(of(train=change)) == config_digest(of())
    assert config_digest(of(evaluate={"max_steps": 3})) == config_digest(of())


@pytest.mark.parametrize(
    "change",
    [{"train": {"clip": 3}}, {"seed": 1}, {"sampler": {"sweeps": 3}}, {"wavefunction": {"layers": 2}},
     {"scf": {"basis": "sto-3g"}}, {"optimizer": {"name": "adam"}}],
)
def test_what_a_checkpoint_depends_on_changes_the_digest(change: dict) -> None:
    assert config_digest(of(**change)) != config_digest(of())


def test_the_digest_follows_the_geometry_and_not_the_name() -> None:
    config = of()
    moved, renamed = copy.deepcopy(config), copy.deepcopy(config)
    moved["system"]["atoms"][1][2] += 1e-9
    renamed["system"]["name"] = "lithium hydride"
    assert config_digest(moved) != config_digest(config) == config_digest(renamed)


@pytest.mark.parametrize(
    ("text", "value"),
    [("train.clip=4", {"train": {"clip": 4}}), ("scf.basis=cc-pvtz", {"scf": {"basis": "cc-pvtz"}}),
     ("wavefunction.cusp=false", {"wavefunction": {"cusp": False}}),
     ("train.chunk_size=none", {"train": {"chunk_size": "none"}}),
     (" optimizer.damping = 1e-4 ", {"optimizer": {"damping": 1e-4}}), ("scf.basis=", {"scf": {"basis": ""}})],
)
def test_assignments(text: str, value: dict) -> None:
    assert parse_assignment(text) == value


@pytest.mark.parametrize("text", ["train.clip", "=4", ".clip=4", "a.b.c=1", "system.charge=1", "custom.x=1"])
def test_assignments_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match=r"--set"):
        parse_assignment(text)


def test_a_file_that_isnt_toml_or_isnt_there(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("train.steps 5")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    for name in ("bad.toml", "binary.toml", "missing.toml", "."):
        with pytest.raises(InputError):
            read_config(tmp_path / name)


LONG_KEYS = {
    "bare": ".".join("a" * 17) + " = 1",
    "header": f"[{'.'.join('a' * 17)}]",
    "quoted": " . ".join(["a", '"b.\\" c"', "'d'"] * 6) + " = 1",
    "in a table": f"a = {{b = 1, {'.'.join('c' * 17)} = 2}}",
    "after a text of several lines": 'a = {b = """\n\'"\\""""", ' + ".".join("c" * 17) + " = 2}",
}


@pytest.mark.parametrize("text", LONG_KEYS.values(), ids=LONG_KEYS)
def test_a_key_of_many_parts_is_refused_before_it_is_parsed(text: str) -> None:
    assert tomllib.loads(text)
    with pytest.raises(InputError, match="here isn't a TOML file: a key of more than 16 parts"):
        config_from_text(text, "here")


def test_a_key_of_ten_thousand_parts_takes_neither_memory_nor_time() -> None:
    tracemalloc.start()
    with pytest.raises(InputError, match="more than 16 parts"):
        config_from_text(".".join("a" * 10_000) + " = 1", "here")
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()
    assert parse_assignment(f"a.b={{{'.'.join('a' * 17)} = 1}}") == {"a": {"b": f"{{{'.'.join('a' * 17)} = 1}}"}}


@pytest.mark.parametrize("text", [
    ".".join("a" * 16) + " = 1", f"a = '{'.'.join('a' * 99)}'", f"a = 1 # {'.'.join('a' * 99)}",
    f'a = """\n{".".join("a" * 99)}"""', f"a = \'\'\'\n{'.'.join('a' * 99)}\'\'\'",
    f"a = [{', '.join(['0.5'] * 99)}]", "\n".join(["[a.b]", *(f"c{i}.d = 0.5" for i in range(99))]),
], ids=["sixteen", "text", "comment", "lines", "plain lines", "numbers", "table"])
def test_dots_elsewhere_than_in_keys_are_no_matter(text: str) -> None:
    assert config_from_text(text, "here") == tomllib.loads(text)
