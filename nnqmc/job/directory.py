"""The directory of a run is described here: what lies in it, who may write to it, and how it is read back."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from nnqmc import io
from nnqmc.config import Config, Layer, config_digest, config_to_text, read_config, resolve
from nnqmc.errors import CheckpointError, InputError, SignatureError
from nnqmc.io import Secret, SeriesLog
from nnqmc.job.build import CUSTOM
from nnqmc.job.kept_evaluation import PARTIAL
from nnqmc.job.result import Result
from nnqmc.parallel import n_devices
from nnqmc.parallel.processes import check_same, from_first, gathered, is_first
from nnqmc.scf import MeanField, are_of_mean_field
from nnqmc.system import from_dict
from nnqmc.typing import TrainState

CONFIG, SCF, TRAIN, EVALUATE = "config.toml", "scf.h5", "train.h5", "evaluate.h5"
RESULT, LOCK = "result.json", ".lock"
_DECIDE_SCF = ("scf", "system")
"""The sections of the configuration that the mean field depends on."""
_STARTED = frozenset({CONFIG, SCF, LOCK})
"""A directory with no more than this holds nothing that took long to compute."""
_MAX_BYTES = MappingProxyType({RESULT: 10**7, SCF: 2**28, TRAIN: 2**30, EVALUATE: 2**32})
"""The largest files that are read."""
_SERIES = MappingProxyType({TRAIN: (1, ("step", "energy", "variance", "rejected", "clipped")),
                            EVALUATE: (2, ("energy",))})
"""The series that are used again, and their number of axes."""
_MOST_WALKERS, _LARGEST_COUNT, _MOST_SECONDS, _LARGEST_NUMBER = 16, 10**6, 1e12, 1e100
"""The most that is read: walkers of a checkpoint for each one of the configuration, walkers and devices at all, seconds
of a stage, and numbers of result.json, since sums and products of larger ones could overflow."""
_RESTORE = "Restore it from a copy."
_LOGGER = logging.getLogger("nnqmc")

Template = Callable[[int], TrainState]
"""The form of a training state as a function of the number of walkers."""


class Restored(NamedTuple):
    """Holds a checkpoint with the walkers it was written with, the series up to it, seconds by stage, and devices."""

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
        """Return an existing run, its configuration checked as strictly as a new one; no run is an InputError."""
        path = io.as_path(path, "the directory of a run")
        return cls(path, from_first(lambda: _stored_config(path, secret)), secret)

    def check_free(self) -> None:
        """Raise InputError unless a new run may be written here, the same one by all processes; nothing is written."""
        check_same("settings", config_to_text(self.config))
        from_first(self._check_free)

    def _check_free(self) -> None:
        """Do what `check_free` does in this process alone."""
        path, found = self.path, "another run"
        try:
            names = {entry.name for entry in path.iterdir() if not io.TEMPORARY.fullmatch(entry.name)}
            if config_digest(_stored_config(path, self.secret)) == self.digest:
                found = "this run already"
        except FileNotFoundError:
            return
        except OSError as error:
            raise InputError(f"{path} can't be read: {error.strerror}. Give another directory as --out") from error
        except SignatureError:
            pass
        except InputError:
            found = ""
        if names <= _STARTED and (found or CONFIG not in names):
            return
        if not found:
            listed = ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")
            raise InputError(f"{path} holds other files ({listed}): nothing was written; give an empty or new "
                             "directory as --out")
        raise InputError(f"{path} holds {found}: `nnqmc resume {path}` continues it; give another --out for a new one")

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other commands out, as far as the file system can; where another one is at work is an InputError."""
        with contextlib.ExitStack() as stack:
            from_first(lambda: stack.enter_context(io.locked(self.path / LOCK)))
            yield

    def save_config(self) -> None:
        """Write config.toml."""
        text = config_to_text(self.config).encode("utf-8")
        from_first(lambda: io.write_file(self.path / CONFIG, io.sign(self.secret, text)))

    def save_mean_field(self, mean_field: MeanField) -> None:
        """Write scf.h5."""
        attributes = {name: self.config[name] for name in _DECIDE_SCF}
        from_first(lambda: io.save_tree(self.path / SCF, vars(mean_field), attributes, self.secret))

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
            arrays, attributes = io.load_arrays(path, max_bytes=_MAX_BYTES[SCF], secret=self.secret)
            if attributes != io.plain_attributes({name: self.config[name] for name in _DECIDE_SCF}):
                return None
            if not are_of_mean_field(arrays, system := from_dict(self.config["system"])):
                raise CheckpointError(f"{path} doesn't hold the mean field of {system.name}. {_RESTORE}")
            return arrays
        except CheckpointError as error:
            io.pass_over(error, "Hartree-Fock is done again.")
            return None

    def newest_good(self, template: Template) -> Path | None:
        """Return the newest checkpoint that this process can read whole, or None; raises as `latest_checkpoint`."""
        return io.latest_checkpoint(self.path, max_bytes=self._most_bytes(template), secret=self.secret)

    def _most_bytes(self, template: Template) -> int:
        """Return the size of the largest checkpoint that is read: twice what it needs, so as to name another size."""
        return 2 * io.largest_tree(template(_MOST_WALKERS * self.config["train"]["walkers"]))

    def save_log(self, log: SeriesLog) -> None:
        """Write the series alone; no process waits for the first, since this may be the last that it does."""
        if is_first():
            attributes = {"config": self.digest, "seed": self.config["seed"], "nnqmc": self.config["nnqmc"]}
            io.save_series(self.path / TRAIN, log.arrays, attributes, self.secret)

    def save_state(self, state: TrainState, log: SeriesLog, seconds: Mapping[str, float]) -> None:
        """Write all rows so far and then the checkpoint, in this order, so that the series is never the shorter one."""
        attributes = {"config": self.digest, "seconds": dict(seconds), "devices": n_devices(),
                      "walkers": state.sampler.n_walkers}
        whole = gathered(state)

        def write() -> None:
            self.save_log(log)
            io.save_checkpoint(self.path, whole, int(whole.step), attributes, self.secret)

        from_first(write)

    def load_state(self, template: Template) -> Restored | None:
        """Return what the newest good checkpoint holds, of the form `template` for its number of walkers, or None.

        Checkpoints of which none can be used, or one of another configuration, are a CheckpointError.
        """
        if (found := from_first(lambda: self._read_state(template))) is None:
            return None
        form = template(self.config["train"]["walkers"])  # their number changes neither names nor dtypes
        return Restored(io.from_arrays(found["arrays"], form), SeriesLog(found["series"]), found["seconds"],
                        found["devices"])

    def _read_state(self, template: Template) -> dict[str, Any] | None:
        """Return the arrays of the newest good checkpoint and what belongs to it, or None."""
        if (path := self.newest_good(template)) is None:
            return None

        def form(attributes: Mapping[str, Any]) -> TrainState:
            self._check_belongs(path, attributes)
            _check_attributes(path, attributes)
            return template(attributes["walkers"])

        arrays, attributes = io.load_arrays(path, form, max_bytes=self._most_bytes(template), secret=self.secret)
        if (step := int(arrays["step"])) != attributes["step"]:
            raise CheckpointError(f"{path} says step {attributes['step']} and holds step {step}. Restore it from a "
                                  "copy, or remove it to go on from the one before.")
        return {"arrays": arrays, "series": self._read_log(step), "seconds": attributes["seconds"],
                "devices": attributes["devices"]}

    def _check_belongs(self, path: Path, attributes: Mapping[str, Any]) -> None:
        """Raise CheckpointError unless a file was written with this configuration."""
        if attributes.get("config") != self.digest:
            raise CheckpointError(f"{path} belongs to another configuration than {CONFIG} holds: restore the one that "
                                  "belongs to it from a copy, or move it away.")

    def _read_log(self, step: int) -> dict[str, np.ndarray]:
        """Return the series up to a step; a warning says what of it is missing."""
        path = self.path / TRAIN
        if not path.exists():
            if step > 0:
                _LOGGER.warning("%s is missing: the learning curve begins at step %d", path, step)
            return {}
        try:
            series, attributes = self.load_series(TRAIN)
            self._check_belongs(path, attributes)
        except CheckpointError as error:
            raise type(error)(f"{error} To go on without the learning curve so far, move it away.") from error
        steps = series.get("step", np.zeros(0, int))
        last = max(steps[steps <= step], default=0)
        if step > last:
            _LOGGER.warning("%s ends at step %d: the learning curve has a gap up to step %d", path, last, step)
        return {name: values[steps <= step] for name, values in series.items()}

    def save_evaluation(self, series: Mapping[str, Any], attributes: Mapping[str, Any]) -> None:
        """Write evaluate.h5."""
        from_first(lambda: io.save_series(self.path / EVALUATE, series, attributes, self.secret))

    def remove_kept_evaluation(self) -> None:
        """Remove what was kept on the way of an evaluation that is complete; no process waits for the first."""
        if is_first():
            with contextlib.suppress(OSError):
                (self.path / PARTIAL).unlink()

    def load_series(self, name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the series of train.h5 or evaluate.h5 as this process reads them, and the attributes of the file.

        A file that is damaged or altered, or lacks what a run writes, is a CheckpointError.
        """
        series, attributes = io.load_series(self.path / name, max_bytes=_MAX_BYTES[name], secret=self.secret)
        _check_series(self.path / name, series)
        return series, attributes

    def save_result(self, result: Result) -> None:
        """Write result.json."""
        text = json.dumps(result.to_dict(), indent=2, ensure_ascii=False, allow_nan=False).removesuffix("\n}")
        from_first(lambda: io.write_file(self.path / RESULT, io.sign(self.secret, text.encode("utf-8"), io.IN_JSON),
                                         b"\n}\n"))

    def load_result(self) -> Result | None:
        """Return the result in result.json, or None without one; one that can't be used is a CheckpointError."""
        plain = from_first(self._read_result)
        return None if plain is None else Result.from_dict(plain)

    def _read_result(self) -> dict[str, Any] | None:
        """Return what result.json holds if it is a result."""
        path = self.path / RESULT
        if not os.path.lexists(path):
            return None
        raw = io.read_file(path, _MAX_BYTES[RESULT])
        io.check_signature(path, self.secret, raw)
        try:
            plain = json.loads(raw.decode("utf-8"), parse_float=_number, parse_constant=_number)
            if words := io.forbidden_content(plain):
                raise CheckpointError(f"it holds {words}")
            Result.from_dict(plain)
            return plain
        except (ValueError, ArithmeticError, RecursionError, CheckpointError) as error:
            raise CheckpointError(f"{path} can't be used: {error}") from error


def default_directory(name: str) -> Path:
    """Return runs/NAME, with nothing in NAME that a file system could misread."""
    plain = re.sub(r"[^A-Za-z0-9+_-]+", "_", name).lstrip("_-") or "run"
    return Path("runs") / plain[:80]


def _stored_config(path: Path, secret: Secret) -> Config:
    """Return the configuration in the directory of a run."""
    path = path / CONFIG
    if not path.is_file():
        raise InputError(f"{path.parent} holds no run: it has no {CONFIG}. Give the directory of a run (--out)")
    values = read_config(path, lambda raw: io.check_signature(path, secret, raw))
    section, custom = values.get("system", {}), values.get("custom", {})
    if isinstance(section, Mapping) and "source" in section:  # could name any file of this machine
        raise InputError(f"{path} has system.source, where the configuration of a run has the atoms themselves: "
                         "restore it from a copy")
    is_text = isinstance(custom, Mapping) and all(isinstance(text, str) for text in custom.values())
    if not is_text or not set(custom) <= set(CUSTOM):
        raise InputError(f"custom = {custom!r:.60}: it holds a description for some of {', '.join(CUSTOM)}")
    return resolve(from_dict(section), [Layer(str(path), values)], dict(custom))


def _check_series(path: Path, series: Mapping[str, np.ndarray]) -> None:
    """Raise CheckpointError unless a file of series has what a run writes; one without any series is empty."""
    n_axes, names = _SERIES[path.name]
    for name in names if series else ():
        shape = series[name].shape if name in series else None
        if shape is None or len(shape) != n_axes:
            raise CheckpointError(f"{path}: the shape of {name} is {shape}, not one of {n_axes} axes. {_RESTORE}")
    if "rejected" in names and series and not np.isin(series["rejected"], (0, 1)).all():
        raise CheckpointError(f"{path}: rejected has numbers besides 0 and 1. {_RESTORE}")
    if "step" in names and series and (series["step"].dtype != np.int64 or np.any(np.diff(series["step"]) <= 0)):
        raise CheckpointError(f"{path} has no growing steps. {_RESTORE}")


def _check_attributes(path: Path, attributes: Mapping[str, Any]) -> None:
    """Raise CheckpointError unless a checkpoint says how many walkers and devices it has, and seconds by name."""
    seconds = attributes.get("seconds")
    good = {name: type(attributes.get(name)) is int and 1 <= attributes[name] <= _LARGEST_COUNT
            for name in ("walkers", "devices")}
    good["seconds"] = isinstance(seconds, Mapping) and len(seconds) <= 100 and all(
        type(value) in (int, float) and 0 <= value <= _MOST_SECONDS for value in seconds.values())
    if wrong := [name for name, is_good in good.items() if not is_good]:
        raise CheckpointError(f"{path}: {wrong[0]} = {attributes.get(wrong[0])!r:.60}, which no run writes. {_RESTORE}")


def _number(text: str) -> float:
    """Return a number of result.json; JSON has no infinity, but Python reads one."""
    if not abs(number := float(text)) <= _LARGEST_NUMBER:
        raise ValueError(f"it holds the number {text:.30}, and none beyond {_LARGEST_NUMBER:g} is written there")
    return number
