"""The directory of a run that several processes work on: the first one reads and writes, and tells the others."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from nnqmc.config import config_to_text
from nnqmc.io import Secret, SeriesLog
from nnqmc.io.leaves import is_prng_key, named_leaves, restore, spec_of
from nnqmc.job.directory import Restored, RunDirectory, Template
from nnqmc.job.result import Result
from nnqmc.methods import EvaluationState, Measurement, to_host
from nnqmc.parallel import n_devices
from nnqmc.parallel.processes import are_several, arrays_from_first, check_same, from_first, gathered, is_first
from nnqmc.scf import MeanField
from nnqmc.typing import TrainState


def directory_class() -> type[RunDirectory]:
    """What a run's directory is made with, or opened."""
    return SharedDirectory if are_several() else RunDirectory


def mean_field_from_first(compute: Callable[[], MeanField | None]) -> MeanField | None:
    """What the first process computes, in all of them."""
    if not are_several():
        return compute()

    def told() -> tuple[bool, dict[str, np.ndarray]]:
        if (mean_field := compute()) is None:
            return False, {}
        names = [field.name for field in dataclasses.fields(mean_field)]
        return True, {name: np.asarray(getattr(mean_field, name)) for name in names}

    found, arrays = arrays_from_first(told)
    return MeanField(**arrays) if found else None


def measurement_from_first(measurement: Measurement) -> Measurement:
    """A measurement that gives the numbers of the first process in all.

    Unlike processors may round the same sum differently; all have to find the same error bar and stop at the same step.
    """
    if not are_several():
        return measurement

    def rows_of_first(rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
        return arrays_from_first(lambda: (None, to_host(rows)))[1]

    return dataclasses.replace(measurement, to_host=rows_of_first)


class SharedDirectory(RunDirectory):
    """One run's files. Every method has to be called by all processes at the same point."""

    @classmethod
    def open(cls, path: str | os.PathLike[str], secret: Secret = None) -> SharedDirectory:
        """An existing run; only the first process has to see it."""
        return cls(path, from_first(lambda: RunDirectory.open(path, secret).config), secret)

    def check_free(self) -> None:
        """Make sure that a new run may be written here, and that all processes are about to do the same one."""
        check_same("settings", config_to_text(self.config))
        from_first(super().check_free)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other runs out."""
        with contextlib.ExitStack() as stack:
            lock = super().lock()
            from_first(lambda: stack.enter_context(lock))
            yield

    def save_config(self) -> None:
        """Write config.toml."""
        from_first(super().save_config)

    def save_mean_field(self, mean_field: MeanField) -> None:
        """Write scf.h5."""
        from_first(lambda: RunDirectory.save_mean_field(self, mean_field))

    def load_mean_field(self) -> MeanField | None:
        """The mean field of scf.h5, or None."""
        return mean_field_from_first(super().load_mean_field)

    def save_state(self, state: TrainState, log: SeriesLog, seconds: Mapping[str, float],
                   devices: int | None = None) -> None:
        """Write the series and the checkpoint."""
        whole, devices = gathered(state), devices or n_devices()
        from_first(lambda: RunDirectory.save_state(self, whole, log, seconds, devices))

    def save_log(self, log: SeriesLog) -> None:
        """Write the series alone; no process waits for it, since it may be the last that this one does."""
        if is_first():
            super().save_log(log)

    def load_state(self, template: Template) -> Restored | None:
        """State, series and seconds at the newest good checkpoint, or None; the series on the first process only."""
        logs: list[SeriesLog] = []

        def read() -> tuple[Any, dict[str, np.ndarray]]:
            restored = RunDirectory.load_state(self, template)
            if restored is None:
                return None, {}
            logs.append(restored.log)
            leaves = named_leaves(restored.state)
            numbers = {name: jax.random.key_data(leaf) if is_prng_key(leaf) else leaf for name, leaf in leaves.items()}
            return [restored.seconds, restored.devices], jax.device_get(numbers)

        value, arrays = arrays_from_first(read)
        if value is None:
            return None
        form = template(self.config["train"]["walkers"])  # their number changes neither names nor dtypes
        leaves = [restore(spec_of(name, leaf), arrays[name], leaf) for name, leaf in named_leaves(form).items()]
        state = jax.tree.unflatten(jax.tree.structure(form), leaves)
        return Restored(state, logs[0] if is_first() else self.new_log(), *value)

    def save_evaluation(self, series: Mapping[str, Any], attributes: Mapping[str, Any]) -> None:
        """Write evaluate.h5."""
        from_first(lambda: RunDirectory.save_evaluation(self, series, attributes))

    def save_partial(self, progress: EvaluationState, attributes: Mapping[str, Any]) -> None:
        """Write what is measured so far."""
        whole = progress._replace(chains=gathered(progress.chains))
        from_first(lambda: RunDirectory.save_partial(self, whole, attributes))

    def load_partial(self, evaluation: Mapping[str, Any], like: EvaluationState
                     ) -> tuple[EvaluationState, float] | None:
        """What was kept of this evaluation, or None."""

        def read() -> tuple[Any, dict[str, np.ndarray]]:
            if (found := RunDirectory.load_partial(self, evaluation, like)) is None:
                return None, {}
            progress, seconds = found
            arrays = {f"chains.{name}": leaf for name, leaf in named_leaves(progress.chains).items()}
            rows = {f"rows.{name}": rows for name, rows in progress.rows().items()}
            return [progress.lost, progress.reached, seconds], jax.device_get(arrays) | rows

        value, arrays = arrays_from_first(read)
        if value is None:
            return None
        leaves = [restore(spec_of(name, leaf), arrays[f"chains.{name}"], leaf)
                  for name, leaf in named_leaves(like.chains).items()]
        chains = jax.tree.unflatten(jax.tree.structure(like.chains), leaves)
        rows = {name: arrays[f"rows.{name}"] for name in like.blocks[0]}
        lost, reached, seconds = value
        return EvaluationState(chains, (rows,), lost, reached), seconds

    def remove_partial(self) -> None:
        """An evaluation is complete."""
        if is_first():
            super().remove_partial()

    def save_result(self, result: Result) -> None:
        """Write result.json."""
        from_first(lambda: RunDirectory.save_result(self, result))

    def load_result(self) -> Result | None:
        """The result in result.json, or None without one."""
        plain = from_first(lambda: None if (found := RunDirectory.load_result(self)) is None else found.to_dict())
        return None if plain is None else Result.from_dict(plain)
