"""`solve`: from anything that describes a molecule, and settings, to its energy in one call."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from nnqmc import presets
from nnqmc.config import Layer, resolve
from nnqmc.config.schema import sections, unknown
from nnqmc.errors import InputError
from nnqmc.job.build import PARTS
from nnqmc.job.calculation import run
from nnqmc.job.progress import Reporter
from nnqmc.job.result import Result
from nnqmc.samplers import Metropolis
from nnqmc.system import molecule
from nnqmc.wavefunctions import FermiNet

_SECTIONS = ("wavefunction", "scf", "pretrain", "sampler", "optimizer", "train", "evaluate")
_SHORTCUTS = ("walkers", "steps", "target_error", "max_time", "progress", "key_file")


def solve(source: Any, *, preset: str = presets.DEFAULT, out: str | os.PathLike[str] | None = None, seed: int = 0,
          charge: int | None = None, spin: int | None = None, unit: str | None = None, **settings: Any) -> Result:
    """Hartree-Fock, pretraining, training and evaluation: the ground-state energy with an error bar.

    Args:
        source: anything that `nnqmc.molecule` takes: a name, xyz text or file, PySCF Mole, ASE Atoms, a System.
        preset: 'quick', 'standard', 'accurate' or 'ferminet'.
        out: a directory for checkpoints, series and the result; None keeps everything in memory.
        seed: decides every random number.
        charge: total charge.
        spin: 2S = n_up - n_down.
        unit: of the coordinates, 'bohr' or 'angstrom'.
        **settings: any section as a dict (wavefunction, scf, pretrain, sampler, optimizer, train, evaluate); the
            shortcuts walkers, steps, target_error (hartree), max_time (seconds) and optimizer="adam"; ready-made
            objects as wavefunction, hamiltonian, sampler, optimizer, observables ({name: local operator});
            key_file, a file with the key that all files of the run are signed with; and progress=False for silence.

    Returns:
        The result; print it.

    Raises:
        InputError: something given can't be used; nothing has been written.
        SCFError, NumericalError, CheckpointError: the calculation failed.
        Interrupted: Ctrl-C, SIGTERM, SIGUSR1 or SIGHUP; with `out`, `nnqmc.resume(out)` goes on.
    """
    system = molecule(source, charge=charge, spin=spin, unit=unit)
    layers, custom, progress = _sort_settings(settings)
    layers.append(Layer("solve", {"preset": preset, "seed": seed}))
    config = resolve(system, layers, {name: _describe(part) for name, part in custom.items()})
    return run(config, out, custom=custom, progress=progress, key_file=settings.get("key_file"))


def _sort_settings(settings: Mapping[str, Any]) -> tuple[list[Layer], dict[str, Any], bool | Reporter]:
    """Keyword settings as layers, ready-made objects, and the choice of progress."""
    values: dict[str, Any] = {}
    custom: dict[str, Any] = {}
    for name, given in settings.items():
        value = _as_settings(name, given)
        if name not in (*_SECTIONS, *PARTS, *_SHORTCUTS):
            raise unknown("argument of solve", name, dict.fromkeys((*_SECTIONS, *PARTS, *_SHORTCUTS)))
        if name in PARTS and value is not None and (name == "observables" or not isinstance(value, Mapping | str)):
            custom[name] = value
        elif name in _SECTIONS and isinstance(value, Mapping):
            values.setdefault(name, {}).update(value)
        elif name == "optimizer" and isinstance(value, str):
            values["optimizer"] = {"name": value}
        elif name in _SECTIONS and value is not None:
            raise InputError(f"{name}={value!r:.60}: give a dict of settings")
        elif name == "hamiltonian" and value is not None:
            raise InputError(f"hamiltonian={value!r:.60}: give a local operator, such as nnqmc.molecular(...) or "
                             "nnqmc.hamiltonian.hamiltonian({name: term, ...})")
    if not isinstance(custom.get("observables", {}), Mapping):
        raise InputError(f"observables={custom['observables']!r:.60}: give a dict of local operators by name")
    for name, section in (("walkers", "train"), ("steps", "train"), ("target_error", "evaluate")):
        if settings.get(name) is not None:
            values.setdefault(section, {})[name] = settings[name]
    if settings.get("max_time") is not None:
        values["max_time"] = settings["max_time"]
    return [Layer("solve", values)], custom, settings.get("progress", True)


def _as_settings(name: str, value: Any) -> Any:
    """A FermiNet or a Metropolis as the settings that make it; anything else as it is."""
    if type(value) not in (FermiNet, Metropolis):
        return value
    return {key: getattr(value, key) for key in sections().get(name, {})}


def _describe(part: Any) -> str:
    """A short text for config.toml."""
    return (", ".join(part) if isinstance(part, Mapping) else " ".join(repr(part).split()))[:200]
