"""From a preset and layers of settings to one configuration in which everything is written out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from nnqmc import presets
from nnqmc.config.schema import Field, check, check_section, sections, unknown
from nnqmc.config.toml import parse_toml
from nnqmc.errors import InputError
from nnqmc.system import to_dict
from nnqmc.typing import System
from nnqmc.version import VERSION

Config = dict[str, Any]
"""{section: {key: value}} with the further names seed, preset, max_time, custom and nnqmc (the version)."""

_TOP = ("seed", "preset", "max_time")
_NOT_SETTINGS = ("system", "custom", "nnqmc")
_MAY_CHANGE = ("walkers", "steps", "checkpoint_steps", "checkpoint_seconds")
_TEXT = Field(str, False, "")
_ORDER = ("wavefunction", "scf", "pretrain", "sampler", "optimizer", "train", "evaluate")


class Layer(NamedTuple):
    """Settings from one place, {section: {key: value}}, and what to call that place in a message."""

    origin: str
    values: Mapping[str, Any]


def resolve(system: System, layers: Iterable[Layer] = (), custom: Mapping[str, str] | None = None) -> Config:
    """The complete configuration: the preset for this number of electrons, overridden by each layer in turn.

    Args:
        system: the molecule.
        layers: later ones win. A layer that changes optimizer.name drops the settings of the optimizer before it.
        custom: parts that are Python objects, by name, with a description; kept so that a file says what it lacks.

    Raises:
        InputError: an unknown section, setting, preset or optimizer (the nearest name is suggested), a value of the
            wrong type or out of range.
    """
    layers = list(layers)
    for layer in layers:
        _check_sections(layer)
    top = {name: value for layer in layers for name, value in layer.values.items() if name in _TOP}
    preset = top.get("preset", presets.DEFAULT)
    if preset not in tuple(presets.PRESETS):
        raise unknown("preset", str(preset), presets.PRESETS)
    merged = _merge([Layer(f"preset {preset}", presets.preset_settings(preset, system.n_electrons)), *layers])
    fields = sections(merged["optimizer"]["name"])
    return {
        "nnqmc": VERSION,
        "preset": preset,
        "seed": check("seed", Field(int, False, 0), top.get("seed", 0)),
        "max_time": check("max_time", Field(float, True, None), top.get("max_time")),
        "system": to_dict(system),
        **({"custom": dict(custom)} if custom else {}),
        **{section: {key: merged[section].get(key, field.default) for key, field in fields[section].items()}
           for section in _ORDER},
    }


def _merge(layers: Iterable[Layer]) -> dict[str, dict[str, Any]]:
    """Layer over layer, each checked against the optimizer it names or finds."""
    merged: dict[str, dict[str, Any]] = {section: {} for section in _ORDER} | {"optimizer": {"name": "spring"}}
    for origin, values in layers:
        chosen = check("optimizer.name", _TEXT, values.get("optimizer", {}).get("name", merged["optimizer"]["name"]))
        fields = sections(chosen)
        if chosen != merged["optimizer"]["name"]:
            merged["optimizer"] = {"name": chosen}
        for section, settings in values.items():
            if section in _ORDER:
                merged[section] |= check_section(section, settings, fields[section], origin)
    return merged


def _check_sections(layer: Layer) -> None:
    for name, value in layer.values.items():
        if name not in _ORDER and name not in _TOP and name not in _NOT_SETTINGS:
            nested = [f"{section}.{key}" for section, fields in sections().items() for key in fields if key == name]
            hint = f" Settings have a section: write {' or '.join(nested)}." if nested else ""
            raise InputError(f"{unknown('section or setting', name, (*_ORDER, *_TOP), layer.origin)}.{hint}")
        if name in _ORDER and not isinstance(value, Mapping):
            raise InputError(f"{name} = {value!r:.60} ({layer.origin}): {name} is a section; write {name}.KEY = VALUE")


def parse_assignment(text: str) -> dict[str, Any]:
    """'train.clip=4' as {'train': {'clip': 4}}; the value is TOML if it can be read as such, else text.

    Raises:
        InputError: it isn't of the form SECTION.KEY=VALUE.
    """
    name, equals, raw = text.partition("=")
    parts = [part.strip() for part in name.split(".")]
    if not equals or not all(parts) or len(parts) > 2:
        raise InputError(f"--set {text!r:.80}: it has to be SECTION.KEY=VALUE, such as train.clip=4")
    if parts[0] in _NOT_SETTINGS:
        raise InputError(f"--set {text!r:.80}: the system is set by SYSTEM, --charge, --spin and --unit")
    try:
        value = parse_toml(f"value = {raw.strip()}")["value"]
    except (ValueError, RecursionError):
        value = raw.strip()
    return {parts[0]: value} if len(parts) == 1 else {parts[0]: {parts[1]: value}}


def config_digest(config: Config) -> str:
    """SHA-256 of everything that a checkpoint depends on: all but lengths, names, the number of walkers,
    which may change between checkpoints, and how it is evaluated.
    """
    content = {section: dict(config[section]) for section in _ORDER if section != "evaluate"}
    content["train"] = {key: value for key, value in content["train"].items() if key not in _MAY_CHANGE}
    content["system"] = {key: value for key, value in config["system"].items() if key != "name"}
    content |= {"seed": config["seed"], "custom": config.get("custom", {})}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
