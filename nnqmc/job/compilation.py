"""Programs compiled in the background, while something else is computed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
from jax.sharding import NamedSharding, PartitionSpec

from nnqmc.methods import Step
from nnqmc.parallel import BY_WALKER, EVERYWHERE, inside
from nnqmc.typing import TrainState

COMPILING = "nnqmc-compile"
"""How the names of threads begin that compile in the background."""


class Program(NamedTuple):
    """A function on its way to machine code; asking a future for its result waits, or raises what went wrong.

    traced: future of the function as JAX has traced it.
    compiled: future of what can be called.
    outputs: future of the forms of its results, with their places.
    """

    traced: Future[Any]
    compiled: Future[Any]
    outputs: Future[Any]


def compile_ahead(function: Callable[..., Any], arguments: Callable[[], tuple[Any, ...]], results: Any,
                  look: Callable[[Any], None] | None = None) -> Program:
    """`function`, compiled in a thread of its own.

    Args:
        function: pure, of arrays.
        arguments: asked for arrays, or `jax.ShapeDtypeStruct`s in their place: shapes, dtypes and, on several devices,
            places are those that the compiled function can be called with. May wait for the outputs of another program.
        results: for the function's result, or for each of a tuple of them, where it goes on several devices: the
            number of the argument that it is the new value of, or a `PartitionSpec`.
        look: called with the traced function before it is compiled.
    """
    mesh = jax.sharding.get_mesh()  # each thread has its own
    program = Program(Future(), Future(), Future())

    def trace() -> Any:
        given = arguments()
        if mesh.empty:
            traced = jax.jit(function).trace(*given)
            program.outputs.set_result(traced.out_info)
            return traced

        def place(result: int | PartitionSpec) -> Any:
            return NamedSharding(mesh, result) if isinstance(result, PartitionSpec) else jax.tree.map(
                lambda array: array.sharding, given[result])

        def form(result: int | PartitionSpec, out: Any) -> Any:
            return _placed(out, place(result)) if isinstance(result, PartitionSpec) else given[result]

        traced = jax.jit(function, out_shardings=_map(place, results)).trace(*given)
        program.outputs.set_result(_map(form, results, traced.out_info))
        return traced

    def work() -> None:
        try:
            with inside(mesh):
                traced = trace()
                program.traced.set_result(traced)
                if look is not None:
                    look(traced)
                program.compiled.set_result(traced.lower().compile())
        except BaseException as error:  # whoever asks gets to know
            for future in program:
                if not future.done():
                    future.set_exception(error)

    with_one_thread = ThreadPoolExecutor(1, thread_name_prefix=COMPILING)
    with_one_thread.submit(work)
    with_one_thread.shutdown(wait=False)
    return program


def is_compiling() -> bool:
    """Tell whether a program is still being compiled in the background."""
    return any(thread.name.startswith(COMPILING) for thread in threading.enumerate())


def _map(function: Callable[..., Any], results: Any, *trees: Any) -> Any:
    return jax.tree.map(function, results, *trees, is_leaf=lambda leaf: isinstance(leaf, PartitionSpec))


def _placed(tree: Any, place: NamedSharding) -> Any:
    """The forms of arrays, with a place."""
    return jax.tree.map(lambda form: jax.ShapeDtypeStruct(form.shape, form.dtype, sharding=place), tree)


def walk_ahead(step: Step, state: TrainState) -> Program:
    """The first part of a training step, which evaluation repeats too, for a state of this form."""
    return compile_ahead(step.walk, lambda: (state.key, state.step, state.params, state.sampler),
                         (3, BY_WALKER, EVERYWHERE))


def update_ahead(step: Step, state: TrainState, walk: Program, look: Callable[[Any], None] | None = None) -> Program:
    """The second part of a training step, which goes on from the outputs of the first."""
    return compile_ahead(step.update, lambda: (state, *walk.outputs.result()), (0, EVERYWHERE), look)


def joined(walk: Program, update: Program) -> Step:
    """Both parts, once they are compiled."""
    return Step(walk.compiled.result(), update.compiled.result())
