"""Claims of a source about charge and spin: what is unambiguous is used and logged, the rest is refused.

Comment lines of xyz files and the fields of ASE Atoms call these numbers by many names, and `spin` stands for 2S, for
the multiplicity 2S + 1 or for S. The number of electrons often leaves one of these possible.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from nnqmc.errors import InputError
from nnqmc.messages import counted

CHARGES = ("charge", "total_charge", "tot_charge", "net_charge", "overall_charge", "system_charge", "molecular_charge",
           "formal_charge", "mol_charge", "molecule_charge", "ionic_charge", "ion_charge", "charge_state",
           "charge_total", "qm_charge", "dft_charge", "ref_charge", "chrg", "chg", "q")
MULTIPLICITIES = ("multiplicity", "spin_multiplicity", "molecular_multiplicity", "spin_mult", "mult", "2s+1")
UNPAIRED = ("unpaired_electrons", "n_unpaired", "unpaired", "uhf", "2s", "magmom", "total_magmom", "magnetic_moment",
            "total_magnetization")
SPINS = ("spin", "total_spin", "tot_spin", "spin_state")

_WORDS = ("singlet", "doublet", "triplet", "quartet", "quintet", "sextet", "septet")
_CHARGED = ("neutral", "cation", "dication", "trication", "anion", "dianion", "trianion")
WORDS = (*_WORDS, *_CHARGED, "radical", "ion")

_SETTLE = "pass charge= and spin= (2S), or --charge and --spin on the command line"

_ROUNDING = 0.01
"""Charges and moments are often rounded: they are whole if they are no farther than this from a whole number."""


class Claim(NamedTuple):
    """What a source says of charge and spin.

    Attributes:
        where: the source and its words, as a message quotes them.
        entries: (name, value) pairs; names are those of `CHARGES`, `MULTIPLICITIES`, `UNPAIRED` and `SPINS`.
        words: further words in `WORDS`, or formulas with a sign such as 'NH4+', compared with what the numbers say.
        unclear: what else there is that only a charge and a spin from the caller can settle, in words.
    """

    where: str
    entries: tuple[tuple[str, Any], ...] = ()
    words: tuple[str, ...] = ()
    unclear: str = ""


def add_sum(claim: Claim, what: str, name: str, values: np.ndarray) -> Claim:
    """Return a claim with the sum of the charges or of the magnetic moments of all atoms, unless all are zero.

    Args:
        claim: what else is said.
        what: the numbers in words, such as "initial charges".
        name: of the sum, in `CHARGES` or `UNPAIRED`.
        values: (n_atoms,) charges or moments, or (n_atoms, 3) moments.
    """
    if not np.any(values):
        return claim
    total = float(np.sum(values)) if np.ndim(values) == 1 else float(np.linalg.norm(np.sum(values, axis=0)))
    total = abs(total) if name in UNPAIRED else total
    total = round(total) if math.isfinite(total) and abs(total - round(total)) < _ROUNDING else total
    return claim._replace(where=f"{claim.where}, with {what} that add up to {total:g}",
                          entries=(*claim.entries, (name, total)))


def settle(claim: Claim, nuclear: int, charge: int | None, spin: int | None) -> tuple[int | None, int | None]:
    """Take charge and spin from a claim, as far as they are not given, and log what was taken and what was overruled.

    Args:
        claim: what the source says.
        nuclear: sum of the nuclear charges.
        charge: total charge that the caller gave, or None.
        spin: 2S that the caller gave, or None.

    Returns:
        Charge and 2S, each None where nobody says anything.

    Raises:
        InputError: the claim contradicts itself or can be read in several ways, and the caller gave nothing.
    """
    if claim.unclear and (charge is None or spin is None):
        raise InputError(f"{claim.where} {claim.unclear}, or {_SETTLE}.")
    if claim.unclear:
        logging.getLogger("nnqmc").warning("charge=%d and spin=%d as given, whatever %s means", charge, spin,
                                           claim.where)
    charges = [entry for entry in claim.entries if entry[0] in CHARGES]
    spins = [entry for entry in claim.entries if entry[0] not in CHARGES]
    values = {_whole(value) for _, value in charges}
    taken, overruled = [], []
    total, found = charge, spin
    if charge is not None:
        overruled += [entry for entry in charges if _whole(entry[1]) != charge]
    elif charges:
        total = _agreed(claim, charges, values, "is no charge of a molecule")
        taken.append(f"charge {total}")
    n_electrons = nuclear - (total or 0)
    readings = [_readings(name, value, n_electrons) for name, value in spins]
    possible = set.intersection(*readings) if readings else set()
    is_of_another = charge is not None and (values - {charge} if charges else not possible)
    if spin is not None or is_of_another:
        overruled += [entry for entry, reading in zip(spins, readings, strict=True) if reading != {spin}]
    elif spins:
        found = _agreed(claim, spins, possible or {None}, f"is impossible for {counted(n_electrons, 'electron')}")
        taken.append(f"2S = {found}")
    _tell(claim, taken, charge, spin, overruled)
    return total, found


def check_words(claim: Claim, used: tuple[int, int], given: tuple[int | None, int | None]) -> None:
    """Compare words such as 'cation' and 'triplet' in a source with the charge and the spin of its molecule.

    Args:
        claim: what the source says.
        used: charge and 2S that would be used.
        given: charge and 2S that a number says; these need no agreement, but are logged.

    Raises:
        InputError: the words mean something else.
    """
    for word in claim.words:
        spoken = word if word[-1] in "+-" else f"{'an' if word in ('anion', 'ion') else 'a'} {word}"
        is_charge = word in (*_CHARGED, "ion") or spoken == word
        if is_charge:
            is_wrong = not _is_charge(used[0], word)
        else:
            is_wrong = used[1] == 0 if word == "radical" else used[1] != _WORDS.index(word)
        if is_wrong and given[not is_charge] is None:
            raise InputError(f"{claim.where} speaks of {spoken}, but no number says so, and charge {used[0]} and 2S = "
                             f"{used[1]} would be used: {_SETTLE}.")
        if is_wrong:
            logging.getLogger("nnqmc").warning("charge %d and 2S = %d are used, though %s speaks of %s", *used,
                                               claim.where, spoken)


def _is_charge(charge: int, word: str) -> bool:
    """Tell whether a charge is one that a word such as 'dication', 'ion' or 'NH4+' stands for."""
    if word not in _CHARGED:
        return charge != 0 and (word == "ion" or (charge > 0) == (word[-1] == "+"))
    size = _CHARGED.index(word)
    return charge == (size if size <= 3 else 3 - size)


def _tell(claim: Claim, taken: Sequence[str], charge: int | None, spin: int | None,
          overruled: Sequence[tuple[str, Any]]) -> None:
    """Log what was taken from a claim, and what was overruled by a charge and a spin that were given."""
    log = logging.getLogger("nnqmc")
    if taken:
        log.warning("%s taken from %s", " and ".join(taken), claim.where)
    if overruled:
        given = [f"{name}={value}" for name, value in (("charge", charge), ("spin", spin)) if value is not None]
        log.warning("%s as given, instead of %s in %s", " and ".join(given), _shown(overruled), claim.where)


def _shown(entries: Sequence[tuple[str, Any]]) -> str:
    """Return entries as text."""
    return ", ".join(f"{name} {value}" for name, value in entries)


def _agreed(claim: Claim, entries: Sequence[tuple[str, Any]], values: set[int | None], otherwise: str) -> int:
    """Return the only value, or raise InputError where there are several or none that is possible."""
    if len(values) == 1 and None not in values:
        return values.pop()
    is_open = len(entries) == 1 and None not in values
    reason = f"can mean 2S = {' or '.join(map(str, sorted(values)))}" if is_open else otherwise
    reason = "contradict each other" if len(entries) > 1 else reason
    raise InputError(f"{claim.where}: {_shown(entries)} {reason}; {_SETTLE}.")


def _number(value: Any) -> Fraction | None:
    """Return a value as a number, such as 1, 1.0, '-1', '2+' or '1/2', or None."""
    try:
        if isinstance(value, str):
            text = value.strip().replace("\u2212", "-")
            text = text[-1:] + text[:-1] if text[-1:] in ("+", "-") and text[:1].isdigit() else text
            return Fraction(text) if len(text) < 30 and "e" not in text.lower() else None
        return Fraction(float(value)) if not isinstance(value, bool) and math.isfinite(float(value)) else None
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        return None


def _whole(value: Any) -> int | None:
    """Return a value as a whole number of a sensible size, or None."""
    number = _number(value)
    return None if number is None or number.denominator != 1 or abs(number) > 10**6 else int(number)


def _readings(name: str, value: Any, n_electrons: int) -> set[int]:
    """Return every 2S that an entry can mean for a number of electrons."""
    word = str(value).lower()
    number = Fraction(_WORDS.index(word)) if word in _WORDS else _number(value)
    if number is None or abs(number) > 10**6:
        return set()
    if word in _WORDS:
        found = {number}
    elif name in MULTIPLICITIES:
        found = {number - 1}
    elif name in UNPAIRED:
        found = {Fraction(round(number)) if abs(number - round(number)) < _ROUNDING else number}
    elif number.denominator == 2:
        found = {2 * number}
    else:
        found = {number} if (number - n_electrons) % 2 == 0 else {number - 1, 2 * number}
    return {int(spin) for spin in found if spin.denominator == 1 and 0 <= spin <= n_electrons
            and (spin - n_electrons) % 2 == 0}
