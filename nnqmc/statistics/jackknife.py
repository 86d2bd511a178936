"""Error bars of functions of several means: the jackknife over blocks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from nnqmc.statistics.blocks import block_means

_BLOCK_IN_TAU = 5.0
_FEWEST_BLOCKS, _MOST_BLOCKS = 16, 512


class Quantity(NamedTuple):
    """A number or an array with its standard error, of the same shape."""

    value: Any
    error: Any


def independent_blocks(series: Float[np.ndarray, "n_steps n_chains n_numbers"], tau: float
                       ) -> Float[np.ndarray, "n_blocks n_numbers"]:
    """Return averages over blocks that are nearly independent of each other.

    A block is five autocorrelation times of one chain long, or longer where that leaves more than 512 of them; it is
    shorter where there would be fewer than 16.

    Args:
        series: samples of several numbers.
        tau: the longest integrated autocorrelation time of these numbers in steps.
    """
    n_steps, n_chains, n_numbers = series.shape
    wanted = math.ceil(_BLOCK_IN_TAU * max(1.0, tau))  # this order makes 1 of a tau that is not known
    longest = max(n_steps * n_chains // _FEWEST_BLOCKS, 1)
    size = min(max(wanted, math.ceil(n_steps * n_chains / _MOST_BLOCKS)), longest, n_steps)
    return block_means(series.reshape(n_steps, n_chains * n_numbers), size).reshape(-1, n_numbers)


def covariance_of_mean(blocks: Float[np.ndarray, "n_blocks n_numbers"]) -> Float[np.ndarray, "n_numbers n_numbers"]:
    """Return the covariance of the mean of independent blocks; it is nan for fewer than two."""
    n_blocks = len(blocks)
    deviations = blocks - blocks.mean(0)
    return deviations.T @ deviations / n_blocks / (n_blocks - 1 if n_blocks > 1 else math.nan)


def jackknife(blocks: Float[np.ndarray, "n_blocks n_numbers"],
              function: Callable[[np.ndarray, np.ndarray], Mapping[str, Any]]) -> dict[str, Any]:
    """Return the standard errors of a function of the mean and its covariance, by leaving out one block at a time.

    With f_i the function without block i of n, the error is sqrt((n - 1)/n sum_i (f_i - <f>)^2).
    Source: Efron, Stein, Ann. Stat. 9, 586 (1981), doi:10.1214/aos/1176345462.

    Args:
        blocks: averages that are independent of each other.
        function: (mean (n_numbers,), covariance of the mean (n_numbers, n_numbers)) -> numbers or arrays by name.

    Returns:
        The error of each by name; they are nan for fewer than three blocks.
    """
    n_blocks, mean = len(blocks), blocks.mean(0)
    if n_blocks < 3:
        return {name: np.full(np.shape(value), math.nan)
                for name, value in function(mean, covariance_of_mean(blocks)).items()}
    deviations = blocks - mean
    squares = deviations.T @ deviations
    left: dict[str, list[np.ndarray]] = {}
    for deviation in deviations:
        rest = squares - np.outer(deviation, deviation) * n_blocks / (n_blocks - 1)
        covariance = rest / ((n_blocks - 1) * (n_blocks - 2))
        for name, value in function(mean - deviation / (n_blocks - 1), covariance).items():
            left.setdefault(name, []).append(np.asarray(value, np.float64))
    return {name: np.sqrt((n_blocks - 1) * np.var(values, axis=0)) for name, values in left.items()}
