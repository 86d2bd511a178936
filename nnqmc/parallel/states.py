"""The places of a training state on several devices."""

from __future__ import annotations

import jax

from nnqmc.parallel.walkers import BY_WALKER, EVERYWHERE, shardings
from nnqmc.typing import SamplerState, TrainState

STATE_PLACES = TrainState(step=EVERYWHERE, key=EVERYWHERE, params=EVERYWHERE, average=EVERYWHERE,
                          sampler=SamplerState(BY_WALKER, EVERYWHERE), opt_state=EVERYWHERE)
"""Where the parts of a training state lie on several devices: what belongs to each walker is shared out."""


def spread(state: TrainState) -> TrainState:
    """Return the state on the devices in use; it stays untouched where none were chosen."""
    if jax.sharding.get_mesh().empty:
        return state
    return jax.jit(lambda state: state, out_shardings=shardings(STATE_PLACES))(state)
