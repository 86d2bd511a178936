"""Every replaceable part by its name: a new part is one line in a table here.

The configuration, the command line, messages and test batteries loop over these tables; reading the names imports
nothing slow. The maker of a part is a class or function, and those of its keyword arguments that are numbers, truth
values or texts are the part's settings.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

from nnqmc.errors import unknown
from nnqmc.ranges import Setting, read_settings, settings

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


def _packages() -> SimpleNamespace:
    """Import the packages that parts live in, and return them by name."""
    from nnqmc import hamiltonian, methods, objectives, observables, optimizers, samplers, wavefunctions
    return SimpleNamespace(hamiltonian=hamiltonian, methods=methods, objectives=objectives, observables=observables,
                           optimizers=optimizers, samplers=samplers, wavefunctions=wavefunctions)


KINDS: Mapping[str, Kind] = MappingProxyType({
    "wavefunction": Kind("the form of psi", "ferminet", {
        "ferminet": lambda: _packages().wavefunctions.FermiNet,
        "psiformer": lambda: _packages().wavefunctions.Psiformer,
        "lapnet": lambda: _packages().wavefunctions.LapNet,
    }),
    "sampler": Kind("how walkers move", "metropolis", {
        "metropolis": lambda: _packages().samplers.Metropolis,
        "langevin": lambda: _packages().samplers.Langevin,
        "one_electron": lambda: _packages().samplers.OneElectron,
    }),
    "optimizer": Kind("how parameters follow a gradient", "spring", {
        "spring": lambda: _packages().optimizers.spring,
        "robust_spring": lambda: _packages().optimizers.robust_spring,
        "min_sr": lambda: _packages().optimizers.min_sr,
        "kfac": lambda: _packages().optimizers.kfac,
        "adam": lambda: _packages().optimizers.adam,
        "preconditioned_adam": lambda: _packages().optimizers.preconditioned_adam,
        "lamb": lambda: _packages().optimizers.lamb,
    }),
    "objective": Kind("what training minimises", "energy", {
        "energy": lambda: _packages().objectives.energy,
    }),
    "method": Kind("how a training step is made of the parts", "vmc", {
        "vmc": lambda: _packages().methods.VMC,
        "wasserstein": lambda: _packages().methods.Wasserstein,
        "lava": lambda: _packages().methods.Lava,
    }),
    "observable": Kind("what evaluation measures besides the energy", None, {
        "dipole": lambda: _packages().observables.dipole,
        "quadrupole": lambda: _packages().observables.quadrupole,
        "spin_squared": lambda: _packages().observables.spin_squared,
        "radii": lambda: _packages().observables.radii,
        "cusps": lambda: _packages().observables.cusps,
        "virial": lambda: _packages().observables.virial,
        "density": lambda: _packages().observables.density,
        "pair_density": lambda: _packages().observables.pair_density,
        "density_matrix": lambda: _packages().observables.density_matrix,
        "forces": lambda: _packages().observables.forces,
        "forces_space_warp": lambda: _packages().observables.forces_space_warp,
    }),
    "term": Kind("what a Hamiltonian is the sum of", None, {
        "kinetic": lambda: _packages().hamiltonian.kinetic,
        "electron_electron": lambda: _packages().hamiltonian.electron_electron,
        "electron_nucleus": lambda: _packages().hamiltonian.electron_nucleus,
        "nucleus_nucleus": lambda: _packages().hamiltonian.nucleus_nucleus,
        "harmonic_trap": lambda: _packages().hamiltonian.harmonic_trap,
    }),
})
"""All kinds of parts, by the words that the configuration and the command line have for them."""

CHOSEN = tuple(name for name, kind in KINDS.items() if kind.default is not None)
"""The kinds of which every run has one part."""


def find(kind: str, name: str) -> Maker:
    """Return the maker of a part; `kind` is a key of `KINDS`, and `name` one of its table.

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
    accepted = {key: value for key, value in offered.items() if accepts(kind, name, key)}
    return partial(find(kind, name), **accepted, **{key: value for key, value in chosen.items() if key != "name"})


def as_chosen(kind: str, part: Any) -> dict[str, Any] | None:
    """Return the name and the settings that make an equal part, or None for a part that no settings describe."""
    for name in KINDS[kind].makers:
        if type(part) is (maker := find(kind, name)):
            chosen = {key: getattr(part, key) for key in part_settings(kind, name)}
            return {"name": name} | chosen if maker(**chosen) == part else None
    return None


def observed(text: str) -> dict[str, dict[str, Any]]:
    """Return what 'dipole, forces_space_warp:every=8' sets of each observable; raises InputError if that can't be."""
    words = [[part.strip() for part in word.split(":")] for word in text.split(",") if word.strip()]
    return {name: read_settings(name, part_settings("observable", name), given) for name, *given in words}


def summary(maker: Maker) -> str:
    """Return the first sentence of a maker's documentation."""
    return " ".join((inspect.getdoc(maker) or "").split()).partition(". ")[0].removesuffix(".")
