"""The directory of a run: what lies in it, who may write to it, and how it is read back."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nnqmc.config import Config, Layer, config_digest, config_system, config_to_text, read_config, resolve
from nnqmc.errors import CheckpointError, InputError
from nnqmc.io import (
    SeriesLog,
    atomic_write,
    latest_checkpoint,
    load_arrays,
    load_checkpoint,
    load_series,
    save_checkpoint,
    save_series,
    save_tree,
)
from nnqmc.io.checkpoints import list_checkpoints
from nnqmc.runs.result import Result
from nnqmc.scf import MeanField
from nnqmc.typing import TrainState

CONFIG, SCF, TRAIN, EVALUATE = "config.toml", "scf.h5", "train.h5", "evaluate.h5"
RESULT, CURVE, BLOCKING, LOCK = "result.json", "energy.png", "blocking.png", ".lock"
_TEMPORARY = re.compile(r"\..+\.tmp-\d+-[0-9a-f]{8}(\.\w+)?")
_STARTED = frozenset({CONFIG, SCF, LOCK})
"""A directory with no more than this holds nothing that took long to compute."""


class RunDirectory:
    """One run's files.

    Attributes:
        path: the directory.
        config: its complete configuration.
    """

    def __init__(self, path: str | os.PathLike[str], config: Config) -> None:
        self.path = Path(path)
        self.config = config

    @property
    def digest(self) -> str:
        """What checkpoints are compared with."""
        return config_digest(self.config)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunDirectory:
        """An existing run, its configuration checked as strictly as a new one.

        Raises:
            InputError: no such directory, no run in it, or a configuration that can't be.
        """
        path = Path(path)
        if not path.is_dir():
            raise InputError(f"{path} isn't a directory: give the one that a run was written to (--out)")
        if not (path / CONFIG).is_file():
            raise InputError(f"{path} holds no run: it has no {CONFIG}. Give the directory of a run (--out)")
        values = read_config(path / CONFIG)
        system = config_system(values.get("system", {}))
        return cls(path, resolve(system, [Layer(str(path / CONFIG), values)], values.get("custom")))

    def check_free(self) -> None:
        """Make sure that a new run may be written here; nothing is written by this.

        Raises:
            InputError: the directory holds a run or other files, or it can't be made.
        """
        path = self.path
        if path.exists() and not path.is_dir():
            raise InputError(f"{path} is a file: give a directory as --out")
        names = _names(path)
        if names <= _STARTED and (CONFIG not in names or _is_ours(path / CONFIG)):
            return
        if CONFIG not in names or not _is_ours(path / CONFIG):
            listed = ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")
            raise InputError(f"{path} holds other files ({listed}): nothing was written; give an empty or new "
                             "directory as --out")
        found = "holds this run already" if self._is_same_run() else "holds another run"
        raise InputError(f"{path} {found}: `nnqmc resume {path}` continues it; give another --out for a new one")

    def _is_same_run(self) -> bool:
        try:
            return RunDirectory.open(self.path).digest == self.digest
        except InputError:
            return False

    def save_config(self) -> None:
        """Write config.toml."""
        with atomic_write(self.path / CONFIG) as temporary:
            temporary.write_text(config_to_text(self.config), encoding="utf-8")

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes out, as far as the file system can.

        Raises:
            InputError: another process is at work here, or the directory can't be written to.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = open(self.path / LOCK, "a+")
        except OSError as error:
            raise InputError(f"{self.path} can't be written to: {error.strerror}. Give another directory") from error
        with file:
            _lock_file(file, self.path)
            yield

    def save_mean_field(self, mean_field: MeanField) -> None:
        """Write scf.h5."""
        arrays = {field.name: getattr(mean_field, field.name) for field in dataclasses.fields(mean_field)}
        save_tree(self.path / SCF, arrays, self._scf_attributes())

    def load_mean_field(self) -> MeanField | None:
        """The mean field of scf.h5, or None if there is none that belongs to this configuration."""
        if not (self.path / SCF).is_file():
            return None
        try:
            arrays, attributes = load_arrays(self.path / SCF)
        except CheckpointError:
            return None
        names = {field.name for field in dataclasses.fields(MeanField)}
        if set(arrays) != names or any(attributes.get(k) != v for k, v in self._scf_attributes().items()):
            return None
        return MeanField(**arrays)

    def _scf_attributes(self) -> dict[str, Any]:
        return {"scf": self.config["scf"], "system": self.config["system"]}

    def newest(self) -> Path | None:
        """The newest checkpoint, good or not."""
        return next(reversed(list_checkpoints(self.path)), None)

    def save_state(self, state: TrainState, log: SeriesLog, seconds: Mapping[str, float]) -> None:
        """Write the series up to this step and then the checkpoint, so that the series is never the shorter one."""
        log.save(self.path / TRAIN)
        save_checkpoint(self.path, state, int(state.step), {"config": self.digest, "seconds": dict(seconds)})

    def load_state(self, template: TrainState) -> tuple[TrainState, SeriesLog, dict[str, float]] | None:
        """State, series and seconds at the newest good checkpoint, or None before the first one.

        Raises:
            CheckpointError: no checkpoint can be used, or it belongs to another configuration.
        """
        newest = latest_checkpoint(self.path)
        if newest is None:
            return None
        state, attributes = load_checkpoint(newest, template, {"config": self.digest})
        return state, self._load_log(int(state.step)), dict(attributes.get("seconds", {}))

    def new_log(self) -> SeriesLog:
        """An empty series for train.h5."""
        return SeriesLog({"config": self.digest, "seed": self.config["seed"], "nnqmc": self.config["nnqmc"]})

    def _load_log(self, step: int) -> SeriesLog:
        path = self.path / TRAIN
        if not path.exists():
            if step > 0:
                logging.getLogger("nnqmc").warning("%s is missing: the learning curve begins at step %d", path, step)
            return self.new_log()
        try:
            log = SeriesLog.load(path)
        except CheckpointError as error:
            raise CheckpointError(f"{error} To go on without the learning curve so far, move it away.") from error
        if log.attributes.get("config") != self.digest:
            raise CheckpointError(f"{path} belongs to another configuration: restore the one that belongs "
                                  "to this run, or move it away to go on without it.")
        log.truncate(step)
        return log

    def save_evaluation(self, series: Mapping[str, Any], attributes: Mapping[str, Any]) -> None:
        """Write evaluate.h5."""
        save_series(self.path / EVALUATE, series, attributes)

    def load_series(self, name: str) -> dict[str, Any]:
        """The series of train.h5 or evaluate.h5."""
        return load_series(self.path / name)[0]

    def save_result(self, result: Result) -> None:
        """Write result.json."""
        text = json.dumps(result.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        with atomic_write(self.path / RESULT) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def load_result(self) -> Result | None:
        """The result in result.json, or None without one.

        Raises:
            CheckpointError: the file can't be read as a result.
        """
        path = self.path / RESULT
        try:
            return Result.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError, CheckpointError) as error:
            raise CheckpointError(f"{path} can't be used: {error}") from error


def default_directory(name: str) -> Path:
    """runs/NAME, with nothing in NAME that a file system could misread."""
    plain = re.sub(r"[^A-Za-z0-9+_-]+", "_", name).lstrip("_-") or "run"
    return Path("runs") / plain[:80]


def _names(path: Path) -> set[str]:
    try:
        return {entry.name for entry in path.iterdir() if not _TEMPORARY.fullmatch(entry.name)}
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}. Give another directory as --out") from error


def _is_ours(path: Path) -> bool:
    try:
        values = read_config(path)
    except InputError:
        return False
    return "nnqmc" in values and "system" in values


def _lock_file(file: Any, path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # not a POSIX system
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(f"another process is at work in {path}: wait for it, or give another directory") from error
    except OSError:  # a file system without locks: best effort
        return
