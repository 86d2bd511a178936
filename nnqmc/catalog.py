"""Every replaceable part by its name: a new part is one line in a table here.

The configuration, the command line, messages and test batteries loop over these tables. Each table maps a name to a
function without arguments that imports the part's maker and returns it, so that reading the names imports nothing.
A maker is a class or function; its keyword arguments that are numbers, truth values or texts are the part's settings.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple

from nnqmc.errors import unknown
from nnqmc.ranges import Setting, settings

Maker = Callable[..., Any]

_NOT_SETTINGS = ("name", "chunk_size")
"""Keywords of makers that are no settings of theirs: flax's name, and the chunk size, which all parts share."""


class Kind(NamedTuple):
    """One kind of replaceable part.

    Attributes:
        purpose: what a part of this kind does, in a few words.
        default: the part that a run has where none is named, or None if a run needs no part of this kind.
        makers: name -> a function that imports and returns the maker.
    """

    purpose: str
    default: str | None
    makers: Mapping[str, Callable[[], Maker]]


def _wavefunctions() -> ModuleType:
    from nnqmc import wavefunctions

    return wavefunctions


def _samplers() -> ModuleType:
    from nnqmc import samplers

    return samplers


def _optimizers() -> ModuleType:
    from nnqmc import optimizers

    return optimizers


def _methods() -> ModuleType:
    from nnqmc import methods

    return methods


def _hamiltonian() -> ModuleType:
    from nnqmc import hamiltonian

    return hamiltonian


def _objectives() -> ModuleType:
    from nnqmc import objectives

    return objectives


def _observables() -> ModuleType:
    from nnqmc import observables

    return observables


KINDS: Mapping[str, Kind] = MappingProxyType({
    "wavefunction": Kind("the form of psi", "ferminet", MappingProxyType({
        "ferminet": lambda: _wavefunctions().FermiNet,
    })),
    "sampler": Kind("how walkers move", "metropolis", MappingProxyType({
        "metropolis": lambda: _samplers().Metropolis,
    })),
    "optimizer": Kind("how parameters follow a gradient", "spring", MappingProxyType({
        "spring": lambda: _optimizers().spring,
        "min_sr": lambda: _optimizers().min_sr,
        "adam": lambda: _optimizers().adam,
    })),
    "objective": Kind("what training minimises", "energy", MappingProxyType({
        "energy": lambda: _objectives().energy,
    })),
    "method": Kind("how a training step is made of the parts", "vmc", MappingProxyType({
        "vmc": lambda: _methods().make_step,
    })),
    "observable": Kind("what evaluation measures besides the energy", None, MappingProxyType({
        "dipole": lambda: _observables().dipole,
    })),
    "term": Kind("what a Hamiltonian is the sum of", None, MappingProxyType({
        "kinetic": lambda: _hamiltonian().kinetic,
        "electron_electron": lambda: _hamiltonian().electron_electron,
        "electron_nucleus": lambda: _hamiltonian().electron_nucleus,
        "nucleus_nucleus": lambda: _hamiltonian().nucleus_nucleus,
        "harmonic_trap": lambda: _hamiltonian().harmonic_trap,
    })),
})
"""All kinds of parts, by the words that the configuration and the command line have for them."""

CHOSEN = tuple(name for name, kind in KINDS.items() if kind.default is not None)
"""The kinds of which every run has one part."""


def find(kind: str, name: str) -> Maker:
    """Return the maker of a part.

    Args:
        kind: a key of `KINDS`.
        name: a name in its table.

    Raises:
        InputError: there is no part of this name; the message has the nearest name and all of them.
    """
    makers = KINDS[kind].makers
    if name not in tuple(makers):
        raise unknown(kind, name, makers)
    return makers[name]()


def part_settings(kind: str, name: str) -> dict[str, Setting]:
    """Return the settings of a part, by name; raises InputError if there is no such part."""
    return {key: setting for key, setting in settings(find(kind, name)).items() if key not in _NOT_SETTINGS}


def sizes(kind: str, name: str) -> Mapping[str, Mapping[str, Any]]:
    """Return what the sizes of a part mean, size -> settings; an empty mapping if the part has no sizes."""
    return getattr(find(kind, name), "sizes", MappingProxyType({}))


def accepts(kind: str, name: str, keyword: str) -> bool:
    """Return whether the maker of a part has an argument of this name."""
    return keyword in inspect.signature(find(kind, name)).parameters


def bind(kind: str, chosen: Mapping[str, Any], **offered: Any) -> Maker:
    """Return the maker of a part with its settings filled in, and with whatever it accepts of what is offered.

    Args:
        kind: a key of `KINDS`.
        chosen: the name of the part and its settings.
        **offered: further arguments, for makers that have them.
    """
    name = chosen["name"]
    given = {key: value for key, value in chosen.items() if key != "name"}
    return partial(find(kind, name), **{key: value for key, value in offered.items() if accepts(kind, name, key)},
                   **given)


def as_chosen(kind: str, part: Any) -> dict[str, Any] | None:
    """Return the name and the settings that make an equal part, or None for a part that no settings describe."""
    for name in KINDS[kind].makers:
        maker = find(kind, name)
        if type(part) is maker:
            chosen = {key: getattr(part, key) for key in part_settings(kind, name)}
            return {"name": name} | chosen if maker(**chosen) == part else None
    return None


def split_names(text: str) -> tuple[str, ...]:
    """Return the names in a text with commas between them."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def summary(maker: Maker) -> str:
    """Return the first sentence of a maker's documentation."""
    text = " ".join((inspect.getdoc(maker) or "").split("\n\n")[0].split())
    return text.partition(". ")[0].removesuffix(".")
