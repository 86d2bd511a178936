"""A guard against blow-ups: where a direction is far longer than those before it, parameters go some steps back."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from nnqmc.ranges import Between
from nnqmc.typing import Params

Guard = Annotated[float, Between(0.0)]
"""How many times longer than usual a direction must be for a rewind; 0 never rewinds."""

_WINDOW, _BACK, _MOST = 50, 25, 10
"""Directions whose median is the usual length, steps between two kept copies of the parameters, and the largest number
of rewinds of a run."""


class GuardState(NamedTuple):
    """The state of a guard.

    Attributes:
        direction: the state of the transformation that finds directions.
        length: the state of the transformation that turns them into steps.
        norms: the norms of the last directions, in a ring.
        count: steps since the start or the last rewind.
        newer: a copy of the parameters, at most 25 steps old.
        older: the copy before that, to which a rewind leads.
        rewinds: the rewinds so far.
    """

    direction: Any
    length: Any
    norms: Float[Array, "_window"]
    count: Int[Array, ""]
    newer: Params
    older: Params
    rewinds: Int[Array, ""]


def guarded(direction: optax.GradientTransformationExtraArgs, length: optax.GradientTransformation, factor: float
            ) -> optax.GradientTransformationExtraArgs:
    """Return the chain of two transformations, which returns to earlier parameters before training diverges.

    A direction longer than `factor` times the median of the last 50 leads to no step. The parameters return to what
    they were 25 to 50 steps ago, `direction` starts anew, without the momentum it had, and the lengths of the next 50
    directions are collected before the guard looks again. The steps after a rewind have random numbers of their own,
    since the number of the step goes on. After 10 rewinds nothing is rewound any more.
    """
    if factor == 0.0:
        return optax.chain(direction, length)

    def init(params: Params) -> GuardState:
        norms = jnp.zeros(_WINDOW, jax.tree.leaves(params)[0].dtype)
        zero = jnp.zeros((), jnp.int32)
        return GuardState(direction.init(params), length.init(params), norms, zero, params, params, zero)

    def update(grads: Params, state: GuardState, params: Params, **extra: Any) -> tuple[Params, GuardState]:
        found, inner = direction.update(grads, state.direction, params, **extra)
        steps, outer = length.update(found, state.length, params)
        norm = jnp.linalg.norm(ravel_pytree(found)[0])
        is_blown = (state.count >= _WINDOW) & (state.rewinds < _MOST) & (norm > factor * jnp.median(state.norms))
        is_kept = (state.count % _BACK == 0) & ~is_blown

        def chosen(if_true: Any, if_false: Any, condition: Array = is_blown) -> Any:
            return jax.tree.map(lambda yes, no: jnp.where(condition, yes, no), if_true, if_false)

        back = jax.tree.map(jnp.subtract, state.older, params)
        count = jnp.where(is_blown, 0, state.count + 1)
        return chosen(back, steps), GuardState(
            direction=chosen(direction.init(params), inner), length=outer,
            norms=state.norms.at[state.count % _WINDOW].set(norm), count=count,
            newer=chosen(state.older, chosen(params, state.newer, is_kept)),
            older=chosen(state.newer, state.older, is_kept), rewinds=state.rewinds + is_blown)

    return optax.GradientTransformationExtraArgs(init, update)
