"""Mean distances: of the electrons from the nuclei, and from each other."""

from __future__ import annotations

from typing import Annotated

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nnqmc.observables.observable import Observable
from nnqmc.ranges import Between
from nnqmc.typing import BoundLogPsi, Electrons, Key, System


def radii(every: Annotated[int, Between(1, 10**6)] = 1) -> Observable:
    """Return mean powers of the distances of electrons from nuclei and from each other, in powers of bohr.

    They are `r`, `r_squared` and `r_inverse`, the means over all electrons of r, r^2 and 1/r, with r the distance from
    the nucleus of an atom; for a molecule each is an array (n_atoms,), one number for each nucleus. For two electrons
    or more there are `r12`, `r12_squared` and `r12_inverse`, the means over all pairs. Sums over electrons, which are
    quoted as well, are larger by the number of electrons, or of pairs.

    Args:
        every: it is measured at every so many steps.

    Raises:
        InputError: `every` is out of range.
    """
    return Observable("radii", "bohr^n", _local, every=every)


def _local(psi: BoundLogPsi, electrons: Electrons, system: System, key: Key) -> dict[str, Array]:
    """Return the means of one walker."""
    from_nuclei = jnp.linalg.norm(electrons[:, None] - jnp.asarray(system.atoms, electrons.dtype), axis=-1)
    found = _powers("r", from_nuclei[:, 0] if system.n_atoms == 1 else from_nuclei)
    if system.n_electrons > 1:
        first, second = np.triu_indices(system.n_electrons, 1)
        found |= _powers("r12", jnp.linalg.norm(electrons[first] - electrons[second], axis=-1))
    return found


def _powers(name: str, distances: Float[Array, "n ..."]) -> dict[str, Array]:
    """Return the means over the first axis of the distances, of their squares and of their inverses."""
    return {name: jnp.mean(distances, axis=0), f"{name}_squared": jnp.mean(distances**2, axis=0),
            f"{name}_inverse": jnp.mean(1.0 / distances, axis=0)}
