"""Programs that run once."""

from __future__ import annotations

from collections.abc import Callable

import jax


def quickly_compiled(function: Callable) -> Callable:
    """Compiled with as little optimisation as possible, for programs that take longer to compile than to run."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})
