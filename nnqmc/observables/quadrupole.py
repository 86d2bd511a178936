"""The electric quadrupole moment."""

from __future__ import annotations

from typing import Annotated

import jax.numpy as jnp
from jaxtyping import Array, Float

from nnqmc.observables.observable import Observable
from nnqmc.observables.origin import centre_of_charge, origin_text
from nnqmc.ranges import Between
from nnqmc.typing import BoundLogPsi, Electrons, Key, System
from nnqmc.units import E_BOHR2_IN_DEBYE_ANGSTROM


def quadrupole(every: Annotated[int, Between(1, 10**6)] = 1) -> Observable:
    """Return the traceless quadrupole moment sum_k q_k (3 r_k r_k - r_k^2 1)/2 in debye angstrom, as a (3, 3) matrix.

    The sum is over nuclei and electrons, with positions counted from the centre of nuclear charge. Unless charge and
    dipole moment vanish it depends on that origin, and a sentence says so where they aren't known to. For a linear
    molecule along z the moment that is usually quoted is the zz element. The definition with the factor 1/2 is that of
    A. D. Buckingham, Q. Rev. Chem. Soc. 13, 183 (1959), doi:10.1039/QR9591300183.

    Args:
        every: it is measured at every so many steps.

    Raises:
        InputError: `every` is out of range.
    """
    return Observable("quadrupole", "debye angstrom", _local, every=every, caveats=_origin)


def _local(psi: BoundLogPsi, electrons: Electrons, system: System, key: Key) -> Float[Array, "3 3"]:
    """Return the quadrupole moment of one walker about the centre of nuclear charge in debye angstrom."""
    centre = centre_of_charge(system)
    atoms, places = jnp.asarray(system.atoms) - centre, electrons - centre
    second = jnp.einsum("k,ka,kb->ab", jnp.asarray(system.charges), atoms, atoms) - jnp.einsum("ka,kb", places, places)
    return 0.5 * E_BOHR2_IN_DEBYE_ANGSTROM * (3.0 * second - jnp.trace(second) * jnp.eye(3, dtype=second.dtype))


def _origin(system: System) -> tuple[str, ...]:
    """Return where the origin is, unless the system is a neutral atom, for which it doesn't matter."""
    if system.n_atoms == 1 and system.charge == 0:
        return ()
    return (f"unless charge and dipole moment vanish, it depends on the origin: here {origin_text(system)}",)
