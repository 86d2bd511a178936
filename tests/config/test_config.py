"""One configuration from preset, file, flags and --set: complete, checked, written and read back unchanged."""

from __future__ import annotations

import copy
import inspect
import tomllib
import tracemalloc
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import numpy as np
import pytest

from nnqmc import catalog
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
from nnqmc.job.build import build
from nnqmc.presets import PRESETS
from nnqmc.ranges import Between
from nnqmc.samplers import Metropolis
from nnqmc.system import from_dict, molecule
from nnqmc.version import VERSION
from nnqmc.wavefunctions import FermiNet


def of(system: str = "LiH", **values: Any) -> dict:
    return resolve(molecule(system), [Layer("test", values)])


def test_the_signatures_are_the_schema() -> None:
    sampler = sections()["sampler"]
    assert list(sampler) == ["name", *inspect.signature(Metropolis).parameters]
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


def test_a_method_prescribes_an_optimizer_unless_one_is_named() -> None:
    method = Layer("flags", {"method": {"name": "wasserstein"}})
    usual = resolve(molecule("LiH"), [method])
    assert (usual["optimizer"]["name"], usual["optimizer"]["norm_constraint"]) == ("kfac", 1e-2)
    changed, named = Layer("--set", {"optimizer": {"decay": 0.5}}), Layer("flags", {"optimizer": {"name": "spring"}})
    assert resolve(molecule("LiH"), [method, changed])["optimizer"] == {**usual["optimizer"], "decay": 0.5}
    assert resolve(molecule("LiH"), [method, named])["optimizer"] == resolve(molecule("LiH"), [])["optimizer"]


@dataclass(frozen=True)
class Plain:
    """A wavefunction without sizes."""

    width: Annotated[int, Between(1, 9)] = 5


@dataclass(frozen=True)
class Sized:
    """A wavefunction with a size of its own and one that it shares with others."""

    depth: int = 1
    twist: float = 0.5
    sizes = MappingProxyType({"small": {"depth": 2}, "giant": {"depth": 99}})


@pytest.fixture
def newcomers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two more wavefunctions and an observable in the catalogue."""
    more = {"plain": lambda: Plain, "sized": lambda: Sized}
    kinds = dict(catalog.KINDS)
    kinds["wavefunction"] = kinds["wavefunction"]._replace(makers={**kinds["wavefunction"].makers, **more})
    kinds["observable"] = kinds["observable"]._replace(makers={"spread": lambda: Plain})
    monkeypatch.setattr(catalog, "KINDS", kinds)


def network(*layers: dict) -> dict:
    """Return the wavefunction's section after layers that only speak of it."""
    return resolve(molecule("LiH"), [Layer("test", {"wavefunction": layer}) for layer in layers])["wavefunction"]


def test_every_wavefunction_says_what_a_size_means(newcomers: None) -> None:
    assert network({"name": "sized"}) == {"name": "sized", "depth": 2, "twist": 0.5}, "the preset's size, small"
    assert network({"name": "sized", "size": "giant"})["depth"] == 99
    assert network({"name": "plain"}) == {"name": "plain", "width": 5}, "no sizes: the defaults"


def test_of_sizes_and_settings_the_later_layer_wins_and_within_a_layer_the_setting() -> None:
    large = FermiNet.sizes["large"]
    assert network({"size": "large"}).items() >= large.items()
    assert network({"layers": 7}, {"size": "large"})["layers"] == large["layers"]
    assert network({"size": "large"}, {"layers": 7})["layers"] == network({"size": "large", "layers": 7})["layers"] == 7
    assert network({"cusp": False}, {"size": "large"})["cusp"] is False, "a size doesn't speak of it"


def test_settings_of_another_wavefunction_are_dropped_and_its_size_stays(newcomers: None) -> None:
    assert network({"layers": 7, "size": "large"}, {"name": "plain"}) == {"name": "plain", "width": 5}
    assert network({"name": "sized", "twist": 0.1}, {"name": "plain"}, {"name": "sized"})["twist"] == 0.5
    with pytest.raises(InputError, match=r"wavefunction\.size = 'large': it has to be 'small' or 'giant'"):
        network({"size": "large"}, {"name": "sized"})
    with pytest.raises(InputError, match=r"unknown setting 'wavefunction\.size'"):
        network({"name": "plain", "size": "small"})
    with pytest.raises(InputError, match=r"wavefunction\.width = 10: it has to be a whole number from 1 to 9"):
        network({"name": "plain", "width": 10})


@pytest.mark.parametrize("preset", PRESETS)
def test_a_resolved_configuration_resolves_to_itself(preset: str) -> None:
    config = of(preset=preset, wavefunction={"size": "medium", "layers": 2})
    assert resolve(molecule("LiH"), [Layer("file", config)]) == config


def test_observables_are_named_with_commas(newcomers: None) -> None:
    assert of(evaluate={"observe": " spread, "})["evaluate"]["observe"] == " spread, "
    with pytest.raises(InputError, match=r"unknown observable 'spred': did you mean 'spread'"):
        of(evaluate={"observe": "spread,spred"})
    assert catalog.observed(" spread, spread,") == {"spread": {}}


def test_observables_have_settings_on_the_command_line() -> None:
    asked = "dipole, forces_space_warp:every=8 : epsilon = 0.01"
    assert catalog.observed(asked) == {"dipole": {}, "forces_space_warp": {"every": 8, "epsilon": 0.01}}
    assert build(of(evaluate={"observe": asked})).observables["forces_space_warp"].every == 8
    for wrong, words in (("dipole:evry=2", "unknown setting of dipole 'evry': did you mean 'every'"),
                         ("dipole:every=0", "dipole:every = 0: it has to be a whole number from 1"),
                         ("radii:every=two", "radii:every = 'two': it has to be a whole number"),
                         ("density:every", "density:every = '': it has to be a whole number")):
        with pytest.raises(InputError, match=words):
            of(evaluate={"observe": wrong})


def test_an_integer_is_fine_for_a_float_and_becomes_one() -> None:
    clip = of(objective={"clip": 4})["objective"]["clip"]
    assert clip == 4.0 and isinstance(clip, float)


def test_numbers_of_numpy_are_numbers() -> None:
    assert of(train={"walkers": np.int64(64)})["train"]["walkers"] == 64


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tran": {"steps": 4}}, r"'tran'.*did you mean 'train'"),
        ({"walkers": 64}, r"write train\.walkers"),
        ({"train": {"stepps": 4}}, r"did you mean 'train\.steps'\? Allowed: .*train\.walkers"),
        ({"train": 5}, r"train is a section"),
        ({"train": {"walkers": 0}}, r"train\.walkers = 0: it has to be a whole number from 2 to"),
        ({"train": {"walkers": -3}}, r"whole number from 2"),
        ({"train": {"walkers": 10**30}}, r"whole number from 2 to 1000000"),
        ({"train": {"steps": 1.5}}, r"whole number"),
        ({"train": {"steps": True}}, r"whole number"),
        ({"objective": {"clip": "wide"}}, r"objective\.clip = 'wide': it has to be a number"),
        ({"objective": {"clip": -(10**400)}}, r"it has to be a number from 0\.001"),
        ({"wavefunction": {"size": "huge"}}, r"wavefunction\.size = 'huge': it has to be 'small' or 'medium'"),
        ({"wavefunction": {"size": ["small"]}}, r"wavefunction\.size = \['small'\]: it has to be 'small'"),
        ({"wavefunction": {"siez": "small"}}, r"did you mean 'wavefunction\.size'"),
        ({"wavefunction": {"name": "fermnet"}}, r"unknown wavefunction 'fermnet': did you mean 'ferminet'"),
        ({"sampler": {"size": "small"}}, r"unknown setting 'sampler\.size'"),
        ({"evaluate": {"observe": "dipol"}}, r"unknown observable 'dipol'"),
        ({"objective": {"clip": float("nan")}}, r"has to be a number"),
        ({"wavefunction": {"cusp": 1}}, r"true or false"),
        ({"evaluate": {"target_error": 0.0}}, r"from 1e-09 or 'none'"),
        ({"optimizer": {"name": "sprig"}}, r"did you mean 'spring'"),
        ({"optimizer": {"name": 5}}, r"optimizer\.name = 5: it has to be text"),
        ({"preset": "quik"}, r"did you mean 'quick'"),
        ({"preset": []}, r"preset = \[\]: it has to be text"),
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
    [{"objective": {"clip": 3}}, {"method": {"average_window": 9}},
     {"seed": 1}, {"sampler": {"sweeps": 3}}, {"wavefunction": {"layers": 2}},
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
    [("train.steps=4", {"train": {"steps": 4}}), ("scf.basis=cc-pvtz", {"scf": {"basis": "cc-pvtz"}}),
     ("wavefunction.cusp=false", {"wavefunction": {"cusp": False}}),
     ("train.chunk_size=none", {"train": {"chunk_size": "none"}}),
     (" optimizer.damping = 1e-4 ", {"optimizer": {"damping": 1e-4}}), ("scf.basis=", {"scf": {"basis": ""}})],
)
def test_assignments(text: str, value: dict) -> None:
    assert parse_assignment(text) == value


@pytest.mark.parametrize("text", ["train.steps", "=4", ".clip=4", "a.b.c=1", "system.charge=1", "custom.x=1"])
def test_assignments_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match=r"--set"):
        parse_assignment(text)


@pytest.mark.parametrize(("line", "is_refused"), [
    ('nnqmc = "0.1.0"', True), ("nnqmc = 7", True), ("nnqmc = []", True), ("", False),
    (f'nnqmc = "{VERSION}"', False)])
def test_the_file_of_another_version_is_refused_in_a_sentence(tmp_path: Path, line: str, is_refused: bool) -> None:
    (tmp_path / "old.toml").write_text(f"{line}\n[train]\nclip = 5.0\n")
    if not is_refused:
        assert read_config(tmp_path / "old.toml")["train"] == {"clip": 5.0}
        return
    with pytest.raises(InputError, match=rf"old\.toml was written by nnqmc .*, and this is {VERSION}, which has other"):
        read_config(tmp_path / "old.toml")


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


def test_an_accuracy_is_aimed_at_by_training_and_evaluation() -> None:
    aimed = of(train={"accuracy": 1.6e-3})
    assert (aimed["train"]["accuracy"], aimed["evaluate"]["target_error"]) == (1.6e-3, 4e-4)
    assert aimed["train"]["steps"] == of()["train"]["steps"] and of()["train"]["accuracy"] is None
    own = of(train={"accuracy": 1.6e-3, "steps": 7}, evaluate={"target_error": 1e-4})
    assert (own["evaluate"]["target_error"], own["train"]["steps"], own["train"]["accuracy"]) == (1e-4, 7, 1.6e-3)
    assert resolve(molecule("LiH"), [Layer("file", own)]) == own
    with pytest.raises(InputError, match=r"accuracy = -1\.0"):
        of(train={"accuracy": -1.0})
