"""The table of presets: what each chooses, by the number of electrons. Edit the numbers here; nothing else knows them.

A preset is a few settings for every system, and the first row whose number of electrons a system doesn't exceed adds
to them. Whatever a preset leaves out has the default of the function that it belongs to, and what a size of the
wavefunction means is said by the wavefunction itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from nnqmc.errors import unknown

DEFAULT, LADDER = "standard", "ladder"
"""The presets that are used when none is named: by runs and most studies, and by `nnqmc scan`."""


class Preset(NamedTuple):
    """What a preset is for, its settings for every system, and further ones by the largest number of electrons."""

    purpose: str
    settings: Mapping[str, Any]
    rows: Mapping[float, Mapping[str, Any]]


_SMALL, _MEDIUM, _LARGE = (MappingProxyType({"wavefunction.size": size}) for size in ("small", "medium", "large"))
_CAREFUL = MappingProxyType({"optimizer.learning_rate": 0.03, "optimizer.max_norm": 0.1})
"""Shorter steps: from five electrons on the usual ones follow the noise of the local energies."""
_FIRST_ROW = MappingProxyType({"optimizer.learning_rate": 0.02, "optimizer.delay": 300.0, "optimizer.damping": 1e-4,
                               "optimizer.max_norm": 0.3, "optimizer.max_growth": 2.0})
"""Found on the nitrogen atom with 512 walkers and the small network: see docs/convergence.md."""

PRESETS = MappingProxyType({
    "quick": Preset(
        "a first look within a minute or so",
        {"train.walkers": 256, "evaluate.target_error": 1e-3, "evaluate.max_steps": 1000},
        {
            4: {**_SMALL, "train.steps": 200},
            10: {**_SMALL, **_CAREFUL, "train.steps": 500},
            math.inf: {**_MEDIUM, **_CAREFUL, "train.steps": 1000},
        },
    ),
    "standard": Preset(
        "chemical accuracy for a few electrons in minutes on a laptop",
        {"sampler.sweeps": 6, "evaluate.target_error": 3.5e-4, "evaluate.max_steps": 3000},
        {
            4: {**_SMALL, "train.walkers": 512, "train.steps": 500},
            10: {**_SMALL, **_FIRST_ROW, "train.walkers": 512, "train.steps": 3000, "evaluate.target_error": 4e-4},
            math.inf: {**_MEDIUM, **_CAREFUL, "train.walkers": 1024, "train.steps": 3000},
        },
    ),
    "accurate": Preset(
        "a larger network and more steps: hours from five electrons on",
        {"evaluate.target_error": 1e-4, "evaluate.max_steps": 10000},
        {
            4: {**_MEDIUM, **_FIRST_ROW, "sampler.sweeps": 6, "train.walkers": 512, "train.steps": 6000},
            10: {**_LARGE, **_CAREFUL, "train.walkers": 1024, "train.steps": 6000},
            math.inf: {**_LARGE, **_CAREFUL, "train.walkers": 2048, "train.steps": 12000},
        },
    ),
    "ladder": Preset(
        "for the members of nnqmc scan, which have to be trained to their end before sizes can be compared",
        {**_FIRST_ROW, "sampler.sweeps": 6, "train.walkers": 512, "train.steps": 3000, "evaluate.target_error": 2e-4},
        {math.inf: _SMALL},
    ),
    "ferminet": Preset(
        "the published network, 4 x (256, 32) with 16 determinants and 4096 walkers: for a GPU",
        {"wavefunction.size": "published", "pretrain.steps": 1000, "train.walkers": 4096,
         "evaluate.target_error": 1e-4, "evaluate.max_steps": 10000},
        {10: {"train.steps": 20000}, math.inf: {"train.steps": 200000}},
    ),
})


def preset_settings(name: str, n_electrons: int) -> dict[str, dict[str, Any]]:
    """Return what a preset chooses for a number of electrons, as {section: {key: value}}.

    Raises:
        InputError: there is no preset of this name.
    """
    if name not in tuple(PRESETS):
        raise unknown("preset", name, PRESETS)
    preset = PRESETS[name]
    row = next(row for most, row in preset.rows.items() if n_electrons <= most)
    sections: dict[str, dict[str, Any]] = {}
    for dotted, value in {**preset.settings, **row}.items():
        section, key = dotted.split(".")
        sections.setdefault(section, {})[key] = value
    return sections
