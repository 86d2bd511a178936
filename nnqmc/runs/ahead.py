"""Programs compiled in the background, while something else is computed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
from jax.sharding import PartitionSpec

from nnqmc.cli.program import COMPILING
from nnqmc.parallel import inside


def compile_ahead(function: Callable[..., Any], *arguments: Any, carry: int = 0,
                  look: Callable[[Any], None] | None = None) -> Future[Any]:
    """`function`, compiled in a thread of its own for arguments of these shapes, dtypes and places.

    Args:
        function: pure, of arrays; gives back one argument, advanced, and numbers besides.
        arguments: arrays, or `jax.ShapeDtypeStruct`s in their place.
        carry: which argument it gives back; on several devices that stays where it is, and the numbers go to all.
        look: called with the traced function before it is compiled.

    Returns:
        A future of the compiled function; asking it for its result waits for the compiler, or raises what went wrong.
    """
    mesh = jax.sharding.get_mesh()  # each thread has its own

    def compiled() -> Any:
        if mesh.empty:
            return traced_and_seen(jax.jit(function))
        places = jax.tree.map(lambda array: array.sharding, arguments[carry])
        with inside(mesh):
            return traced_and_seen(jax.jit(function, out_shardings=(places, PartitionSpec())))

    def traced_and_seen(program: Any) -> Any:
        traced = program.trace(*arguments)
        if look is not None:
            look(traced)
        return traced.lower().compile()

    with_one_thread = ThreadPoolExecutor(1, thread_name_prefix=COMPILING)
    future = with_one_thread.submit(compiled)
    with_one_thread.shutdown(wait=False)
    return future
