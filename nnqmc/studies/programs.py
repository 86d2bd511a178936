"""Compiled programs that runs of one molecule share, with the places of its nuclei as an argument."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from nnqmc import catalog
from nnqmc.config import Config, config_digest
from nnqmc.job.build import Components, build, make_training_step
from nnqmc.job.compilation import Program, Programs
from nnqmc.methods import Step, make_measure_step
from nnqmc.methods.measurement import MeasureStep
from nnqmc.typing import PyTree

_ANYWHERE = frozenset({"spin_squared", "cusps", "virial", "forces", "forces_space_warp"})
"""Observables that know of the nuclei only by the system that they are called with, and not by that of their making."""


class Sharing:
    """Makes the programs of runs so that those that differ in nothing but the places of the nuclei are compiled once.

    Runs on several devices, runs with objects of their own
    and observables that depend on where the nuclei were when they were made have programs of their own.
    """

    def __init__(self) -> None:
        self._kept: dict[str, Program] = {}

    def maker(self, config: Config) -> Callable[..., Programs]:
        """Return what makes the programs of a run."""

        def make(step: Step, measure: MeasureStep) -> Programs:
            if config.get("custom") or not jax.sharding.get_mesh().empty:
                return Programs(step, measure)
            return _Moved(step, measure, config, self._kept)

        return make


class _Moved(Programs):
    """Programs of a run, shared with others by what they are called in `kept`."""

    def __init__(self, step: Step, measure: MeasureStep, config: Config, kept: dict[str, Program]) -> None:
        super().__init__(step, measure)
        self._config, self._components, self._kept = config, build(config), kept
        self._atoms = np.asarray(self._components.system.atoms, np.float32)

    def _once(self, name: str, function: Callable[..., Any], arguments: Callable[[], tuple[Any, ...]], places: PyTree
              ) -> Any:
        """Return the shared program of this name at the places of this run's nuclei."""
        observed = set(catalog.observed(self._config["evaluate"]["observe"]))
        if name == "measure" and not observed <= _ANYWHERE:
            return super()._once(name, function, arguments, places)
        if name not in self.started:
            key = self._key(name)
            if key not in self._kept:
                called = partial(_at, name, self._config, self._components)
                self._kept[key] = Program(called, lambda: (self._atoms, *arguments()), places)
            self.started[name] = _Placed(self._kept[key], self._atoms)
        return self.started[name]

    def _key(self, name: str) -> str:
        """Return what decides a program, besides the places of the nuclei."""
        system = self._config["system"]
        digest = config_digest(self._config | {"system": system | {"atoms": []}})
        measured = [self._config["evaluate"]["observe"], *self._components.observables]
        return json.dumps([name, digest, self._config["train"]["walkers"], measured])


def _at(name: str, config: Config, components: Components, atoms: Any, *arguments: Any) -> Any:
    """Return what a part of the training step, or "measure", returns for nuclei at `atoms` (n_atoms, 3) in bohr."""
    moved = components._replace(system=replace(components.system, atoms=atoms))
    if name == "measure":
        measure = make_measure_step(moved.log_psi, moved.system, observables=moved.observables,
                                    chunk_size=config["train"]["chunk_size"])
        return measure(*arguments)
    return getattr(make_training_step(moved), name)(*arguments)


class _Ready(NamedTuple):
    """Stands for the future of a compiled program, with the nuclei where they are in this run."""

    future: Future[Any]
    atoms: np.ndarray

    def done(self) -> bool:
        """Tell whether it is compiled."""
        return self.future.done()

    def result(self) -> Callable[..., Any]:
        """Return what can be called; waits for it."""
        return partial(self.future.result(), self.atoms)


class _Placed(Program):
    """A shared program as one run sees it; nothing is compiled for it."""

    def __init__(self, program: Program, atoms: np.ndarray) -> None:
        self.traced, self.outputs = program.traced, program.outputs  # type: ignore[method-assign]
        self.compiled = _Ready(program.compiled, atoms)
