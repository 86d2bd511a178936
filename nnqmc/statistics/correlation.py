"""Autocorrelation times: autocovariances by FFT, and Geyer's initial sequence."""

from typing import Any, NamedTuple

import numpy as np

from nnqmc.statistics.chains import centred

_SAMPLES_AT_ONCE = 2**20  # bounds the memory of the transforms
_BULK = (0.05, 0.95)  # quantiles between which the bulk lies
_SMALLEST_TAU = 0.1  # an estimate below this is noise around strongly alternating chains
_ROUNDING = 1e-20  # a bulk whose variance is this share of that of the whole is constant but for rounding
_SAMPLES_FOR_ALTERNATION = 30  # with fewer, an estimate below 1 is noise as well


class Autocorrelation(NamedTuple):
    """The autocorrelation time of a series, and the error bar of its mean that follows from it.

    tau: integrated autocorrelation time in steps, 1 + 2 sum_k rho_k; 1 for independent samples.
    error: standard error of the mean of all samples.
    window: number of lags that entered the sums.
    """

    tau: float
    error: float
    window: int


def autocovariance(series: Any) -> np.ndarray:
    """Return gamma_k = <(x_t - mean)(x_{t+k} - mean)>, averaged over the pairs of every chain.

    The mean is that of all chains: independent chains share it, and one that disagrees shows as a covariance that
    does not decay.

    Args:
        series: (n_steps, n_chains) or (n_steps,).

    Returns:
        (n_steps,): lags 0 to n_steps - 1, in the squared unit of the series.

    Raises:
        InputError: for a series that is empty, not real or not finite.
    """
    return _autocovariance(centred(series)[1])


def autocorrelation(series: Any) -> Autocorrelation:
    """Return the integrated autocorrelation time and the error bar by the initial monotone positive sequence.

    Sums of neighbouring lags, gamma_2k + gamma_2k+1, are positive and decreasing for a reversible chain; the sum stops
    at the first that is not positive, and noise that makes one rise is cut off. Geyer, 10.1214/ss/1177011137. The
    factor 1 + window / n_samples makes up for the mean being that of the same samples: Wolff,
    10.1016/S0010-4655(03)00467-3. The error counts each lag as often as it occurs in a chain of this length.

    Args:
        series: (n_steps, n_chains) or (n_steps,).

    Returns:
        tau in steps, the error of the mean, and the window. A constant series has tau 1 and error 0.

    Raises:
        InputError: for a series that is empty, not real or not finite.
    """
    _, deviations = centred(series)
    n_steps, n_samples = len(deviations), deviations.size
    covariance = _autocovariance(deviations)
    if covariance[0] == 0.0 or n_steps < 2:
        return Autocorrelation(1.0, float(np.sqrt(covariance[0] / max(n_samples - 1, 1))), 1)
    pairs, window = _initial_sequence(covariance)
    correction = 1.0 + window / n_samples
    middle = 2.0 * np.arange(len(pairs)) + 0.5
    infinite = 2.0 * pairs.sum() - covariance[0]
    finite = 2.0 * np.sum(pairs * (1.0 - middle / n_steps)) - covariance[0]
    smallest = max(_SMALLEST_TAU, min(1.0, _SAMPLES_FOR_ALTERNATION / n_samples)) * covariance[0]
    tau = max(infinite * correction, smallest) / covariance[0]
    return Autocorrelation(float(tau), float(np.sqrt(max(finite * correction, smallest) / n_samples)), window)


def autocorrelation_time(series: Any) -> float:
    """Return the integrated autocorrelation time in steps, 1 + 2 sum_k rho_k.

    It is 1 for independent samples and less for alternating ones: the mean of n samples of a chain is as good as that
    of n / tau independent ones. See `autocorrelation`.

    Args:
        series: (n_steps, n_chains) or (n_steps,).

    Returns:
        tau in steps, averaged over the chains.

    Raises:
        InputError: for a series that is empty, not real or not finite.
    """
    return autocorrelation(series).tau


def bulk_autocorrelation_time(series: Any) -> float:
    """Return the integrated autocorrelation time of samples without their tails.

    Samples beyond the 5 % and 95 % quantiles are moved there, so that outliers, whose number is a matter of luck, don't
    decide it, and every chain is centred at its own mean. That makes it nearly independent of how far the chains' means
    lie from each other and from the truth: judging by it whether chains are long enough doesn't select those whose
    error bar came out small. The factor 1 + window / n_steps makes up for the means being those of the same samples:
    Wolff, 10.1016/S0010-4655(03)00467-3. Bulk quantities: Vehtari et al., 10.1214/20-BA1221.

    Args:
        series: (n_steps, n_chains) or (n_steps,).

    Returns:
        tau in steps; 1 for a bulk that is constant.

    Raises:
        InputError: for a series that is empty, not real or not finite.
    """
    _, deviations = centred(series)
    clipped = np.clip(deviations, *np.quantile(deviations, _BULK))
    covariance = _autocovariance(clipped - clipped.mean(0))
    if covariance[0] <= _ROUNDING * np.mean(deviations**2) or len(deviations) < 2:
        return 1.0
    pairs, window = _initial_sequence(covariance)
    tau = (2.0 * pairs.sum() / covariance[0] - 1.0) * (1.0 + window / len(deviations))
    return float(max(tau, _SMALLEST_TAU))


def _initial_sequence(covariance: np.ndarray) -> tuple[np.ndarray, int]:
    """Return sums of neighbouring lags up to the first that isn't positive, made monotone, and their number of lags."""
    pairs = covariance[: len(covariance) // 2 * 2].reshape(-1, 2).sum(1)
    stop = np.argmax(pairs <= 0.0) if np.any(pairs <= 0.0) else len(pairs)
    pairs = np.minimum.accumulate(pairs[:stop])
    return pairs, max(4 * len(pairs) - 1, 1)


def _autocovariance(deviations: np.ndarray) -> np.ndarray:
    """Return the autocovariances of centred chains by fast Fourier transforms."""
    n_steps, n_chains = deviations.shape
    length = 1 << (2 * n_steps - 1).bit_length()  # zero padding, so that the ends never meet
    power = np.zeros(length // 2 + 1)
    chunk = max(_SAMPLES_AT_ONCE // length, 1)
    for first in range(0, n_chains, chunk):
        spectrum = np.fft.rfft(np.ascontiguousarray(deviations[:, first : first + chunk].T), length)
        power += np.einsum("cf,cf->f", spectrum.real, spectrum.real)
        power += np.einsum("cf,cf->f", spectrum.imag, spectrum.imag)
    covariance = np.fft.irfft(power, length)[:n_steps]
    covariance[0] = np.sum(deviations**2)
    return covariance / (n_chains * np.arange(n_steps, 0, -1))
