"""The periodic table as far as nnqmc needs it: symbols, nuclear charges and ground-state spins."""

from __future__ import annotations

import difflib

from nnqmc.errors import InputError

SYMBOLS = tuple(
    """
    H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar
    K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr
    Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe
    Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn
    Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og
    """.split()
)
"""Symbols of the elements 1 to 118."""

_ATOM_SPINS = (
    *(1, 0),
    *(1, 0, 1, 2, 3, 2, 1, 0),
    *(1, 0, 1, 2, 3, 2, 1, 0),
    *(1, 0, 1, 2, 3, 6, 5, 4, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0),
    *(1, 0, 1, 2, 5, 6, 5, 4, 3, 0, 1, 0, 1, 2, 3, 2, 1, 0),
)
"""2S of the neutral atoms H to Xe: ground levels of the NIST Atomic Spectra Database (DOI 10.18434/T4W30F)."""

_SIMPLE_SHELLS = (range(1, 21), range(30, 39), range(48, 55))
"""Numbers of electrons between which an atom and its ions fill the same s and p shells, away from open d shells."""


def nuclear_charge(symbol: str) -> int:
    """Look up the nuclear charge of an element symbol in any case, such as 'He', 'he' or 'HE'.

    Raises:
        InputError: there is no such element; the nearest symbols are suggested.
    """
    proper = symbol.capitalize()
    if proper in SYMBOLS:
        return SYMBOLS.index(proper) + 1
    near = difflib.get_close_matches(proper[:20], SYMBOLS[:54], n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "write a symbol such as H, Li or Fe."
    raise InputError(f"unknown element {symbol[:40]!r}: {hint} Elements 1 (H) to 118 (Og) are allowed.")


def atom_spin(number: int, n_electrons: int) -> int | None:
    """Give the ground-state spin of a free atom or ion, or None where this table can't tell.

    Neutral atoms up to Xe are tabulated. An ion takes the spin of the neutral atom with as many electrons, which holds
    for up to 18 electrons and wherever no d shell opens between the two; Fe2+, say, is not Cr, and gives None.

    Args:
        number: nuclear charge.
        n_electrons: number of electrons.

    Returns:
        2S = n_up - n_down, or None.
    """
    if not 1 <= n_electrons <= len(_ATOM_SPINS):
        return None
    same_shells = any(number in shell and n_electrons in shell for shell in _SIMPLE_SHELLS)
    if n_electrons == number or n_electrons <= 18 or same_shells:
        return _ATOM_SPINS[n_electrons - 1]
    return None


def formula(symbols: tuple[str, ...], charge: int = 0) -> str:
    """Write a chemical formula, such as 'HeH+', 'C2H6O' or 'Fe^2+'.

    Carbon and hydrogen come first where there is carbon (E. A. Hill, J. Am. Chem. Soc. 22, 478 (1900)); otherwise the
    elements keep the order in which they were given.
    """
    distinct = list(dict.fromkeys(symbols))
    if "C" in distinct:
        distinct.sort(key=lambda symbol: (symbol != "C", symbol != "H", symbol))
    counts = ((symbol, symbols.count(symbol)) for symbol in distinct)
    text = "".join(symbol + (str(count) if count > 1 else "") for symbol, count in counts)
    if charge:
        text += (f"^{abs(charge)}" if abs(charge) > 1 else "") + ("+" if charge > 0 else "-")
    return text
