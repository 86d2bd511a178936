"""Surroundings of a run: devices that aren't there, rules of debugging, a mesh of somebody else's."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from types import MappingProxyType

import jax
from jax.sharding import AxisType

from nnqmc.errors import InputError

AXIS = "walkers"
"""The only axis of nnqmc's own mesh of devices."""

_CHOICES = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME", "JAX_DEFAULT_DEVICE")
"""The variables by which JAX is told where to compute."""

_USUAL = MappingProxyType({
    "jax_numpy_rank_promotion": (jax.numpy_rank_promotion, "allow"),
    "jax_numpy_dtype_promotion": (jax.numpy_dtype_promotion, "standard"),
    "jax_disable_jit": (jax.disable_jit, False),
    "jax_check_tracer_leaks": (jax.check_tracer_leaks, False),
    "jax_debug_infs": (jax.debug_infs, False),
    "jax_transfer_guard": (jax.transfer_guard, "allow"),
})
"""The options that nnqmc can't work under, the context that sets each, and its usual value: formulas broadcast, mix
integers with floats and take logarithms of 0, programs are compiled ahead of time, and numbers go to and fro."""


def check_devices() -> None:
    """Make sure that JAX has a device to compute on.

    Raises:
        InputError: it has none; the message names the variables that chose others.
    """
    try:
        default = jax.config.jax_default_device
        jax.local_devices(backend=default if isinstance(default, str) else None)
        return
    except (RuntimeError, AssertionError) as error:  # an assertion of JAX's own where the plug-in of a GPU is missing
        reason = " ".join(str(error).split()).split(" (set JAX_")[0][:200].rstrip(".") or "no such device was found"
    known = os.environ | ({} if jax.config.jax_platforms is None else {"JAX_PLATFORMS": jax.config.jax_platforms})
    chosen = [f"{name}={known[name]}" for name in _CHOICES if known.get(name)]
    raise InputError(f"JAX can't compute with {', '.join(chosen) or 'what it finds here'}: {reason}. Unset the "
                     "variable, set JAX_PLATFORMS=cpu, or install what is missing, such as nnqmc[cuda] for NVIDIA GPUs")


@contextlib.contextmanager
def usual_rules() -> Iterator[None]:
    """Compute by the rules of JAX that nnqmc is written for while the block runs, whatever others have chosen.

    These are the rules of promotion and of debugging, and a mesh that isn't nnqmc's own counts as none. JAX keeps them
    for each thread apart, so that every thread has to enter this; nothing of JAX's global configuration is changed, and
    where all is as usual nothing is done.

    Raises:
        InputError: JAX has no device to compute on.
    """
    check_devices()
    with contextlib.ExitStack() as stack:
        for name, (enter, usual) in _USUAL.items():
            if getattr(jax.config, name) not in (usual, None):
                stack.enter_context(enter(usual))
        mesh = jax.sharding.get_mesh()
        if not mesh.empty and (mesh.axis_names != (AXIS,) or mesh.axis_types != (AxisType.Auto,)):
            stack.enter_context(jax.set_mesh(None))
        yield
