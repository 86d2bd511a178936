"""What figures read of a run: its series, its answer, and the published energy to compare with."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from nnqmc import io
from nnqmc.errors import CheckpointError, InputError
from nnqmc.io.toml import parse_toml
from nnqmc.statistics import Estimate
from nnqmc.system import Reference, from_dict, known_energy

_MAX_BYTES = MappingProxyType({"config.toml": 10**6, "result.json": 10**7, "train.h5": 2**30, "evaluate.h5": 2**32})
"""The largest file of each name that is read."""

_NEEDED = MappingProxyType({"train": ("step", "energy", "variance"), "evaluate": ("energy", "variance")})
"""The series that figures are drawn from."""


class Record(NamedTuple):
    """Gives access to what a run has recorded; files are read when they are asked for, and none is written.

    Attributes:
        label: what to call the run among others.
        config: the configuration of the run, as far as it is needed here.
        path: of the run's directory, or None for a result that was kept in memory.
        secret: the key that the files are signed with, or None.
        result: a result in memory, or None.
    """

    label: str
    config: Mapping[str, Any]
    path: Path | None = None
    secret: io.Secret = None
    result: Any = None

    @property
    def name(self) -> str:
        """Return the name of the system."""
        return str(self.config["system"]["name"])

    @property
    def reference(self) -> Reference | None:
        """Return the published energy of the system, or None, also for a Hamiltonian of the user's own."""
        return known_energy(self.config)

    def series(self, stage: str) -> dict[str, np.ndarray]:
        """Return the series of a stage, "train" or "evaluate": arrays (n_steps, ...) by name; {} where there are none.

        Raises:
            CheckpointError: the file is damaged, altered, signed with another key, or holds something else.
        """
        path = None if self.path is None else self.path / f"{stage}.h5"
        if path is None:
            found = dict(self.result.series.get(stage, {}))
        elif not os.path.lexists(path):
            return {}
        else:
            found = io.load_series(path, max_bytes=_MAX_BYTES[path.name], secret=self.secret)[0]
        if found and (missing := [name for name in _NEEDED[stage] if name not in found]):
            raise CheckpointError(f"{path or self.label} lacks the series {', '.join(missing)}: restore it.")
        return found if len(found.get("energy", ())) else {}

    @property
    def training_error(self) -> np.ndarray:
        """Return the standard error of the energy of each training step in hartree, (n_steps,)."""
        return np.sqrt(np.maximum(self.series("train")["variance"], 0.0) / self.walkers)

    @property
    def walkers(self) -> int:
        """Return the size of the population."""
        return max(int(self.config["train"]["walkers"]), 1)

    @property
    def estimate(self) -> Estimate | None:
        """Return the evaluated energy with all reasons not to trust it, or None without one.

        Raises:
            CheckpointError: result.json is damaged.
        """
        if self.result is not None:
            return replace(self.result.energy, caveats=tuple(self.result.caveats))
        path = self.path / "result.json"
        if not os.path.lexists(path):
            return None
        raw = io.read_file(path, _MAX_BYTES[path.name])
        io.check_signature(path, self.secret, raw)
        try:
            plain = json.loads(raw)
            return replace(Estimate.from_dict(plain["estimate"]), caveats=tuple(map(str, plain["caveats"])))
        except (KeyError, TypeError, ValueError, RecursionError, InputError) as error:
            raise CheckpointError(f"{path} can't be used ({type(error).__name__}: {error:.80}). Evaluate the run "
                                  "again with `nnqmc evaluate DIR`.") from error


def record(run: Any) -> Record:
    """Return access to what a run has recorded.

    Args:
        run: the directory of a run, what `nnqmc.load` returns, or the result of `nnqmc.solve`.

    Raises:
        InputError: it is something else, there is no run in the directory, or the result has no series.
    """
    if isinstance(run, Record):
        return run
    run = getattr(run, "opened", run)
    if hasattr(run, "series") and hasattr(run, "settings"):
        if not run.series:
            raise InputError("this result was read from a file and has no series: give the directory of the run")
        return Record(run.name, run.settings, result=run)
    if hasattr(run, "config") and hasattr(run, "secret"):
        return Record(run.path.resolve().name, run.config, run.path, run.secret)
    path = io.as_path(run, "a run")
    if not (path / "config.toml").is_file():
        raise InputError(f"{path} holds no run: it has no config.toml. Give the directory of a run, what nnqmc.load "
                         "returns, or the result of nnqmc.solve")
    return Record(path.resolve().name, _config(path / "config.toml"), path)


def _config(path: Path) -> dict[str, Any]:
    """Return the configuration in a directory, checked as far as figures need it; it may be one of another version."""
    raw = io.read_file(path, _MAX_BYTES[path.name])
    io.check_signature(path, None, raw)
    try:
        config = parse_toml(raw.decode("utf-8"))
        if words := io.forbidden_content(config):
            raise InputError(f"it holds {words}")
        if "source" in config["system"]:  # could name any file of this machine
            raise InputError("it has system.source instead of the atoms")
        from_dict(config["system"])
        int(config["train"]["walkers"])
        dict(config.get("custom", {}))
        return config
    except (KeyError, TypeError, ValueError, RecursionError, InputError) as error:
        raise InputError(f"{path} isn't the configuration of a run ({type(error).__name__}: {error!s:.80}): restore it "
                         "from a copy") from error
