"""The directory of a run: what lies in it, who may write to it, and how it is read back."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nnqmc.config import Config, Layer, config_digest, config_to_text, read_config, resolve
from nnqmc.errors import CheckpointError, InputError, SignatureError
from nnqmc.io import (
    Secret,
    SeriesLog,
    atomic_write,
    check_json,
    check_text,
    forbidden_content,
    largest_tree,
    latest_checkpoint,
    load_arrays,
    load_checkpoint,
    load_series,
    read_file,
    save_checkpoint,
    save_series,
    save_tree,
    sign_json,
    sign_text,
)
from nnqmc.io.checkpoints import list_checkpoints
from nnqmc.io.container import MAX_BYTES
from nnqmc.job.kept_evaluation import PARTIAL, read_partial, write_partial
from nnqmc.job.result import Result
from nnqmc.job.validation import (
    EVALUATION_SERIES,
    TRAINING_SERIES,
    check_columns,
    check_count,
    check_custom,
    check_mean_field,
    check_seconds,
)
from nnqmc.methods import EvaluationState
from nnqmc.parallel import n_devices
from nnqmc.scf import MeanField
from nnqmc.system import from_dict
from nnqmc.typing import TrainState

CONFIG, SCF, TRAIN, EVALUATE = "config.toml", "scf.h5", "train.h5", "evaluate.h5"
RESULT, CURVE, BLOCKING, LOCK = "result.json", "energy.png", "blocking.png", ".lock"
_TEMPORARY = re.compile(r"\..+\.tmp-\d+-[0-9a-f]{8}(\.\w+)?")
_STARTED = frozenset({CONFIG, SCF, LOCK})
"""A directory with no more than this holds nothing that took long to compute."""
_MAX_TEXT, _MAX_SCF, _MAX_TRAIN = 10**7, 2**28, 2**30
"""The largest result.json, scf.h5 and train.h5 that are read, in bytes."""
_LARGEST_NUMBER = 1e100
"""Of result.json; sums and products of larger ones could overflow."""
_MOST_WALKERS = 16
"""A checkpoint is read that has up to so many times the walkers of the configuration."""


Template = Callable[[int], TrainState]
"""The form of a training state as a function of the number of walkers."""


class Restored(NamedTuple):
    """A checkpoint with the series up to it, the seconds of every stage, and the number of devices it was written on.

    The state has the number of walkers that it was written with, which may not be that of the configuration.
    """

    state: TrainState
    log: SeriesLog
    seconds: dict[str, float]
    devices: int


class RunDirectory:
    """One run's files.

    Attributes:
        path: the directory.
        config: its complete configuration.
        secret: the key that every file is signed with, or None.
    """

    def __init__(self, path: str | os.PathLike[str], config: Config, secret: Secret = None) -> None:
        self.path = Path(path)
        self.config = config
        self.secret = secret

    @property
    def digest(self) -> str:
        """What checkpoints are compared with."""
        return config_digest(self.config)

    @classmethod
    def open(cls, path: str | os.PathLike[str], secret: Secret = None) -> RunDirectory:
        """An existing run, its configuration checked as strictly as a new one.

        Raises:
            InputError: no such directory, no run in it, or a configuration that can't be.
            SignatureError: the configuration isn't signed with `secret`.
        """
        path = Path(path)
        if not path.is_dir():
            raise InputError(f"{path} isn't a directory: give the one that a run was written to (--out)")
        if not (path / CONFIG).is_file():
            raise InputError(f"{path} holds no run: it has no {CONFIG}. Give the directory of a run (--out)")
        values = read_config(path / CONFIG, lambda raw: check_text(path / CONFIG, secret, raw))
        section = values.get("system", {})
        if isinstance(section, Mapping) and "source" in section:  # could name any file of this machine
            raise InputError(f"{path / CONFIG} has system.source, where the configuration of a run has the atoms "
                             "themselves: restore it from a copy")
        custom = check_custom(values.get("custom", {}))
        return cls(path, resolve(from_dict(section), [Layer(str(path / CONFIG), values)], custom), secret)

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
            return RunDirectory.open(self.path, self.secret).digest == self.digest
        except (InputError, SignatureError):
            return False

    def save_config(self) -> None:
        """Write config.toml."""
        with atomic_write(self.path / CONFIG) as temporary:
            temporary.write_bytes(sign_text(self.secret, config_to_text(self.config)).encode("utf-8"))

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes out, as far as the file system can.

        Raises:
            InputError: another process is at work here, or the directory can't be written to.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
            file = open(os.open(self.path / LOCK, flags, 0o666), "rb+", buffering=0)
        except OSError as error:
            raise InputError(f"{self.path} can't be written to: {error.strerror}. Give another directory") from error
        with file:
            _lock_file(file, self.path)
            yield

    def save_mean_field(self, mean_field: MeanField) -> None:
        """Write scf.h5."""
        arrays = {field.name: getattr(mean_field, field.name) for field in dataclasses.fields(mean_field)}
        save_tree(self.path / SCF, arrays, self._scf_attributes(), self.secret)

    def load_mean_field(self) -> MeanField | None:
        """The mean field of scf.h5, or None if there is none that belongs to this configuration."""
        path = self.path / SCF
        if not path.is_file():
            return None
        try:
            arrays, attributes = load_arrays(path, max_bytes=_MAX_SCF, secret=self.secret)
            if any(attributes.get(name) != value for name, value in self._scf_attributes().items()):
                return None
            return check_mean_field(path, arrays, from_dict(self.config["system"]))
        except SignatureError:
            raise
        except CheckpointError as error:
            logging.getLogger("nnqmc").warning("%s Hartree-Fock is done again.", error)
            return None

    def _scf_attributes(self) -> dict[str, Any]:
        return {"scf": self.config["scf"], "system": self.config["system"]}

    def newest(self) -> Path | None:
        """The newest checkpoint, good or not."""
        return next(reversed(list_checkpoints(self.path)), None)

    def newest_good(self, template: Template) -> Path | None:
        """The newest checkpoint that can be read whole, by its digest; None before the first one.

        Raises:
            CheckpointError: there are some, and none of them can be read.
        """
        return latest_checkpoint(self.path, max_bytes=self._most_bytes(template), secret=self.secret)

    def _most_bytes(self, template: Template) -> int:
        """Return the largest checkpoint that is read: twice what it can need, so that the message on a state of another
        size is the one that names it.
        """
        return 2 * largest_tree(template(_MOST_WALKERS * self.config["train"]["walkers"]))

    def save_log(self, log: SeriesLog) -> None:
        """Write the series alone; rows after the newest checkpoint are cut when the run goes on from there."""
        log.save(self.path / TRAIN, self.secret)

    def save_state(self, state: TrainState, log: SeriesLog, seconds: Mapping[str, float],
                   devices: int | None = None) -> None:
        """Write the series up to this step and then the checkpoint, so that the series is never the shorter one.

        Args:
            state: to be resumed.
            log: all rows so far.
            seconds: of every stage so far.
            devices: how many the walkers are spread over, if not as many as here.
        """
        self.save_log(log)
        attributes = {"config": self.digest, "seconds": dict(seconds), "devices": devices or n_devices(),
                      "walkers": state.sampler.n_walkers}
        save_checkpoint(self.path, state, int(state.step), attributes, secret=self.secret)

    def load_state(self, template: Template) -> Restored | None:
        """Return what the newest good checkpoint holds, or None before the first one.

        Args:
            template: gives the form that the state must have, for the number of walkers that the checkpoint says.

        Raises:
            CheckpointError: no checkpoint can be used, or it belongs to another configuration.
        """
        newest = self.newest_good(template)
        if newest is None:
            return None

        def like(attributes: Mapping[str, Any]) -> TrainState:
            return template(check_count(newest, "walkers", attributes.get("walkers")))

        state, attributes = load_checkpoint(newest, like, {"config": self.digest}, max_bytes=self._most_bytes(template),
                                            secret=self.secret)
        if int(state.step) != attributes["step"]:
            raise CheckpointError(f"{newest} says step {attributes['step']} and holds step {int(state.step)}. "
                                  "Restore it from a copy, or remove it to go on from the one before.")
        return Restored(state, self._load_log(int(state.step)), check_seconds(newest, attributes.get("seconds", {})),
                        check_count(newest, "devices", attributes.get("devices", 1)))

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
            log = SeriesLog.load(path, max_bytes=_MAX_TRAIN, secret=self.secret)
            if len(log):
                check_columns(path, log.arrays, TRAINING_SERIES)
        except SignatureError:
            raise
        except CheckpointError as error:
            raise CheckpointError(f"{error} To go on without the learning curve so far, move it away.") from error
        if log.attributes.get("config") != self.digest:
            raise CheckpointError(f"{path} belongs to another configuration: restore the one that belongs "
                                  "to this run, or move it away to go on without it.")
        log.truncate(step)
        if step > (log.last_step or 0):
            logging.getLogger("nnqmc").warning("%s ends at step %d: the learning curve has a gap up to step %d", path,
                                               log.last_step or 0, step)
        return log

    def save_evaluation(self, series: Mapping[str, Any], attributes: Mapping[str, Any]) -> None:
        """Write evaluate.h5."""
        save_series(self.path / EVALUATE, series, attributes, self.secret)

    def save_partial(self, progress: EvaluationState, attributes: Mapping[str, Any]) -> None:
        """Write what is measured so far."""
        write_partial(self.path / PARTIAL, progress, attributes, self.secret)

    def load_partial(self, evaluation: Mapping[str, Any], like: EvaluationState
                     ) -> tuple[EvaluationState, float] | None:
        """What was kept of this evaluation and the seconds it took, or None; see `read_partial`."""
        return read_partial(self.path / PARTIAL, evaluation, like, self.secret)

    def remove_partial(self) -> None:
        """An evaluation is complete, and what was kept on its way isn't needed any more."""
        with contextlib.suppress(OSError):
            (self.path / PARTIAL).unlink()

    def load_series(self, name: str) -> dict[str, Any]:
        """The series of train.h5 or evaluate.h5.

        Raises:
            CheckpointError: the file is damaged or altered, or lacks what a run writes.
        """
        max_bytes = _MAX_TRAIN if name == TRAIN else MAX_BYTES
        series = load_series(self.path / name, max_bytes=max_bytes, secret=self.secret)[0]
        if series:
            check_columns(self.path / name, series, TRAINING_SERIES if name == TRAIN else EVALUATION_SERIES)
        return series

    def save_result(self, result: Result) -> None:
        """Write result.json."""
        plain = sign_json(self.secret, result.to_dict())
        text = json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        with atomic_write(self.path / RESULT) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def load_result(self) -> Result | None:
        """The result in result.json, or None without one.

        Raises:
            CheckpointError: the file can't be read as a result, or isn't signed as it has to be.
        """
        path = self.path / RESULT
        if not os.path.lexists(path):
            return None
        try:
            plain = json.loads(read_file(path, _MAX_TEXT).decode("utf-8"), parse_float=_number, parse_constant=_number)
            if words := forbidden_content(plain):
                raise CheckpointError(f"it holds {words}")
            check_json(path, self.secret, plain)
            return Result.from_dict(plain)
        except SignatureError:
            raise
        except (OSError, ValueError, ArithmeticError, RecursionError, CheckpointError) as error:
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
    if not path.is_file():  # a pipe would be waited for
        return False
    try:
        values = read_config(path)
    except InputError:
        return False
    return "nnqmc" in values and "system" in values


def _number(text: str) -> float:
    """A number of result.json; JSON has no infinity, but Python reads one."""
    if not abs(number := float(text)) <= _LARGEST_NUMBER:
        raise ValueError(f"it holds the number {text:.30}, and none beyond {_LARGEST_NUMBER:g} is written there")
    return number


def _lock_file(file: Any, path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # not a POSIX system
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(f"another process is at work in {path}: wait for it, or give another directory") from error
    except OSError as error:
        logging.getLogger("nnqmc").warning("%s can't be locked (%s): let no other process work in it",
                                           path, error.strerror or error)
