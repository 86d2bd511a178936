"""Moves that change which atom an electron is on, and which spin sits where: jumps and exchanges."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from nnqmc.typing import Population


def jump_or_exchange(
    numbers: Float[Array, "n_walkers 3"], electrons: Population, atoms: Float[Array, "n_atoms 3"], n_up: Int[Array, ""]
) -> tuple[Population, Bool[Array, "n_walkers"]]:
    """Return proposals that move one electron to another atom, or exchange two of opposite spin.

    Half of the walkers take each kind of move; all jump where only one spin is there.

    - A jump takes an electron, with I its nearest nucleus, to r' = r + R_J - R_I for another nucleus J. It is possible
      if J is the nearest nucleus of r', so that the way back is the same kind of jump.
    - An exchange swaps the positions of an up and a down electron.

    Electrons, nuclei J and pairs are all drawn with equal probabilities, and neither move changes a volume. A
    proposal and its way back are thus equally probable, and accepting a possible one with probability
    min(1, |psi(r')/psi(r)|^2) keeps |psi|^2 (Metropolis et al., doi:10.1063/1.1699114).

    Args:
        numbers: three independent standard normal numbers for each walker.
        electrons: the population, bohr.
        atoms: at least two nuclei, bohr.
        n_up: how many electrons are spin up; they come first.

    Returns:
        The proposals, and which of them are possible; the others must be refused.
    """
    kind, first, second = jax.scipy.special.ndtr(numbers.T)  # uniform in (0, 1)
    n_electrons, n_atoms = electrons.shape[1], atoms.shape[0]
    n_down = n_electrons - n_up
    exchange = (kind < 0.5) & (n_up > 0) & (n_down > 0)
    one = _index(first, jnp.where(exchange, n_up, n_electrons))
    other = jnp.where(exchange, n_up + _index(second, n_down), one)

    walker = jnp.arange(electrons.shape[0])
    here, there = electrons[walker, one], electrons[walker, other]
    home = _nearest(here, atoms)
    target = (home + 1 + _index(second, n_atoms - 1)) % n_atoms
    jumped = here + atoms[target] - atoms[home]
    electron = jnp.arange(n_electrons)
    proposal = jnp.where((electron == other[:, None])[..., None], here[:, None], electrons)
    arrival = jnp.where(exchange[:, None], there, jumped)
    proposal = jnp.where((electron == one[:, None])[..., None], arrival[:, None], proposal)
    return proposal, exchange | (_nearest(jumped, atoms) == target)


def _index(uniform: Float[Array, "n_walkers"], count: Int[Array, "..."] | int) -> Int[Array, "n_walkers"]:
    """Return a random index below `count`, or 0 if that is 0."""
    return jnp.clip(jnp.floor(uniform * count).astype(jnp.int32), 0, jnp.maximum(count - 1, 0))


def _nearest(positions: Float[Array, "n_walkers 3"], atoms: Float[Array, "n_atoms 3"]) -> Int[Array, "n_walkers"]:
    """Return the index of the nucleus nearest to each position."""
    return jnp.argmin(jnp.sum((positions[:, None] - atoms) ** 2, axis=-1), axis=-1)
