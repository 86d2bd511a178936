"""Select walkers for populations of another size, resampling or branching, and check the form of a state."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from nnqmc.errors import InputError
from nnqmc.typing import SamplerState, Walkers


def selected(state: SamplerState, index: Int[Array, "n_selected"]) -> SamplerState:
    """Return the state whose walkers are the given ones, with everything that belongs to them.

    Args:
        state: the chains to select from.
        index: numbers of walkers. A walker named twice is copied, one that isn't named is left out.
    """
    return state._replace(per_walker=jax.tree.map(lambda rows: rows[index], state.per_walker))


def resized(state: SamplerState, n_walkers: int) -> SamplerState:
    """Return the state with another number of walkers: the first ones, or all of them and copies in turn.

    This is all that `Sampler.resize` has to do unless the shared part depends on the number of walkers. Copies part
    after some moves.

    Raises:
        InputError: `n_walkers` is less than 1.
    """
    if n_walkers < 1:
        raise InputError(f"n_walkers is {n_walkers}: it must be at least 1; pass for example n_walkers=512")
    return selected(state, jnp.arange(n_walkers) % state.n_walkers)


def check_state(state: Any) -> SamplerState:
    """Return the first state of a sampler once it is known to have the form that devices and files rely on.

    Raises:
        InputError: the state is no `SamplerState`, or an array of `per_walker` has another leading axis than
            `electrons`.
    """
    if not isinstance(state, SamplerState) or not all(hasattr(state.per_walker, name) for name in Walkers._fields):
        raise InputError(f"the sampler's init returned {_short(state)}: it must return "
                         "nnqmc.typing.SamplerState(per_walker, shared), where per_walker has the attributes "
                         f"{' and '.join(Walkers._fields)}")
    for path, rows in jax.tree_util.tree_leaves_with_path(state.per_walker):
        if rows.shape[:1] != (state.n_walkers,):
            raise InputError(f"the sampler's per_walker{jax.tree_util.keystr(path)} has the shape {rows.shape}: the "
                             f"leading axis must count the {state.n_walkers} walkers; what belongs to all of them goes "
                             "into shared")
    return state


def _short(state: Any) -> str:
    """Return the name of a state's type, and that of its per_walker if it has one."""
    name = type(state).__name__
    return f"{name}({type(state.per_walker).__name__}, ...)" if isinstance(state, SamplerState) else f"a {name}"
