"""The shells of atoms: one table of subshells, from which first walkers and initial envelopes are both made.

A nucleus is described by its charge Z (`number`) and by the number of core electrons that a pseudopotential replaces
(`core`, 0 for all electrons). The subshells of the core are left out of whatever is returned; those outside keep the
form that they have in the whole atom.
"""

from __future__ import annotations

import numpy as np

SUBSHELLS = (
    (1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (4, 0), (3, 2), (4, 1), (5, 0), (4, 2),
    (5, 1), (6, 0), (4, 3), (5, 2), (6, 1), (7, 0), (5, 3), (6, 2), (7, 1),
)  # fmt: skip
"""Subshells (n, l) in the order in which they fill."""

_EFFECTIVE_N = (0.0, 1.0, 2.0, 3.0, 3.7, 4.0, 4.2, 4.3)
"""Slater's effective quantum number n* by n; the last one continues his series."""

_N_ORBITALS = sum(2 * angular + 1 for _, angular in SUBSHELLS)


def occupations(number: int) -> dict[tuple[int, int], int]:
    """Return the electrons in each occupied subshell (n, l) of a neutral atom, in the order of filling."""
    found, left = {}, number
    for n, angular in SUBSHELLS:
        if left > 0:
            found[n, angular] = min(left, 2 * (2 * angular + 1))
            left -= found[n, angular]
    return found


def closed_cores(number: int) -> dict[int, frozenset[tuple[int, int]]]:
    """Return every possible core of an atom: its number of electrons and the subshells (n, l) that they fill.

    A core consists of full subshells in the order of n, then l, so that 28 electrons of bromine are [Ar]3d and 54 of
    caesium are [Xe]; at least one electron stays outside.
    """
    found, total, filled = {0: frozenset()}, 0, frozenset()
    for (n, angular), count in sorted(occupations(number).items()):
        total, filled = total + count, filled | {(n, angular)}
        if count < 2 * (2 * angular + 1) or total == number:
            break
        found[total] = filled
    return found


def slater_orbitals(number: int, core: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the exponents zeta and the numbers n* of an atom's Slater orbitals outside of the core, in filling order.

    An orbital's radial density is r^(2 n*) exp(-2 zeta r) with zeta = max(Z - shielding, 1) / n*; shielding and n*
    follow Slater's rules for the neutral atom.

    Args:
        number: nuclear charge Z.
        core: core electrons that are left out, one of `closed_cores(number)`.

    Returns:
        zeta in 1/bohr and n*, one number per orbital of one spin, of equal length for every atom: the last orbital
        stands in the places that the core leaves free.

    References:
        J. C. Slater, Phys. Rev. 36, 57 (1930), doi:10.1103/PhysRev.36.57.
    """
    inner = closed_cores(number)[core]
    slots = [subshell for subshell in SUBSHELLS if subshell not in inner for _ in range(2 * subshell[1] + 1)]
    slots += slots[-1:] * (_N_ORBITALS - len(slots))
    effective_n = np.array([_EFFECTIVE_N[n] for n, _ in slots])
    return np.array([max(number - _shielding(number, *slot), 1.0) for slot in slots]) / effective_n, effective_n


def _shielding(number: int, n: int, angular: int) -> float:
    """Return Slater's shielding of an electron in subshell (n, angular) by the others of the neutral atom."""
    shielding, own = 0.0, 0
    for (other_n, other_angular), count in occupations(number).items():
        same_group = other_n == n and (other_angular == angular or max(other_angular, angular) < 2)
        if same_group:
            own += count
        elif angular < 2:
            shielding += count * (0.85 if other_n == n - 1 else 1.0 if other_n < n - 1 else 0.0)
        else:
            shielding += count * float((other_n, other_angular) < (n, angular))
    return shielding + (0.30 if n == 1 else 0.35) * max(own - 1, 0)


def shell_exponents(number: int, core: int = 0) -> list[tuple[float, int]]:
    """Return an exponent and the number of spatial orbitals of each shell of an atom outside of the core.

    A shell is what fills along one row of the periodic table. The innermost shell of an atom decays with its charge Z,
    the outermost with 1, those between with the charge that the shells inside leave over the shell's number.

    Args:
        number: nuclear charge Z.
        core: core electrons that are left out, one of `closed_cores(number)`.

    Returns:
        (exponent in 1/bohr, orbitals), from the innermost shell outwards; exponents decrease.
    """
    inner, shells, inside = closed_cores(number)[core], [], 0
    for row in range(1, 8):
        subshells = [(n, angular) for n, angular in SUBSHELLS if n + max(angular - 1, 0) == row]
        capacity = 2 * sum(2 * angular + 1 for _, angular in subshells)
        between = 1.0 if inside + capacity >= number else max(1.0, (number - inside) / row)
        n_orbitals = sum(2 * subshell[1] + 1 for subshell in subshells if subshell not in inner)
        if n_orbitals:
            shells.append((float(number) if row == 1 else between, n_orbitals))
        inside += capacity
        if inside >= number:
            break
    return shells
