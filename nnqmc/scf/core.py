"""Whether a Gaussian basis set describes the core of an atom, or was made for the valence electrons alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnqmc.errors import InputError

_OVERLAP = 0.94
"""All-electron sets span at least this part of the 1s orbital of the bare nucleus, the relativistic ones included."""

_ENERGY = 0.97
"""Up to krypton, all-electron sets reach at least this part of its energy; beyond, relativistic contractions don't."""

_RELATIVISTIC = 36
_N_RADII = 2000


def check_cores(mol: Any, basis: str) -> None:
    """Refuse a basis set that can't describe the innermost electrons of an element.

    One electron at a nucleus of charge Z has the 1s orbital exp(-Z r) and the energy -Z^2/2. Any basis set for all
    electrons of an atom contains nearly this orbital, whereas one for valence electrons, made to go with a
    pseudopotential, has no function as narrow. Hydrogen and helium have no core, and sets of both kinds suit them.

    Args:
        mol: a built `pyscf.gto.Mole`.
        basis: what to call the basis set in the message.

    Raises:
        InputError: the basis set stands for the valence electrons of an element only.
    """
    seen = set()
    for atom in range(mol.natm):
        symbol, number = mol.atom_pure_symbol(atom), float(mol.atom_charge(atom))
        if symbol in seen:
            continue
        seen.add(symbol)
        overlap, energy = _lowest_shell(mol, atom, number)
        if overlap < _OVERLAP or (2 < number <= _RELATIVISTIC and energy < _ENERGY):
            raise InputError(
                f"basis {basis!r} is for the valence electrons of {symbol} only: one electron at the nucleus has "
                f"{energy:.0%} of its true energy in it, since functions for the core are missing; pass a basis= for "
                "all electrons, such as 'cc-pvdz' or 'def2-svp'"
            )


def _lowest_shell(mol: Any, atom: int, number: float) -> tuple[float, float]:
    """Return how much of exp(-Z r) the s functions of an atom span, and the part of -Z^2/2 that they reach."""
    exponents, contraction = _s_functions(mol, atom)
    if not exponents.size:
        return 0.0, 0.0
    total = exponents[:, None] + exponents
    overlaps = np.sqrt(np.pi) / (4.0 * total**1.5)
    hamiltonian = 3.0 * np.multiply.outer(exponents, exponents) / total * overlaps - number / (2.0 * total)
    radii = np.geomspace(1e-6, 60.0, _N_RADII) / number
    exact = 2.0 * number**1.5 * np.exp(-number * radii)
    with_exact = np.trapezoid(radii**2 * exact * np.exp(-np.multiply.outer(exponents, radii**2)), radii)
    eigenvalues, vectors = np.linalg.eigh(contraction.T @ overlaps @ contraction)
    kept = eigenvalues > 1e-9 * eigenvalues[-1]
    orthonormal = contraction @ (vectors[:, kept] / np.sqrt(eigenvalues[kept]))
    lowest = np.linalg.eigvalsh(orthonormal.T @ hamiltonian @ orthonormal)[0]
    return float(np.sum((orthonormal.T @ with_exact) ** 2)), float(-lowest / (number**2 / 2.0))


def _s_functions(mol: Any, atom: int) -> tuple[np.ndarray, np.ndarray]:
    """Return exponents (n,) and contraction (n, m) of the s functions of an atom, radially normalised."""
    shells = [shell for shell in range(mol.nbas) if mol.bas_atom(shell) == atom and mol.bas_angular(shell) == 0]
    exponents = np.concatenate([np.zeros(0), *(mol.bas_exp(shell) for shell in shells)])
    contraction = np.zeros((len(exponents), sum(mol.bas_nctr(shell) for shell in shells)))
    row = column = 0
    for shell in shells:
        weights = np.asarray(mol.bas_ctr_coeff(shell))
        norms = (4.0 * (2.0 * np.asarray(mol.bas_exp(shell))) ** 1.5 / np.sqrt(np.pi)) ** 0.5
        height, width = weights.shape
        contraction[row : row + height, column : column + width] = weights * norms[:, None]
        row, column = row + height, column + width
    return exponents, contraction
