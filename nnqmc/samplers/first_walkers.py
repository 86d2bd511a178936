"""The first walkers of a run, whose electrons are placed atom by atom and shell by shell."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nnqmc.errors import InputError
from nnqmc.ranges import Between, check
from nnqmc.system.nuclei import nuclei
from nnqmc.system.shells import slater_orbitals
from nnqmc.typing import Key, Population, System


def first_walkers(
    key: Key, system: System, n_walkers: int, populations: Float[Array | np.ndarray, "n_atoms 2"],
    scattered: Annotated[float, Between(0.0, 1.0)] = 0.0,
) -> Population:
    """Draw starting positions that look like the molecule's atoms.

    In each walker every atom holds a whole number of electrons of each spin, whose average over walkers is
    `populations`. One random offset u per walker rounds the running sums c_a of the populations over atoms taken in
    random order: atom a holds floor(c_a + u) - floor(c_(a-1) + u) up electrons. The down electrons use 1 - u, so that
    an extra up electron tends to come with one down electron less and ions stay rare. On its atom the k-th electron of
    a spin takes the k-th orbital in the order 1s 2s 2p 3s ..., at a distance from

        p(r) ~ r^(2 n*) exp(-2 zeta r),    zeta = max(Z - shielding, 1) / n*,

    the radial density of a Slater orbital (for hydrogen's 1s the exact one), and in a random direction. Shielding and
    n* follow Slater's rules for the neutral atom. Orbitals of a core that a pseudopotential replaces are left out.

    It runs on the host, outside `jax.jit`.

    Args:
        key: a JAX random key; the same key gives the same walkers.
        system: nuclei and electron numbers.
        n_walkers: how many walkers.
        populations: electrons of each spin (up, down) on each atom; the columns sum to n_up and n_down.
        scattered: the share of walkers in which one or two electrons are on an atom drawn at random, nuclei with
            probabilities like their charges: ions, and atoms with the other spin.

    Returns:
        (n_walkers, n_electrons, 3) in bohr, float32, spin up first.

    Raises:
        InputError: `n_walkers`, `populations` or `scattered` do not fit, or an element or a core is unknown.

    References:
        J. C. Slater, Phys. Rev. 36, 57 (1930), doi:10.1103/PhysRev.36.57.
    """
    if n_walkers < 1:
        raise InputError(f"n_walkers is {n_walkers}: it must be at least 1; pass for example n_walkers=512")
    check(first_walkers, scattered=scattered)
    electrons_of = _checked(system, populations)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
    order = rng.permuted(np.tile(np.arange(system.n_atoms), (n_walkers, 1)), axis=1)
    offset = rng.random(n_walkers)
    up = _assign(order, offset, electrons_of[:, 0], system.n_up)
    down = _assign(order, 1 - offset, electrons_of[:, 1], system.n_down)
    atom, slot = (np.concatenate(pair, axis=1) for pair in zip(up, down, strict=True))

    if scattered and system.n_atoms > 1:
        chosen = np.diff(np.floor(scattered * np.arange(n_walkers + 1))) > 0
        atom[chosen] = _scattered(rng, atom[chosen], np.asarray(system.charges, np.float64))
    atoms = [slater_orbitals(*nucleus) for nucleus in nuclei(system.symbols, system.core)]
    zeta, effective_n = (np.array(rows) for rows in zip(*atoms, strict=True))
    slot = np.minimum(slot, zeta.shape[1] - 1)
    radius = rng.gamma(2 * effective_n[atom, slot] + 1) / (2 * zeta[atom, slot])
    direction = rng.standard_normal((*radius.shape, 3))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    positions = np.asarray(system.atoms, dtype=np.float64)[atom] + radius[..., None] * direction
    return jnp.asarray(positions, dtype=jnp.float32)


def _scattered(rng: np.random.Generator, atom: np.ndarray, charges: np.ndarray) -> np.ndarray:
    """Return the atoms (n_walkers, n_electrons) with one or two electrons of each walker on others, drawn at random."""
    rank = rng.random(atom.shape).argsort(axis=1)
    moved = rank < rng.integers(1, 3, size=(len(atom), 1))
    return np.where(moved, rng.choice(len(charges), size=atom.shape, p=charges / charges.sum()), atom)


def _checked(system: System, populations: Float[Array | np.ndarray, "n_atoms 2"]) -> np.ndarray:
    """Return the populations as float64, scaled so that they sum to the numbers of electrons exactly."""
    given = np.asarray(populations, dtype=np.float64)
    totals = np.array([system.n_up, system.n_down])
    good_shape = given.shape == (system.n_atoms, 2)
    if not good_shape or not np.all(given >= 0) or not np.allclose(given.sum(axis=0), totals, atol=1e-3):
        raise InputError(
            f"populations {given.tolist()} do not fit: they must be {system.n_atoms} rows (one per atom) of "
            f"non-negative up and down electrons that sum to {system.n_up} and {system.n_down}; the populations of "
            "hartree_fock on this system fit"
        )
    return given * totals / np.maximum(given.sum(axis=0), 1e-300)


def _assign(order: np.ndarray, offset: np.ndarray, electrons_of: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the atom of each electron of one spin and its slot on that atom, both (n_walkers, n)."""
    running = np.minimum(np.cumsum(electrons_of[order], axis=1), n)
    running[:, -1] = n
    ends = np.floor(running + offset[:, None]) - np.floor(offset)[:, None]
    starts = np.concatenate([np.zeros_like(ends[:, :1]), ends[:, :-1]], axis=1)
    electron = np.arange(n)
    place = np.sum(ends[:, :, None] <= electron, axis=1)
    slot = electron - np.take_along_axis(starts, place, axis=1)
    return np.take_along_axis(order, place, axis=1), slot.astype(int)
