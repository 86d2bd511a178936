"""From a preset and layers of settings to one configuration in which everything is written out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from nnqmc import catalog, presets
from nnqmc.config.schema import SECTIONS, check, check_section, section, sections
from nnqmc.errors import InputError, unknown
from nnqmc.io.toml import parse_toml
from nnqmc.ranges import Between, Setting
from nnqmc.system import to_dict
from nnqmc.typing import System
from nnqmc.version import VERSION

Config = dict[str, Any]
"""{section: {key: value}} with the further names seed, preset, max_time, custom and nnqmc (the version)."""

TOP = MappingProxyType({
    "preset": Setting(str, default=presets.DEFAULT),
    "seed": Setting(int, default=0, limits=Between(0, 2**32 - 1)),
    "max_time": Setting(float, True, limits=Between(0.001)),
})
"""The settings that belong to no section."""

_NOT_SETTINGS = ("system", "custom", "nnqmc")
_MAY_CHANGE = ("walkers", "steps", "accuracy", "checkpoint_steps", "checkpoint_seconds")


class Layer(NamedTuple):
    """Settings from one place, {section: {key: value}}, and what to call that place in a message."""

    origin: str
    values: Mapping[str, Any]


def resolve(system: System, layers: Iterable[Layer] = (), custom: Mapping[str, str] | None = None) -> Config:
    """Return the complete configuration: the preset for this number of electrons, overridden by each layer in turn.

    Args:
        system: the molecule.
        layers: later ones win. A layer that names another part (wavefunction.name, for example) drops the settings of
            the part before it, and one with a size overrides what the size stands for. The size itself isn't kept.
        custom: parts that are Python objects, by name, with a description; kept so that a file says what it lacks.

    Raises:
        InputError: an unknown section, setting, preset, size or part (the nearest name is suggested), a value of the
            wrong type or out of range.
    """
    layers = list(layers)
    for layer in layers:
        check_sections(layer)
    given = {name: value for layer in layers for name, value in layer.values.items() if value is not None}
    top = {name: check(name, setting, given.get(name, setting.default)) for name, setting in TOP.items()}
    preset = Layer(f"preset {top['preset']}", presets.preset_settings(top["preset"], system.n_electrons))
    config = {"nnqmc": VERSION, **top, "system": to_dict(system), **({"custom": dict(custom)} if custom else {})}
    method = _complete("method", layers)["name"]
    is_chosen = any("name" in layer.values.get("optimizer", {}) for layer in layers)
    usual = Layer(method, {} if is_chosen else getattr(catalog.find("method", method), "defaults", {}))
    config |= {name: _complete(name, (preset, usual, *layers)) for name in SECTIONS}
    if config["train"]["accuracy"] and not any("target_error" in layer.values.get("evaluate", {}) for layer in layers):
        config["evaluate"]["target_error"] = 0.25 * config["train"]["accuracy"]
    catalog.observed(config["evaluate"]["observe"])
    return config


def _complete(name: str, layers: Iterable[Layer]) -> dict[str, Any]:
    """Return one section with every setting, from the preset and the layers over it."""
    part = catalog.KINDS[name].default if name in catalog.CHOSEN else None
    size, chosen = None, {}
    for layer in layers:
        given, before, sizes = dict(layer.values.get(name, {})), part, {}
        if part is not None:
            part = check(f"{name}.name", Setting(str), given.get("name", part))
            sizes = catalog.sizes(name, part)
        known = section(name, part)
        if part != before:
            chosen = {}
        if sizes:
            known["size"] = Setting(str, choices=tuple(sizes))
            size = given.get("size", size)
            if part != before and size is not None:
                given["size"] = size
        checked = check_section(name, given, known, layer.origin)
        if sizes and "size" in checked:
            chosen |= sizes[checked.pop("size")]
        chosen |= checked
    return {key: chosen.get(key, setting.default) for key, setting in section(name, part).items()}


def check_sections(layer: Layer) -> None:
    """Refuse what is no section, no setting without a section, and sections that aren't tables."""
    for name, value in layer.values.items():
        if name not in (*SECTIONS, *TOP, *_NOT_SETTINGS):
            nested = [f"{part}.{key}" for part, known in sections().items() for key in known if key == name]
            hint = f" Settings have a section: write {' or '.join(nested)}." if nested else ""
            raise InputError(f"{unknown('section or setting', name, (*SECTIONS, *TOP), layer.origin)}.{hint}")
        if name in SECTIONS and not isinstance(value, Mapping):
            raise InputError(f"{name} = {value!r:.60} ({layer.origin}): {name} is a section; write {name}.KEY = VALUE")


def parse_assignment(text: str) -> dict[str, Any]:
    """Return 'train.steps=4' as {'train': {'steps': 4}}; raise InputError if it isn't of this form.

    The value is TOML if it can be read as such, else text.
    """
    name, equals, raw = text.partition("=")
    parts = [part.strip() for part in name.split(".")]
    if not equals or not all(parts) or len(parts) > 2:
        raise InputError(f"--set {text!r:.80}: it has to be SECTION.KEY=VALUE, such as train.steps=4")
    if parts[0] in _NOT_SETTINGS:
        raise InputError(f"--set {text!r:.80}: the system is set by SYSTEM, --charge, --spin and --unit")
    try:
        value = parse_toml(f"value = {raw.strip()}")["value"]
    except (ValueError, RecursionError):
        value = raw.strip()
    return {parts[0]: value} if len(parts) == 1 else {parts[0]: {parts[1]: value}}


def config_digest(config: Config) -> str:
    """Return the SHA-256 of everything that a checkpoint depends on: all but names and what may change on resuming."""
    content = {name: dict(config[name]) for name in SECTIONS if name != "evaluate"}
    content["train"] = {key: value for key, value in config["train"].items() if key not in _MAY_CHANGE}
    content["system"] = {key: value for key, value in config["system"].items() if key != "name"}
    content |= {"seed": config["seed"], "custom": config.get("custom", {})}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
