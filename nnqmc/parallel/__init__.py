"""Spread walkers over chunks, devices and processes.

The modules `processes` (several programs on one run) and `threads` (of one processor) are imported by name where they
are needed.
"""

from nnqmc.parallel.devices import devices_for, devices_text
from nnqmc.parallel.walkers import (
    BY_WALKER,
    EVERYWHERE,
    inside,
    n_devices,
    over_devices,
    over_walkers,
    placed,
    shardings,
    walker_keys,
)

__all__ = ["BY_WALKER", "EVERYWHERE", "devices_for", "devices_text", "inside", "n_devices", "over_devices",
           "over_walkers", "placed", "shardings", "walker_keys"]
