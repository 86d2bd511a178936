"""What surely has to be in memory at once, so that a run that can't fit is refused before anything is computed."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path

import jax

from nnqmc.errors import InputError
from nnqmc.messages import gibibytes
from nnqmc.optimizers.scores import make_scores
from nnqmc.typing import LogPsi, System, TrainState


def check_memory(state: TrainState, log_psi: LogPsi, system: System, *, has_scores: bool,
                 available: int | None = None) -> None:
    """Refuse what can't fit into memory.

    The estimate counts what surely has to be there at once: the state, and for natural gradients the scores of all
    walkers and the matrix between walkers.

    Args:
        state: the form of the training state; no number of it is read.
        log_psi: the wavefunction.
        system: the molecule.
        has_scores: whether the optimizer takes the scores of all walkers.
        available: bytes; by default what the device has.

    Raises:
        InputError: the run is too large; the message says by how much.
    """
    leaves, electrons = jax.tree.leaves(state.params), state.sampler.walkers.electrons
    n_params, n_walkers = sum(math.prod(leaf.shape) for leaf in leaves), electrons.shape[0]
    needed = 6 * 4 * n_params + 4 * 3 * system.n_electrons * n_walkers * 4
    available = available or device_memory()
    if has_scores:
        needed += 2 * 8 * n_walkers**2
        if needed + 4 * n_walkers * n_params > available:  # else there is room for them in any form
            scores = jax.eval_shape(make_scores(log_psi, system), state.params, electrons)
            needed += sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(scores))
    if needed > available:
        raise InputError(f"{n_walkers} walkers and {n_params} parameters need at least {gibibytes(needed)} of memory, "
                         f"and there are {gibibytes(available)}: use fewer --walkers or a smaller wavefunction")


def device_memory() -> int:
    """Return the bytes of the device, or of what this process may use of the host's memory."""
    device = jax.local_devices()[0]
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and stats.get("bytes_limit"):
        return int(stats["bytes_limit"])
    return host_memory()


def host_memory() -> int:
    """Return the bytes of the host's memory that this process may use; 2**62 where the system doesn't say."""
    found = []
    with contextlib.suppress(AttributeError, ValueError, OSError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with contextlib.suppress(ValueError, OSError):
        found.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))  # the limit of a container
    return min(found, default=2**62)
