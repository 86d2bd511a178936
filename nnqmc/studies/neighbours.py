"""The runs of a study in numbered directories, each of which may start from what a neighbour has learnt."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any

import jax.numpy as jnp
import numpy as np

from nnqmc import catalog
from nnqmc.config import Config, config_digest
from nnqmc.errors import InputError, NnqmcError
from nnqmc.io import SeriesLog, as_path, read_key
from nnqmc.job import Result, RunDirectory, resume
from nnqmc.job.build import build, stage_key, state_template
from nnqmc.job.compilation import MAKER
from nnqmc.job.progress import Reporter
from nnqmc.observables import warped
from nnqmc.parallel.surroundings import usual_rules
from nnqmc.ranges import Between, settings
from nnqmc.samplers import check_state
from nnqmc.studies.programs import Sharing
from nnqmc.typing import TrainState, Walkers

NEAR = 1.0
"""A nucleus of a neighbour is at most so many bohr away."""

SHARE = 0.2
"""The share of the usual training steps that a geometry with a neighbour gets."""


def observing(config: Config, *names: str) -> Config:
    """Return the configuration of a run that measures these observables, besides those that it measures already."""
    asked = [word.strip() for word in config["evaluate"]["observe"].split(",") if word.strip()]
    asked += [name for name in names if name not in catalog.observed(",".join(asked))]
    return config | {"evaluate": config["evaluate"] | {"observe": ",".join(dict.fromkeys(asked))}}


class Runs:
    """The runs in the numbered directories of a folder; what is done isn't computed again.

    A geometry whose nuclei are within 1 bohr of those of another one of the same molecule, with the same settings,
    starts from the parameters of the nearest such one and from its walkers, which follow the nuclei by space warp, and
    takes fewer training steps. All parameters are taken over, the coefficients and exponents of Slater functions
    included: the functions sit on the nuclei and move with them, and what training has made of them is nearer to the
    ground state of the new geometry than a new fit to Hartree-Fock. Hartree-Fock is done at every geometry all the
    same, for its energy, which no result may lie above.

    Args:
        folder: the directory of the study; it may not exist yet.
        warm_steps: training steps at a geometry that has a neighbour; None is a fifth of the usual ones.
        key_file: file with the key that the runs are signed with; one that isn't is a SignatureError.

    Raises:
        InputError: warm_steps is out of range.
    """

    def __init__(self, folder: str | os.PathLike[str], warm_steps: Annotated[int | None, Between(1, 10**8)] = None,
                 key_file: str | os.PathLike[str] | None = None) -> None:
        settings(Runs.__init__)["warm_steps"].check("warm_steps", warm_steps)
        self.folder, self.warm_steps, self._sharing = as_path(folder, "out"), warm_steps, Sharing()
        self._key_file, self._secret = key_file, read_key(key_file)

    def known(self) -> Iterator[RunDirectory]:
        """Yield the runs that are there; whatever else is in the folder is passed over."""
        for path in sorted(self.folder.glob("[0-9]*")):
            if path.name.isdecimal():
                with contextlib.suppress(InputError):
                    yield RunDirectory.open(path, self._secret)

    def find(self, config: Config, known: list[RunDirectory] | None = None) -> RunDirectory | None:
        """Return the run of this configuration if it was begun already, from Hartree-Fock or from a neighbour."""
        for directory in self.known() if known is None else known:
            if is_same(directory.config, config) or (is_same(directory.config, self._warm(config))
                                                     and any(directory.path.glob("checkpoint-*.h5"))):
                return directory
        return None

    def begin(self, config: Config) -> RunDirectory:
        """Return the run of a configuration, begun now if it isn't there, alone or from its nearest neighbour."""
        known = list(self.known())
        if (found := self.find(config, known)) is not None:
            return found
        path = self.folder / f"{1 + max((int(run.path.name) for run in known), default=0):04d}"
        neighbour = nearest(known, config)
        new = RunDirectory(path, config if neighbour is None else self._warm(config), self._secret)
        new.check_free()
        if neighbour is not None:
            begin_from(new, neighbour)
        else:
            path.mkdir(parents=True, exist_ok=True)
            with new.lock():
                new.save_config()
        return new

    def complete(self, directory: RunDirectory, *, progress: bool | Reporter = True, max_time: float | None = None
                 ) -> Result:
        """Return the result of a run that was begun; raises as `nnqmc.resume`."""
        token = MAKER.set(self._sharing.maker(directory.config))
        try:
            return resume(directory.path, progress=progress, max_time=max_time, key_file=self._key_file)
        finally:
            MAKER.reset(token)

    def _warm(self, config: Config) -> Config:
        """Return the configuration of a geometry that has a neighbour."""
        usual = max(round(SHARE * config["train"]["steps"]), 1)
        steps = usual if self.warm_steps is None else self.warm_steps
        return config | {"train": config["train"] | {"steps": steps}}


def is_same(one: Config, other: Config) -> bool:
    """Tell whether two configurations give the same numbers: lengths, walkers and accuracy are alike, too."""
    lengths = [([config["train"][name] for name in ("steps", "walkers", "accuracy")], config["evaluate"])
               for config in (one, other)]
    return lengths[0] == lengths[1] and config_digest(one) == config_digest(other)


def nearest(known: list[RunDirectory], config: Config) -> RunDirectory | None:
    """Return the complete run of the same molecule and settings whose nuclei are the nearest ones, if near enough."""
    def kind(config: Config) -> tuple[Any, ...]:
        train = config["train"]
        return train["walkers"], train["accuracy"], config_digest(config | {"system": config["system"] | {"atoms": []}})

    def distance(directory: RunDirectory) -> float:
        moves = np.subtract(directory.config["system"]["atoms"], config["system"]["atoms"])
        return float(np.linalg.norm(moves, axis=-1).max())

    def is_complete(directory: RunDirectory) -> bool:
        with contextlib.suppress(NnqmcError):
            return directory.load_result() is not None
        return False

    same = [each for each in known if kind(each.config) == kind(config) and is_complete(each)]
    near = [each for each in same if distance(each) <= NEAR]
    return min(near, key=distance, default=None)


@usual_rules()
def begin_from(directory: RunDirectory, neighbour: RunDirectory) -> None:
    """Write a checkpoint before the first step: parameters of the neighbour, and its walkers moved with the nuclei.

    The configuration is written last, so that a directory that has one also has the checkpoint.
    """
    before, now = build(neighbour.config), build(directory.config)
    restored = neighbour.load_state(partial(state_template, neighbour.config, before))
    if restored is None:
        raise InputError(f"{neighbour.path} has no checkpoint any more: remove that directory, and run this again")
    state = restored.state
    walkers = state.sampler.walkers
    electrons = warped(walkers.electrons, before.system.atoms, now.system.atoms)
    chains = check_state(now.sampler.init(Walkers(electrons, walkers.log_weight), now.system))
    if hasattr(chains.shared, "width"):
        chains = chains._replace(shared=chains.shared._replace(width=state.sampler.shared.width))
    first = TrainState(jnp.zeros((), jnp.int32), stage_key(directory.config, "train"), state.average, state.average,
                       chains, state.opt_state)
    directory.path.mkdir(parents=True, exist_ok=True)
    with directory.lock():
        directory.save_state(first, SeriesLog(), {})
        directory.save_config()
