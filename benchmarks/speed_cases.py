"""The cases of the speed benchmark: systems, networks and numbers of walkers, by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import numpy as np

import nnqmc
from nnqmc.config import Layer, resolve
from nnqmc.job.build import Components, build
from nnqmc.samplers.first_walkers import first_walkers
from nnqmc.typing import Params, Population, System
from nnqmc.wavefunctions import init_params

SWEEPS = 10
"""The number of Metropolis sweeps in one training step."""

NETWORKS: Mapping[str, tuple[int, int, int, int]] = MappingProxyType({
    "tiny": (1, 4, 2, 1),
    "small": (3, 32, 8, 4),
    "medium": (3, 64, 16, 8),
    "published": (4, 256, 32, 16),
})
"""The layers, the widths of the one-electron and the pair stream, and the number of determinants."""

ENERGY, STEP = "local energy", "step"
PARTS = ("log psi", "sweep", ENERGY, "scores", "Gram matrix", "solve", "update", STEP)
"""The parts of a training step in the order in which they happen, and the whole step."""

ASPECTS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "all": PARTS, "energy": ("log psi", ENERGY), "memory": (STEP,),
})
"""What can be measured of a case; "memory" compiles the step and doesn't run it."""

CHAIN = tuple(f"H{n}-medium-64:energy" for n in (4, 6, 8, 10, 12, 16, 20))
CASES = ("He-small-512", "LiH-small-256", "LiH-small-1024", "LiH-published-256", "C-medium-256", "H2O-medium-256",
         "N2-medium-128", "N2-published-64", "N2-published-1024:memory", *CHAIN)
QUICK = ("He-tiny-16", "H4-tiny-16:energy", "H6-tiny-16:energy", "H8-tiny-16:energy", "He-small-64:memory")

_SPACING = 1.8
"""The distance of neighbours in a chain of hydrogen atoms, in bohr."""


class Case(NamedTuple):
    """A system, a network of NETWORKS, a number of walkers, and what is measured (one of ASPECTS)."""

    system: str
    network: str
    walkers: int
    aspect: str = "all"

    @property
    def name(self) -> str:
        """Return the name that `parse_case` reads."""
        return f"{self.system}-{self.network}-{self.walkers}" + ("" if self.aspect == "all" else f":{self.aspect}")


class Setting(NamedTuple):
    """The objects of a case: what `nnqmc run` would build, random parameters, and electrons placed around the atoms."""

    case: Case
    config: dict[str, Any]
    parts: Components
    params: Params
    electrons: Population

    @property
    def system(self) -> System:
        """Return the molecule."""
        return self.parts.system

    @property
    def chunk_size(self) -> int | None:
        """Return the number of walkers that nnqmc evaluates together, as the preset chooses it."""
        return self.config["train"].get("chunk_size")


def parse_case(text: str) -> Case:
    """Return the case that SYSTEM-NETWORK-WALKERS or SYSTEM-NETWORK-WALKERS:ASPECT describes.

    Raises:
        ValueError: the text doesn't have this form.
    """
    found = re.fullmatch(r"(.+)-([a-z]+)-(\d+)(?::([a-z]+))?", text)
    network, walkers, aspect = ("", 0, "") if found is None else (found[2], int(found[3]), found[4] or "all")
    if found is None or network not in NETWORKS or walkers < 2 or aspect not in ASPECTS:
        raise ValueError(f"{text!r} is no case: give SYSTEM-NETWORK-WALKERS, such as LiH-small-256, with a network of "
                         f"{', '.join(NETWORKS)}, at least 2 walkers and, if need be, :energy or :memory behind it")
    return Case(found[1], network, walkers, aspect)


def molecule(name: str) -> System:
    """Return a named system, or a chain of n hydrogen atoms for H<n> with even n from 4."""
    chain = re.fullmatch(r"H(\d+)", name)
    if chain is None or int(chain[1]) < 4 or int(chain[1]) % 2:
        return nnqmc.molecule(name)
    return nnqmc.molecule("; ".join(f"H 0 0 {i * _SPACING:.4f}" for i in range(int(chain[1]))), unit="bohr")


def prepare(case: Case) -> Setting:
    """Return everything that is needed to compile the parts of a case.

    Raises:
        nnqmc.errors.InputError: there is no such system.
    """
    layers, one, two, determinants = NETWORKS[case.network]
    settings = {
        "preset": "standard",
        "wavefunction": {"layers": layers, "hidden_one": one, "hidden_two": two, "n_determinants": determinants},
        "sampler": {"sweeps": SWEEPS},
        "train": {"walkers": case.walkers},
    }
    config = resolve(molecule(case.system), [Layer("benchmark", settings)])
    parts = build(config)
    key_params, key_walkers = jax.random.split(jax.random.key(0))
    share = np.asarray(parts.system.charges, np.float64) / np.sum(np.asarray(parts.system.charges, np.float64))
    populations = share[:, None] * np.array([parts.system.n_up, parts.system.n_down])
    electrons = first_walkers(key_walkers, parts.system, case.walkers, populations)
    return Setting(case, config, parts, init_params(parts.wavefunction, key_params, parts.system), electrons)
