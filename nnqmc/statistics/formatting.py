"""Numbers with their uncertainty, as people write them."""

import math

from nnqmc.units import hartree_to_millihartree

_MOST_DECIMALS = 12  # beyond this a float64 energy in hartree holds no information
_DIGITS_WITHOUT_ERROR = 7  # of a number that never changed: no more than one computed in float32 has


def format_with_error(value: float, error: float) -> str:
    """Return the value with its error in units of the last printed digit: `-8.0704(2)`.

    The error is rounded to one significant digit. An error of 10 or more rounds the value to tens (hundreds, ...) and
    is written out: `1230(60)`; one of 10^13 or more has both in powers of ten: `2e+15(3e+14)`. A zero error gives
    `(0)`, one that is not known `(nan)`, an unbounded one `(inf)`.

    Args:
        value: any float; not finite is printed as it is.
        error: standard error in the unit of `value`; its sign is ignored.

    Returns:
        The text, without a unit.
    """
    value, error = float(value), abs(float(error))
    if not math.isfinite(value):
        return f"{value}"
    if not math.isfinite(error):
        return f"{value:z.6f}({error})"
    if error == 0.0:
        return f"{value + 0.0:.{_DIGITS_WITHOUT_ERROR}g}(0)"
    digit, exponent = f"{error:.0e}".split("e")
    decimals = -int(exponent)
    if decimals < -_MOST_DECIMALS:
        return f"{value:.0e}({error:.0e})"
    if decimals > _MOST_DECIMALS:
        return f"{value:z.{_MOST_DECIMALS}f}(0)"
    if decimals >= 0:
        return f"{value:z.{decimals}f}({digit})"
    return f"{round(value, decimals):z.0f}({int(digit) * 10**-decimals})"


def in_millihartree(energy: float, error: float) -> str:
    """Return an energy in hartree as millihartree with its error: `0.1(2)`."""
    return format_with_error(hartree_to_millihartree(energy), hartree_to_millihartree(error))


def signed_millihartree(difference: float, error: float) -> str:
    """Return a difference of energies in hartree as millihartree with sign and error: `+0.1(2)`."""
    text = in_millihartree(difference, error)
    return text if text.startswith("-") else f"+{text}"
