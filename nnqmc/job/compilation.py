"""Compiles the programs of a run in the background, while something else is computed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax

from nnqmc.job.devices import STATE_PLACES
from nnqmc.methods import Step
from nnqmc.parallel import BY_WALKER, EVERYWHERE, inside, placed, shardings
from nnqmc.typing import TrainState

_THREAD = "nnqmc-compile"
"""How the names of threads begin that compile in the background."""


class Program(NamedTuple):
    """Holds a function on its way to machine code; asking a future for its result waits, or raises what went wrong.

    Attributes:
        traced: future of the function as JAX has traced it.
        outputs: future of the shapes, dtypes and places of its results.
        compiled: future of what can be called.
    """

    traced: Future[Any]
    outputs: Future[Any]
    compiled: Future[Any]


class Programs:
    """The programs that a run repeats, each compiled once, in a thread of its own.

    Args:
        step: both parts of the training step.
        measure: what evaluation does after the first part of the step.
    """

    def __init__(self, step: Step, measure: Callable[..., Any] | None = None) -> None:
        self._step, self._measure = step, measure
        self._started: dict[str, Program] = {}

    def walk(self, state: TrainState) -> Program:
        """Return the program that moves the walkers and measures local energies, for a state of this form."""
        return self._once("walk", lambda: compile_in_background(
            self._step.walk, lambda: (state.key, state.step, state.params, state.sampler),
            (STATE_PLACES.sampler, BY_WALKER, EVERYWHERE)))

    def update(self, state: TrainState, when_traced: Callable[[Any], None] | None = None) -> Program:
        """Return the program of the rest of a training step; `when_traced` gets it before it is compiled."""
        walk = self.walk(state)
        return self._once("update", lambda: compile_in_background(
            self._step.update, lambda: (state, *walk.outputs.result()), (STATE_PLACES, EVERYWHERE), when_traced))

    def measure(self, state: TrainState) -> Program:
        """Return the program of what a step of the evaluation does after `walk`."""
        walk = self.walk(state)
        return self._once("measure", lambda: compile_in_background(
            self._measure, lambda: (state.key, state.step, state.average, *walk.outputs.result()), EVERYWHERE))

    @property
    def has_update(self) -> bool:
        """Tell whether `update` was called before."""
        return "update" in self._started

    def training_step(self, state: TrainState) -> Step:
        """Return the compiled training step; waits for it."""
        return Step(self.walk(state).compiled.result(), self.update(state).compiled.result())

    def forget(self) -> None:
        """Drop all programs, since the next state has another number of walkers."""
        self._started.clear()

    def _once(self, name: str, start: Callable[[], Program]) -> Program:
        if name not in self._started:
            self._started[name] = start()
        return self._started[name]


def compile_in_background(function: Callable[..., Any], arguments: Callable[[], tuple[Any, ...]], places: Any,
                          when_traced: Callable[[Any], None] | None = None) -> Program:
    """Trace and compile a function in a thread of its own.

    Args:
        function: a pure function of arrays.
        arguments: returns arrays, or `jax.ShapeDtypeStruct`s in their place; their shapes, dtypes and, on several
            devices, places are those that the compiled function can be called with. It may wait for another program.
        places: a `PartitionSpec` for each result on several devices, as a prefix of the pytree of results.
        when_traced: called with the traced function before it is compiled.
    """
    mesh = jax.sharding.get_mesh()  # each thread has its own
    program = Program(Future(), Future(), Future())

    def work() -> None:
        try:
            with inside(mesh):
                options = {} if mesh.empty else {"out_shardings": shardings(places)}
                traced = jax.jit(function, **options).trace(*arguments())
                program.outputs.set_result(traced.out_info if mesh.empty else placed(traced.out_info, places))
                program.traced.set_result(traced)
                if when_traced is not None:
                    when_traced(traced)
                program.compiled.set_result(traced.lower().compile())
        except BaseException as error:  # whoever asks gets to know
            for future in program:
                if not future.done():
                    future.set_exception(error)

    executor = ThreadPoolExecutor(1, thread_name_prefix=_THREAD)
    executor.submit(work)
    executor.shutdown(wait=False)
    return program


def is_compiling() -> bool:
    """Tell whether a program is still being compiled in the background."""
    return any(thread.name.startswith(_THREAD) for thread in threading.enumerate())
