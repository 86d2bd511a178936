"""Diagnostics of convergence: signs that an error bar is not to be trusted."""

from typing import Any

import numpy as np

from nnqmc.statistics.blocks import block_means
from nnqmc.statistics.chains import centred

_TAIL_SHARE = 0.005  # of the samples belong to the tail whose decay is fitted
_FEWEST_IN_TAIL = 10


def r_hat(series: Any) -> float:
    """Return split R-hat: how much wider all half chains together are than each one alone, 1 when they agree.

    sqrt((n - 1) / n + B / W) with n steps per half, W the mean variance within the halves and B the variance of their
    means; about sqrt(1 + tau / n) for chains that agree. Gelman et al., Bayesian Data Analysis, 3rd ed., section 11.4;
    Vehtari et al., 10.1214/20-BA1221.

    Args:
        series: (n_steps, n_chains) or (n_steps,); an odd step at the start is left out.

    Returns:
        R-hat; 1 for a constant series, inf for constant chains that differ, nan for fewer than four steps.

    Raises:
        InputError: for a series that is empty, not real or not finite.
    """
    _, deviations = centred(series)
    if not deviations.any():
        return 1.0
    half = len(deviations) // 2
    if half < 2:
        return float("nan")
    halves = deviations[-2 * half :].reshape(2, half, -1)
    within = float(halves.var(1, ddof=1).mean())
    between = float(halves.mean(1).var(ddof=1))
    if within == 0.0:
        return float("inf")
    return float(np.sqrt((half - 1) / half + between / within))


def drift(series: Any) -> float:
    """Return how many standard errors the second half of the steps lies above the first.

    Every chain gives one difference between its halves, and their spread gives the standard error. A common drift of
    all chains, which R-hat hardly sees when there are many of them, shows here.

    Args:
        series: (n_steps, n_chains).

    Returns:
        Difference over its standard error; 0 for a constant series, nan for fewer than two steps or two chains.

    Raises:
        InputError: for a series that is empty, not real or not finite.
    """
    _, deviations = centred(series)
    half, n_chains = len(deviations) // 2, deviations.shape[1]
    if not deviations.any():
        return 0.0
    if half < 1 or n_chains < 2:
        return float("nan")
    differences = np.diff(block_means(deviations, half)[-2:], axis=0)[0]
    scale = float(differences.std(ddof=1)) / np.sqrt(n_chains)
    mean = float(differences.mean())
    if scale == 0.0:
        return 0.0 if mean == 0.0 else float(np.copysign(np.inf, mean))
    return mean / scale


def largest_share(series: Any, size: int = 1) -> float:
    """Return the part that the largest block contributes to the sum of all squared deviations of block means.

    The central limit theorem needs it to be small.

    Args:
        series: (n_steps, n_chains) or (n_steps,).
        size: steps per block, at most n_steps.

    Returns:
        Between 0 and 1; 0 for a constant series.

    Raises:
        InputError: for a series that is empty, not real or not finite.
    """
    squares = block_means(centred(series)[1], size) ** 2
    total = float(squares.sum())
    return float(squares.max()) / total if total > 0.0 else 0.0


def tail_index(series: Any, share: float = _TAIL_SHARE) -> tuple[float, float]:
    """Return the exponent a of the tail P(|x - mean| > t) ~ t^-a with its standard error, from the largest samples.

    The variance is finite for a > 2. Local energies near the nodes of a trial wavefunction have a = 3: Trail,
    10.1103/PhysRevE.77.016703. Estimator: Hill, 10.1214/aos/1176343247. The standard error takes samples as
    independent.

    Args:
        series: (n_steps, n_chains) or (n_steps,).
        share: of the samples that belong to the tail.

    Returns:
        Index and standard error; (inf, inf) where fewer than ten samples belong to the tail or they are all equal.

    Raises:
        InputError: for a series that is empty, not real or not finite.
    """
    _, deviations = centred(series)
    count = int(share * deviations.size)
    if count < _FEWEST_IN_TAIL:
        return float("inf"), float("inf")
    sizes = np.abs(deviations).ravel()
    tail = np.partition(sizes, -count - 1)[-count - 1 :]
    threshold = float(tail.min())
    if threshold == 0.0:
        return float("inf"), float("inf")
    mean_log = float(np.log(tail / threshold).sum()) / count
    index = 1.0 / mean_log if mean_log > 0.0 else float("inf")
    return index, index / np.sqrt(count)
