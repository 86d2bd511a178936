"""Choose the devices that share a number of walkers, and say which they are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import jax

from nnqmc.errors import InputError
from nnqmc.parallel.walkers import n_devices, over_devices


@contextlib.contextmanager
def devices_for(n_walkers: int) -> Iterator[None]:
    """Spread walkers, while the block runs, over the devices that `over_devices` chose or all that can share them.

    On one device nothing is changed at all.

    Raises:
        InputError: the chosen devices, or those of all processes, can't share the walkers evenly.
    """
    there, is_chosen = jax.device_count(), not jax.sharding.get_mesh().empty
    if is_chosen:
        number = n_devices()
    elif jax.process_count() > 1:
        number = there
    else:
        number = max(n for n in range(1, there + 1) if n_walkers % n == 0)
    if n_walkers % number:
        fitting = [n for n in (n_walkers // number * number, (n_walkers // number + 1) * number) if n]
        raise InputError(f"{n_walkers} walkers can't be shared evenly by {number} devices: give --walkers "
                         f"{' or '.join(map(str, fitting))}, or another number of devices")
    with contextlib.nullcontext() if is_chosen or there == 1 else over_devices(None if number == there else number):
        yield


def devices_text(n_walkers: int) -> str:
    """Return a phrase for messages such as ', on 4 devices', or '' where there is one device only."""
    number, there = n_devices(), jax.device_count()
    if there == 1:
        return ""
    processes = f" of {jax.process_count()} processes" if jax.process_count() > 1 else ""
    if number == there:
        return f", on {number} devices{processes}"
    hint = f" ({there} could share {(n_walkers // there + 1) * there} walkers)" if n_walkers % there else ""
    return f", on {number} of {there} devices{hint}"
