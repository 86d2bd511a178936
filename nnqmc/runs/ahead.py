"""Programs compiled in the background, while something else is computed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax

from nnqmc.cli.program import COMPILING


def compile_ahead(function: Callable[..., Any], *arguments: Any, look: Callable[[Any], None] | None = None
                  ) -> Future[Any]:
    """`function`, compiled in a thread of its own for arguments of these shapes and dtypes.

    Args:
        function: pure, of arrays.
        arguments: arrays, or `jax.ShapeDtypeStruct`s in their place.
        look: called with the traced function before it is compiled.

    Returns:
        A future of the compiled function; asking it for its result waits for the compiler, or raises what went wrong.
    """

    def compiled() -> Any:
        traced = jax.jit(function).trace(*arguments)
        if look is not None:
            look(traced)
        return traced.lower().compile()

    with_one_thread = ThreadPoolExecutor(1, thread_name_prefix=COMPILING)
    future = with_one_thread.submit(compiled)
    with_one_thread.shutdown(wait=False)
    return future
