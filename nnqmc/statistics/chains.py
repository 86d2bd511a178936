"""Checks and centring of every series."""

from typing import Any

import numpy as np

from nnqmc.errors import InputError

_ROUNDING = 64 * np.finfo(np.float64).eps


def centred(series: Any) -> tuple[float, np.ndarray]:
    """Return the mean of all samples and the float64 deviations from it, summed without cancellation.

    Deviations that are nothing but float64 rounding of the mean become exactly zero.

    Args:
        series: (n_steps, n_chains), or (n_steps,) for one chain; real and finite.

    Returns:
        The mean and the deviations (n_steps, n_chains).

    Raises:
        InputError: for an empty, complex, non-numeric or non-finite series, or one of another shape.
    """
    given = np.asarray(series)
    if given.dtype.kind not in "fiu":
        raise InputError(f"a series of dtype {given.dtype} was given; it must hold real numbers: convert it first")
    if given.ndim not in (1, 2) or given.size == 0:
        raise InputError(
            f"a series of shape {given.shape} was given; it must be (n_steps, n_chains) with at least one sample, "
            "or (n_steps,) for one chain: rearrange or fill it"
        )
    values = given.astype(np.float64).reshape(len(given), -1)
    wrong = values.size - int(np.count_nonzero(np.isfinite(values)))
    if wrong:
        raise InputError(
            f"{wrong} of {values.size} samples are not finite; every sample must be a finite number: exclude those "
            "and report how many there were"
        )
    start = values[0, 0]
    values = values - start
    shift = values.mean()
    values = values - shift
    mean = float(start + shift)
    if np.abs(values).max() <= _ROUNDING * abs(mean):
        values = np.zeros_like(values)
    return mean, values
