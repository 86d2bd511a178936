"""A mean with an error bar, and the reasons not to trust it."""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from numbers import Real
from typing import Any

import numpy as np

from nnqmc.errors import InputError
from nnqmc.statistics.chains import centred
from nnqmc.statistics.convergence import drift, r_hat
from nnqmc.statistics.correlation import autocorrelation, bulk_autocorrelation_time
from nnqmc.statistics.errorbar import MANY_CHAINS, choose, error_bars
from nnqmc.statistics.formatting import format_with_error
from nnqmc.statistics.tails import tails_of

_LENGTH_OF_MANY = 25.0  # chains this many tau long have forgotten their start, and there are many of them
_LENGTH_OF_FEW = 50.0  # few chains also have to tell tau and the error by their length
_SHARE_OF_TAU = 0.5
_HIGHEST_R_HAT = 1.05
_HIGHEST_DRIFT = 4.0
_FLOATS = ("value", "error", "variance", "tau", "r_hat")
_FOR_NUMBERS = re.compile(r"[eEfFgGn%,_+]$|[.,_][0-9]|^[- +0](?![<>^=])")
_DIAGNOSTICS = ("tail_index", "largest_share")


@dataclass(frozen=True)
class Estimate:
    """A mean over Markov chains with its standard error; prints itself as `-8.0704(2)`.

    It can be added, subtracted and multiplied with numbers; errors are propagated, independent unless `plus` and
    `minus` are told otherwise. float() gives the value alone.

    Attributes:
        value: the mean, in the unit of the series (hartree for energies).
        error: its standard error, autocorrelation included; nan where there is no way to know.
        variance: variance of one sample, in the squared unit.
        tau: integrated autocorrelation time in steps, 1 for independent samples; nan where there is no way to know.
        r_hat: split R-hat over the chains, 1 when they agree; nan for fewer than four steps.
        n_samples: number of samples in the mean.
        caveats: reasons, in sentences, why the error bar may be wrong.
        tail_index: power with which the share of samples beyond a size falls off, 3 for local energies near nodes; at 2
            and below there is no variance. nan for too few samples.
        largest_share: of the squared error, the part of its largest block of a few tau; nan if it isn't known.
    """

    value: float
    error: float
    variance: float
    tau: float
    r_hat: float
    n_samples: int
    caveats: tuple[str, ...] = ()
    tail_index: float = field(default=math.nan, compare=False)  # nan is not equal to itself
    largest_share: float = field(default=math.nan, compare=False)

    __array_ufunc__ = None  # so that NumPy's numbers leave sums and products with an estimate to it

    def __str__(self) -> str:
        return format_with_error(self.value, self.error)

    def __float__(self) -> float:
        return self.value

    def __format__(self, spec: str) -> str:
        """Format the value where `spec` is one for numbers, such as '.4f', and else the text with its error bar."""
        return format(self.value if _FOR_NUMBERS.search(spec) else str(self), spec)

    def plus(self, other: "Estimate | float", correlation: float | None = None) -> "Estimate":
        """Add an estimate or an exact number.

        The error is that of the sum: sqrt(a^2 + b^2 + 2 c a b) for errors a and b and their correlation c.

        Args:
            other: what is added, in the same unit.
            correlation: of the two errors, from -1 to 1. By default two estimates are independent, and an estimate is
                wholly correlated with itself.

        Returns:
            The sum, with the caveats of both. What only a series of samples has (variance, tau) is nan; n_samples is
            the smaller number.

        Raises:
            InputError: the correlation is no number from -1 to 1.
        """
        return self._combined(1.0, other, correlation)

    def minus(self, other: "Estimate | float", correlation: float | None = None) -> "Estimate":
        """Subtract an estimate or an exact number; the arguments are those of `plus`."""
        return self._combined(-1.0, other, correlation)

    def _combined(self, factor: float, other: "Estimate | float", correlation: float | None) -> "Estimate":
        """Return this estimate plus `factor`, 1 or -1, times another one or a number."""
        if not isinstance(other, Estimate):
            return replace(self, value=self.value + factor * float(other))
        known = float(other is self) if correlation is None else correlation
        if not -1.0 <= known <= 1.0:
            raise InputError(f"correlation={correlation!r} was given; a correlation is a number from -1 to 1: 0 is "
                             "that of independent errors")
        squared = self.error**2 + other.error**2 + 2.0 * factor * known * self.error * other.error
        error = 0.0 if squared < 0.0 else math.sqrt(squared)  # rounding can make it negative
        return Estimate(self.value + factor * other.value, error, math.nan, math.nan,
                        float(np.maximum(self.r_hat, other.r_hat)), min(self.n_samples, other.n_samples),
                        tuple(dict.fromkeys((*self.caveats, *other.caveats))))

    def __add__(self, other: Any) -> "Estimate":
        return self.plus(other) if isinstance(other, Estimate) or _is_number(other) else NotImplemented

    __radd__ = __add__

    def __sub__(self, other: Any) -> "Estimate":
        return self.minus(other) if isinstance(other, Estimate) or _is_number(other) else NotImplemented

    def __rsub__(self, other: Any) -> "Estimate":
        return -self + other if _is_number(other) else NotImplemented

    def __mul__(self, other: Any) -> "Estimate":
        if not _is_number(other):
            return NotImplemented
        factor = float(other)
        return replace(self, value=self.value * factor, error=self.error * abs(factor),
                       variance=self.variance * factor**2)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> "Estimate":
        if not _is_number(other):
            return NotImplemented
        return replace(self * (1.0 / float(other)), value=self.value / float(other))

    def __neg__(self) -> "Estimate":
        return self * -1.0

    def __pos__(self) -> "Estimate":
        return self

    @property
    def trusted(self) -> bool:
        """Tell whether nothing speaks against the error bar."""
        return not self.caveats

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain numbers, text and lists for JSON, which has no nan: None stands for it."""
        plain = asdict(self)
        floats = (*_FLOATS, *_DIAGNOSTICS)
        plain.update({name: plain[name] if math.isfinite(plain[name]) else None for name in floats})
        return plain | {"caveats": list(self.caveats)}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Estimate":
        """Return the estimate that `to_dict` wrote; other keys are ignored, None becomes nan.

        Raises:
            InputError: if a field is missing or not what it should be.
        """
        try:
            found = {name: plain[name] for name in _FLOATS} | {name: plain.get(name) for name in _DIAGNOSTICS}
            numbers = {name: math.nan if value is None else float(value) for name, value in found.items()}
            caveats = tuple(str(sentence) for sentence in plain["caveats"])
            return cls(**numbers, n_samples=int(plain["n_samples"]), caveats=caveats)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(
                f"{plain!r} was given as an estimate; it must have the numbers {', '.join(_FLOATS)}, n_samples and the "
                "list caveats: pass what Estimate.to_dict returned"
            ) from error


def _is_number(value: Any) -> bool:
    """Tell whether a value is a real number, also one in an array without axes."""
    return isinstance(value, Real) or (getattr(value, "shape", None) == () and np.isrealobj(value))


def estimate(series: Any, variance: float | None = None, harmless: float = 0.0) -> Estimate:
    """Return mean, error bar and diagnostics of independent Markov chains of one quantity.

    Three error bars are compared (`error_bars`) and the most reliable is reported, unless another is clearly larger.
    On synthetic chains, normal or with tails as local energies have, with autocorrelation times of 1 to 100 steps, one
    error bar holds the truth in 65 to 71 of 100 trials where `trusted` (docs/statistics.md). Where something is amiss,
    `caveats` says what.

    Heavy tails hide a part of the error: what is rare and large may by chance not have been seen. Where a series has
    them, its error bar is inflated by what they can do (`Tails.inflation`), and a caveat is given unless that is small.

    Args:
        series: (n_steps, n_chains) of samples after burn-in, or (n_steps,) for one chain; any real dtype.
        variance: variance of one sample where the series holds something else than single samples, such as means over
            walkers; computed from the series by default.
        harmless: size of an inflated error bar, in the unit of the series, that is too small to matter: up to there
            heavy tails are no caveat.

    Returns:
        The estimate, in the unit of the series.

    Raises:
        InputError: for a series that is empty, not real, of another shape, or with samples that are not finite.
    """
    mean, deviations = centred(series)
    n_steps, n_chains = deviations.shape
    own_variance = float(np.sum(deviations**2)) / max(deviations.size - 1, 1)
    variance = own_variance if variance is None else float(variance)
    if deviations.size == 1:
        caveat = "one sample: it has no error bar"
        return Estimate(mean, math.nan, variance, math.nan, math.nan, 1, (caveat,))
    if own_variance == 0.0:
        return Estimate(mean, 0.0, variance, 1.0, 1.0, deviations.size)
    correlation = autocorrelation(deviations)
    error = float(choose(error_bars(deviations, correlation), n_chains))
    tau = correlation.tau if n_steps > 1 else math.nan
    ratio, tails = r_hat(deviations), tails_of(deviations, tau)
    if heavy := str(tails) if n_steps > 1 else "":
        error *= tails.inflation
        heavy = "" if tails.is_bounded and error <= harmless else heavy
    return Estimate(mean, error, variance, tau, ratio, deviations.size, _caveats(deviations, tau, ratio, heavy),
                    tails.near[0] if math.isfinite(tails.near[0]) else math.nan, tails.share)


def _caveats(deviations: np.ndarray, tau: float, ratio: float, heavy: str) -> tuple[str, ...]:
    """Return all reasons not to trust the error bar of a series."""
    n_steps, n_chains = deviations.shape
    if n_steps == 1:
        return (f"one step of {n_chains} chains: the error bar holds only if they are independent and equilibrated",)
    found = [_few(n_chains), _short(deviations, tau), _disagreement(ratio), _moving(deviations)]
    return tuple(sentence for sentence in (*found, heavy) if sentence)


def _few(n_chains: int) -> str:
    """Return a caveat if there is one chain only, else an empty text."""
    return "a single chain: there is no other to confirm that it has seen everything" if n_chains == 1 else ""


def _short(deviations: np.ndarray, tau: float) -> str:
    """Return a caveat if the chains are too short for their autocorrelation time, else an empty text.

    They are judged by the tau of the bulk. That of the mean comes out small where the error bar does, so it counts only
    where it is far larger.
    """
    n_steps, n_chains = deviations.shape
    tau = max(bulk_autocorrelation_time(deviations), _SHARE_OF_TAU * tau)
    needed = _LENGTH_OF_MANY if n_chains >= MANY_CHAINS else _LENGTH_OF_FEW
    if n_steps >= needed * max(tau, 1.0):
        return ""
    return (
        f"autocorrelation time unresolved: only {n_steps} steps for tau = {tau:.3g}, at least {needed:.0f} tau are "
        "needed, so the error bar may be too small"
    )


def _disagreement(ratio: float) -> str:
    """Return a caveat if the chains disagree, else an empty text."""
    if not ratio > _HIGHEST_R_HAT:
        return ""
    return f"R-hat {ratio:.3g}: chains disagree by more than their length explains, they are stuck or too short"


def _moving(deviations: np.ndarray) -> str:
    """Return a caveat if all chains drift, else an empty text."""
    if deviations.shape[1] < MANY_CHAINS:
        return ""
    distance = drift(deviations)
    if not abs(distance) > _HIGHEST_DRIFT:
        return ""
    direction = "above" if distance > 0.0 else "below"
    return (
        f"drift: the second half of the steps lies {abs(distance):.1f} standard errors {direction} the first, "
        "so the chains had not equilibrated"
    )
