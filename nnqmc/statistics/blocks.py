"""Error bars from block averages."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nnqmc.statistics.chains import centred

_FEWEST_BLOCKS = 8


@dataclass(frozen=True, eq=False)
class Blocking:
    """The error of the mean against the block size; where it levels off, the blocks are independent.

    Attributes:
        sizes: (n_levels,) block sizes in steps.
        errors: (n_levels,) error of the mean if blocks of that size were independent.
        errors_of_errors: (n_levels,) standard error of `errors`.
        n_blocks: (n_levels,) number of blocks.
        choice: index of the block size chosen.
        resolved: whether the series was long enough to choose, with eight blocks left at least.
    """

    sizes: np.ndarray
    errors: np.ndarray
    errors_of_errors: np.ndarray
    n_blocks: np.ndarray
    choice: int
    resolved: bool

    @property
    def error(self) -> float:
        """Return the error of the mean at the chosen block size."""
        return float(self.errors[self.choice])

    @property
    def error_of_error(self) -> float:
        """Return the standard error of `error`."""
        return float(self.errors_of_errors[self.choice])


def blocking(series: Any) -> Blocking:
    """Return the errors of the mean from blocks of 1, 2, 4, ... steps of each chain, and the chosen block size.

    Blocks of all chains are pooled around the common mean; for several chains the last block is a whole chain.
    Flyvbjerg and Petersen, 10.1063/1.457480. The choice is the smallest size B with B^3 > 2 N (error_B / error_1)^4,
    N samples in all, or the largest there is; it balances the bias of short blocks against the noise of few: Wolff,
    10.1016/S0010-4655(03)00467-3; Lee et al., 10.1103/PhysRevE.83.066706.

    Args:
        series: (n_steps, n_chains) or (n_steps,).

    Returns:
        The table and the choice. Levels of fewer than two blocks are left out, so a single sample has an error of nan.

    Raises:
        InputError: for a series that is empty, not real or not finite.
    """
    _, deviations = centred(series)
    n_steps, n_chains = deviations.shape
    sizes = [2**level for level in range(n_steps.bit_length()) if n_chains * (n_steps // 2**level) >= 2] or [1]
    if n_chains > 1 and sizes[-1] != n_steps:
        sizes.append(n_steps)
    n_blocks = np.array([n_chains * (n_steps // size) for size in sizes])
    errors = np.array([_error(deviations, size) for size in sizes])
    relative = 1.0 / np.sqrt(2.0 * np.maximum(n_blocks - 1, 1))
    block_sizes = np.array(sizes)
    ratio = errors / errors[0] if errors[0] > 0.0 else np.ones(len(sizes))
    enough = block_sizes.astype(np.float64) ** 3 > 2.0 * deviations.size * ratio**4
    choice = int(np.argmax(enough)) if enough.any() else len(sizes) - 1
    resolved = bool(enough.any() and n_blocks[choice] >= _FEWEST_BLOCKS)
    return Blocking(block_sizes, errors, errors * relative, n_blocks, choice, resolved)


def block_means(deviations: np.ndarray, size: int) -> np.ndarray:
    """Return averages over consecutive `size` steps of each chain; steps that fill no block are left out at the start.

    Args:
        deviations: (n_steps, n_chains).
        size: steps per block, at most n_steps.

    Returns:
        (n_steps // size, n_chains).
    """
    n_steps, n_chains = deviations.shape
    count = n_steps // size
    return deviations[n_steps - count * size :].reshape(count, size, n_chains).mean(1)


def _error(deviations: np.ndarray, size: int) -> float:
    """Return the error of the mean if blocks of this size were independent."""
    means = block_means(deviations, size)
    if means.size < 2:
        return float("nan")
    return float(np.sqrt(means.var(ddof=1) * size / deviations.size))
