"""The directory of a run is described here: what lies in it, who may write to it, and how it is read back."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nnqmc import io
from nnqmc.config import Config, Layer, config_digest, config_to_text, read_config, resolve
from nnqmc.errors import CheckpointError, InputError, SignatureError
from nnqmc.io import Secret, SeriesLog
from nnqmc.job.kept_evaluation import PARTIAL
from nnqmc.job.result import Result
from nnqmc.job.validation import (
    EVALUATION_SERIES,
    TRAINING_SERIES,
    check_columns,
    check_count,
    check_custom,
    check_mean_field,
    check_numbers,
)
from nnqmc.parallel import n_devices
from nnqmc.parallel.processes import check_same, from_first, gathered, is_first
from nnqmc.scf import MeanField
from nnqmc.system import from_dict
from nnqmc.typing import TrainState

CONFIG, SCF, TRAIN, EVALUATE = "config.toml", "scf.h5", "train.h5", "evaluate.h5"
RESULT, CURVE, BLOCKING, LOCK = "result.json", "energy.png", "blocking.png", ".lock"
_STARTED = frozenset({CONFIG, SCF, LOCK})
"""A directory with no more than this holds nothing that took long to compute."""
_MAX_TEXT, _MAX_SCF, _MAX_TRAIN, _MAX_EVALUATE = 10**7, 2**28, 2**30, 2**32
"""The largest result.json, scf.h5, train.h5 and evaluate.h5 that are read, in bytes."""
_LARGEST_NUMBER = 1e100
"""The largest number of result.json; sums and products of larger ones could overflow."""
_MOST_WALKERS = 16
"""A checkpoint is read that has up to so many times the walkers of the configuration."""
_LOGGER = logging.getLogger("nnqmc")

Template = Callable[[int], TrainState]
"""The form of a training state as a function of the number of walkers."""


class Restored(NamedTuple):
    """Holds a checkpoint, the series up to it, the seconds of every stage, and the number of devices it was written on.

    The state has the number of walkers that it was written with, which may not be that of the configuration. Only the
    first process has the series; the others have none.
    """

    state: TrainState
    log: SeriesLog
    seconds: dict[str, float]
    devices: int


class RunDirectory:
    """Reads and writes the files of one run.

    Where several processes work on it, the first one alone reads and writes, and tells the others what it read. They
    have to call every method at the same point, but for those that say otherwise.

    Attributes:
        path: the directory.
        config: its complete configuration.
        secret: the key that every file is signed with, or None.
    """

    def __init__(self, path: str | os.PathLike[str], config: Config, secret: Secret = None) -> None:
        self.path = io.as_path(path, "the directory of a run")
        self.config = config
        self.secret = secret

    @property
    def digest(self) -> str:
        """Return what checkpoints are compared with."""
        return config_digest(self.config)

    @classmethod
    def open(cls, path: str | os.PathLike[str], secret: Secret = None) -> RunDirectory:
        """Return an existing run, its configuration checked as strictly as a new one.

        Raises:
            InputError: no such directory, no run in it, or a configuration that can't be.
            SignatureError: the configuration isn't signed with `secret`.
        """
        path = io.as_path(path, "the directory of a run")
        return cls(path, from_first(lambda: _stored_config(path, secret)), secret)

    def check_free(self) -> None:
        """Make sure that a new run may be written here, the same one by all processes; nothing is written by this.

        Raises:
            InputError: the directory holds a run or other files, it can't be made, or the processes differ.
        """
        check_same("settings", config_to_text(self.config))
        from_first(self._check_free)

    def _check_free(self) -> None:
        """Do what `check_free` does in this process alone."""
        path = self.path
        if path.exists() and not path.is_dir():
            raise InputError(f"{path} is a file: give a directory as --out")
        names, is_ours = _names(path), _is_ours(path / CONFIG)
        if names <= _STARTED and (CONFIG not in names or is_ours):
            return
        if not is_ours:
            listed = ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")
            raise InputError(f"{path} holds other files ({listed}): nothing was written; give an empty or new "
                             "directory as --out")
        found = "another run"
        with contextlib.suppress(InputError, SignatureError):
            if config_digest(_stored_config(path, self.secret)) == self.digest:
                found = "this run already"
        raise InputError(f"{path} holds {found}: `nnqmc resume {path}` continues it; give another --out for a new one")

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other commands out, as far as the file system can.

        Raises:
            InputError: another process is at work here, or the directory can't be written to.
        """
        with contextlib.ExitStack() as stack:
            from_first(lambda: stack.enter_context(io.locked(self.path / LOCK)))
            yield

    def save_config(self) -> None:
        """Write config.toml."""
        from_first(lambda: io.write_text(self.path / CONFIG, io.sign_text(self.secret, config_to_text(self.config))))

    def save_mean_field(self, mean_field: MeanField) -> None:
        """Write scf.h5."""
        from_first(lambda: io.save_tree(self.path / SCF, vars(mean_field), self._scf_attributes(), self.secret))

    def load_mean_field(self) -> MeanField | None:
        """Return the mean field of scf.h5, or None if there is none that belongs to this configuration."""
        arrays = from_first(self._read_mean_field)
        return None if arrays is None else MeanField(**arrays)

    def _read_mean_field(self) -> dict[str, Any] | None:
        """Return the arrays of scf.h5, or None; a damaged file is passed over with a warning."""
        path = self.path / SCF
        if not path.is_file():
            return None
        try:
            arrays, attributes = io.load_arrays(path, max_bytes=_MAX_SCF, secret=self.secret)
            if any(attributes.get(name) != value for name, value in self._scf_attributes().items()):
                return None
            check_mean_field(path, arrays, from_dict(self.config["system"]))
        except SignatureError:
            raise
        except CheckpointError as error:
            _LOGGER.warning("%s Hartree-Fock is done again.", error)
            return None
        return arrays

    def _scf_attributes(self) -> dict[str, Any]:
        """Return what the mean field depends on."""
        return {"scf": self.config["scf"], "system": self.config["system"]}

    def newest(self) -> Path | None:
        """Return the newest checkpoint, good or not, as this process sees it."""
        return next(reversed(io.list_checkpoints(self.path)), None)

    def newest_good(self, template: Template) -> Path | None:
        """Return the newest checkpoint that this process can read whole; None before the first one.

        Raises:
            CheckpointError: there are some, and none of them can be read.
        """
        return io.latest_checkpoint(self.path, max_bytes=self._most_bytes(template), secret=self.secret)

    def _most_bytes(self, template: Template) -> int:
        """Return the size of the largest checkpoint that is read: twice what it needs, so that another size is named.
        """
        return 2 * io.largest_tree(template(_MOST_WALKERS * self.config["train"]["walkers"]))

    def save_log(self, log: SeriesLog) -> None:
        """Write the series alone; rows after the newest checkpoint are cut when the run goes on from there.

        No process waits for the first, since this may be the last that it does.
        """
        if is_first():
            log.save(self.path / TRAIN, self.secret)

    def save_state(self, state: TrainState, log: SeriesLog, seconds: Mapping[str, float]) -> None:
        """Write the series up to this step and then the checkpoint, so that the series is never the shorter one.

        Args:
            state: to be resumed.
            log: all rows so far.
            seconds: of every stage so far.
        """
        attributes = {"config": self.digest, "seconds": dict(seconds), "devices": n_devices(),
                      "walkers": state.sampler.n_walkers}
        whole = gathered(state)

        def write() -> None:
            log.save(self.path / TRAIN, self.secret)
            io.save_checkpoint(self.path, whole, int(whole.step), attributes, self.secret)

        from_first(write)

    def load_state(self, template: Template) -> Restored | None:
        """Return what the newest good checkpoint holds, of the form `template` for its number of walkers, or None.

        Raises:
            CheckpointError: no checkpoint can be used, or it belongs to another configuration.
        """
        logs = [self.new_log()]

        def read() -> dict[str, Any] | None:
            if (newest := self.newest_good(template)) is None:
                return None

            def like(attributes: Mapping[str, Any]) -> TrainState:
                return template(check_count(newest, "walkers", attributes.get("walkers")))

            arrays, attributes = io.load_arrays(newest, like, expected={"config": self.digest},
                                                max_bytes=self._most_bytes(template), secret=self.secret)
            if (step := int(arrays["step"])) != attributes["step"]:
                raise CheckpointError(f"{newest} says step {attributes['step']} and holds step {step}. Restore it from "
                                      "a copy, or remove it to go on from the one before.")
            logs[0] = self._load_log(step)
            return {"arrays": arrays, "seconds": check_numbers(newest, "seconds", attributes.get("seconds", {})),
                    "devices": check_count(newest, "devices", attributes.get("devices", 1))}

        if (found := from_first(read)) is None:
            return None
        form = template(self.config["train"]["walkers"])  # their number changes neither names nor dtypes
        return Restored(io.from_arrays(found["arrays"], form), logs[0], found["seconds"], found["devices"])

    def new_log(self) -> SeriesLog:
        """Return an empty series for train.h5."""
        return SeriesLog({"config": self.digest, "seed": self.config["seed"], "nnqmc": self.config["nnqmc"]})

    def _load_log(self, step: int) -> SeriesLog:
        """Return the series up to a step; a warning says what of it is missing."""
        path = self.path / TRAIN
        if not path.exists():
            if step > 0:
                _LOGGER.warning("%s is missing: the learning curve begins at step %d", path, step)
            return self.new_log()
        try:
            log = SeriesLog.load(path, max_bytes=_MAX_TRAIN, secret=self.secret)
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
            _LOGGER.warning("%s ends at step %d: the learning curve has a gap up to step %d", path, log.last_step or 0,
                            step)
        return log

    def save_evaluation(self, series: Mapping[str, Any], attributes: Mapping[str, Any]) -> None:
        """Write evaluate.h5."""
        from_first(lambda: io.save_series(self.path / EVALUATE, series, attributes, self.secret))

    def remove_kept_evaluation(self) -> None:
        """Remove what was kept on the way of an evaluation that is complete; no process waits for the first."""
        if is_first():
            with contextlib.suppress(OSError):
                (self.path / PARTIAL).unlink()

    def load_series(self, name: str) -> dict[str, Any]:
        """Return the series of train.h5 or evaluate.h5 as this process reads them.

        Raises:
            CheckpointError: the file is damaged or altered, or lacks what a run writes.
        """
        max_bytes, axes = (_MAX_TRAIN, TRAINING_SERIES) if name == TRAIN else (_MAX_EVALUATE, EVALUATION_SERIES)
        series = io.load_series(self.path / name, max_bytes=max_bytes, secret=self.secret)[0]
        check_columns(self.path / name, series, axes)
        return series

    def save_result(self, result: Result) -> None:
        """Write result.json."""
        plain = io.sign_json(self.secret, result.to_dict())
        text = json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        from_first(lambda: io.write_text(self.path / RESULT, text))

    def load_result(self) -> Result | None:
        """Return the result in result.json, or None without one.

        Raises:
            CheckpointError: the file can't be read as a result, or isn't signed as it has to be.
        """
        plain = from_first(self._read_result)
        return None if plain is None else Result.from_dict(plain)

    def _read_result(self) -> dict[str, Any] | None:
        """Return what result.json holds if it is a result."""
        path = self.path / RESULT
        if not os.path.lexists(path):
            return None
        try:
            text = io.read_file(path, _MAX_TEXT).decode("utf-8")
            plain = json.loads(text, parse_float=_number, parse_constant=_number)
            if words := io.forbidden_content(plain):
                raise CheckpointError(f"it holds {words}")
            io.check_json(path, self.secret, plain)
            Result.from_dict(plain)
        except SignatureError:
            raise
        except (OSError, ValueError, ArithmeticError, RecursionError, CheckpointError) as error:
            raise CheckpointError(f"{path} can't be used: {error}") from error
        return plain


def default_directory(name: str) -> Path:
    """Return runs/NAME, with nothing in NAME that a file system could misread."""
    plain = re.sub(r"[^A-Za-z0-9+_-]+", "_", name).lstrip("_-") or "run"
    return Path("runs") / plain[:80]


def _stored_config(path: Path, secret: Secret) -> Config:
    """Return the configuration in the directory of a run."""
    if not path.is_dir():
        raise InputError(f"{path} isn't a directory: give the one that a run was written to (--out)")
    if not (path / CONFIG).is_file():
        raise InputError(f"{path} holds no run: it has no {CONFIG}. Give the directory of a run (--out)")
    values = read_config(path / CONFIG, lambda raw: io.check_text(path / CONFIG, secret, raw))
    section = values.get("system", {})
    if isinstance(section, Mapping) and "source" in section:  # could name any file of this machine
        raise InputError(f"{path / CONFIG} has system.source, where the configuration of a run has the atoms "
                         "themselves: restore it from a copy")
    custom = check_custom(values.get("custom", {}))
    return resolve(from_dict(section), [Layer(str(path / CONFIG), values)], custom)


def _names(path: Path) -> set[str]:
    """Return the names of all files in a directory but those that are being written."""
    try:
        return {entry.name for entry in path.iterdir() if not io.TEMPORARY.fullmatch(entry.name)}
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}. Give another directory as --out") from error


def _is_ours(path: Path) -> bool:
    """Return whether a file is the configuration of a run."""
    if not path.is_file():  # a pipe would be waited for
        return False
    try:
        return {"nnqmc", "system"} <= read_config(path).keys()
    except InputError:
        return False


def _number(text: str) -> float:
    """Return a number of result.json; JSON has no infinity, but Python reads one."""
    if not abs(number := float(text)) <= _LARGEST_NUMBER:
        raise ValueError(f"it holds the number {text:.30}, and none beyond {_LARGEST_NUMBER:g} is written there")
    return number
