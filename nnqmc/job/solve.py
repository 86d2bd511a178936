"""`solve`: from anything that describes a molecule, and settings, to its energy in one call."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from nnqmc import catalog, presets
from nnqmc.config import Layer, resolve
from nnqmc.config.schema import SECTIONS
from nnqmc.errors import InputError, unknown
from nnqmc.job.build import CUSTOM
from nnqmc.job.calculation import run
from nnqmc.job.result import Result
from nnqmc.scf import MeanField, from_pyscf, is_mean_field
from nnqmc.system import molecule

_SHORTCUTS = MappingProxyType({"walkers": "train", "steps": "train", "accuracy": "train", "target_error": "evaluate",
                               "observe": "evaluate"})
"""Settings that can be given without their section, and that section."""
_OTHERS = ("max_time", "progress", "key_file")

_READY = MappingProxyType({
    "hamiltonian": (Callable, "a local operator, such as nnqmc.molecular(...) or "
                    "nnqmc.hamiltonian.hamiltonian({name: term, ...})"),
    "mean_field": (MeanField, "a mean field of PySCF, or what nnqmc.hartree_fock returns"),
    "observables": (Mapping, "a list of names (see `nnqmc list parts`), or a dict of local operators by name"),
})
"""The kinds of the ready-made objects that are no parts of the catalogue, and in words what has to be given."""


def solve(source: Any, *, preset: str = presets.DEFAULT, out: str | os.PathLike[str] | None = None, seed: int = 0,
          charge: int | None = None, spin: int | None = None, unit: str | None = None, **settings: Any) -> Result:
    """Compute a ground-state energy with an error bar: Hartree-Fock, pretraining, training and evaluation.

    Args:
        source: anything that `nnqmc.molecule` takes: a name, xyz text or file, PySCF Mole, ASE Atoms, a System. The
            orbitals of a PySCF mean field are the start of the run instead of Hartree-Fock of our own.
        preset: a name in `nnqmc.presets.PRESETS`, such as 'quick', 'standard' or 'accurate'.
        out: a directory for checkpoints, series and the result; None keeps everything in memory.
        seed: decides every random number.
        charge: total charge.
        spin: 2S = n_up - n_down.
        unit: of the coordinates, 'bohr' or 'angstrom'.
        **settings: any section as a dict (scf, pretrain, train, evaluate); any part of the run (wavefunction, sampler,
            optimizer, objective, method) as a name from `nnqmc list parts`, a dict of its settings, or a ready-made
            object; hamiltonian, a ready-made local operator; observables, a list of names or a dict
            {name: observable or local operator}; mean_field, of PySCF or as `nnqmc.hartree_fock` returns it; frame,
            which of several frames of a file to take; the shortcuts walkers, steps, target_error (hartree) and observe
            (names with commas between); accuracy (hartree), which training and evaluation aim at; max_time (seconds);
            key_file, a file with the key that all files of the run are signed with; and progress=False for silence.

    Returns:
        The result; print it.

    Raises:
        InputError: something given can't be used; nothing has been written.
        SCFError, NumericalError, CheckpointError: the calculation failed.
        Interrupted: Ctrl-C, SIGTERM, SIGUSR1 or SIGHUP; its `result` is what there is so far, marked as cut, and with
            `out`, `nnqmc.resume(out)` goes on. `except Exception` lets it pass.
    """
    system = molecule(source, charge=charge, spin=spin, unit=unit, frame=settings.pop("frame", None))
    if is_mean_field(given := settings.get("mean_field", source)):
        settings["mean_field"] = from_pyscf(given, system)
    values, custom = sort_settings(settings)
    layers = [Layer("solve", values), Layer("solve", {"preset": preset, "seed": seed})]
    config = resolve(system, layers, {name: _describe(part) for name, part in custom.items()})
    return run(config, out, custom=custom, progress=settings.get("progress", True), key_file=settings.get("key_file"))


def sort_settings(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return keyword settings as values of the configuration, and ready-made objects by name."""
    values: dict[str, Any] = {}
    custom: dict[str, Any] = {}
    for name in sorted(given, key=tuple(_SHORTCUTS).__contains__):  # shortcuts last: they win
        value = given[name]
        if name not in (known := (*SECTIONS, *CUSTOM[len(catalog.CHOSEN):], *_SHORTCUTS, *_OTHERS)):
            raise unknown("argument of solve", name, known)
        if value is None or name in ("progress", "key_file"):
            continue
        if name in _SHORTCUTS:
            values.setdefault(_SHORTCUTS[name], {})[name] = value
        elif name == "observables" and isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
            values.setdefault("evaluate", {})["observe"] = ", ".join(value)
        elif name == "max_time":
            values[name] = value
        elif isinstance(value, Mapping) and name in SECTIONS:
            values.setdefault(name, {}).update(value)
        elif name in catalog.CHOSEN:
            chosen = {"name": value} if isinstance(value, str) else catalog.as_chosen(name, value)
            (custom if chosen is None else values)[name] = value if chosen is None else chosen
        elif name in _READY and isinstance(value, _READY[name][0]):
            custom[name] = value
        else:
            wanted = _READY[name][1] if name in _READY else "a dict of settings"
            raise InputError(f"{name}={value!r:.60}: give {wanted}")
    return values, custom


def _describe(part: Any) -> str:
    """Return a short text for config.toml."""
    return (", ".join(part) if isinstance(part, Mapping) else " ".join(repr(part).split()))[:200]
