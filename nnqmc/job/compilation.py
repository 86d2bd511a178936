"""Compiles the programs of a run in the background, while something else is computed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import jax

from nnqmc.methods import Step
from nnqmc.parallel import BY_WALKER, EVERYWHERE, inside, placed, shardings
from nnqmc.parallel.states import STATE_PLACES
from nnqmc.typing import PyTree, TrainState


class Program:
    """A function that is traced and compiled in a thread of its own.

    Args:
        function: a pure function of arrays.
        arguments: returns arrays, or `jax.ShapeDtypeStruct`s in their place; their shapes, dtypes and, on several
            devices, places are those that the compiled function can be called with. It may wait for another program.
        places: BY_WALKER or EVERYWHERE for each result on several devices, as a prefix of the pytree of results.

    Attributes:
        traced: future of the traced function, whose callbacks run before the function is compiled.
        compiled: future of what can be called.
    """

    def __init__(self, function: Callable[..., Any], arguments: Callable[[], tuple[Any, ...]], places: PyTree) -> None:
        self._mesh, self._places = jax.sharding.get_mesh(), places  # each thread has a mesh of its own

        def trace() -> Any:
            with inside(self._mesh):
                options = {} if self._mesh.empty else {"out_shardings": shardings(places)}
                return jax.jit(function, **options).trace(*arguments())

        def translate() -> Any:
            with inside(self._mesh):
                return self.traced.result().lower().compile()

        executor = ThreadPoolExecutor(1, thread_name_prefix="nnqmc-compile")
        self.traced: Future[Any] = executor.submit(trace)
        self.compiled: Future[Any] = executor.submit(translate)
        executor.shutdown(wait=False)

    def outputs(self) -> PyTree:
        """Return the shapes, dtypes and places of the results, as soon as the function is traced."""
        outputs = self.traced.result().out_info
        with inside(self._mesh):
            return outputs if self._mesh.empty else placed(outputs, self._places)


class Programs:
    """The programs that a run repeats, each compiled once for states of one form.

    Args:
        step: both parts of the training step.
        measure: what evaluation does after the first part of the step.

    Attributes:
        started: by name the programs that were asked for, compiled or not.
    """

    def __init__(self, step: Step, measure: Callable[..., Any] | None = None) -> None:
        self._step, self._measure = step, measure
        self.started: dict[str, Program] = {}

    def walk(self, state: TrainState) -> Program:
        """Return the program that moves the walkers and measures local energies."""
        return self._once("walk", self._step.walk, lambda: (state.key, state.step, state.params, state.sampler),
                          (STATE_PLACES.sampler, BY_WALKER, EVERYWHERE))

    def update(self, state: TrainState) -> Program:
        """Return the program of the rest of a training step."""
        walk = self.walk(state)
        return self._once("update", self._step.update, lambda: (state, *walk.outputs()), (STATE_PLACES, EVERYWHERE))

    def measure(self, state: TrainState) -> Program:
        """Return the program of what a step of the evaluation does after `walk`."""
        walk = self.walk(state)
        return self._once("measure", self._measure, lambda: (state.key, state.step, state.average, *walk.outputs()),
                          EVERYWHERE)

    def training_step(self, state: TrainState) -> Step:
        """Return the compiled training step; waits for it."""
        return Step(self.walk(state).compiled.result(), self.update(state).compiled.result())

    def _once(self, name: str, *making: Any) -> Program:
        """Return the program of this name, made by `Program(*making)` if it isn't there."""
        if name not in self.started:
            self.started[name] = Program(*making)
        return self.started[name]


MAKER: ContextVar[Callable[..., Programs]] = ContextVar("MAKER", default=Programs)
"""Makes the programs of a run from its step and its measurement; studies set one that lets their runs share them."""
