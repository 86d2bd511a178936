"""Markov chains with a known mean (zero) and a known autocorrelation time, as they occur in evaluations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

import numpy as np


class Case(NamedTuple):
    """Chains of one kind: a key of CHAINS, the autocorrelation time and the length in steps, and the number of chains.
    """

    chains: str
    tau: float
    steps: int
    walkers: int

    @property
    def name(self) -> str:
        """Return the name of the case, such as 'normal tau=10 steps=1000 walkers=256'."""
        return f"{self.chains} tau={self.tau:g} steps={self.steps} walkers={self.walkers}"


def draw(rng: np.random.Generator, case: Case) -> np.ndarray:
    """Return a stationary series (n_steps, n_walkers) with mean 0."""
    return CHAINS[case.chains](rng, case)


def _autoregressive(rng: np.random.Generator, case: Case) -> np.ndarray:
    """Return a series with x' = phi x + sqrt(1 - phi^2) noise.

    Its distribution is standard normal, its autocorrelation phi^k, and tau = (1 + phi) / (1 - phi).
    """
    from scipy.signal import lfilter

    phi = (case.tau - 1.0) / (case.tau + 1.0)
    noise = rng.standard_normal((case.steps, case.walkers))
    noise[1:] *= np.sqrt(1.0 - phi**2)
    return lfilter([1.0], [1.0, -phi], noise, axis=0)


def _mapped(rng: np.random.Generator, case: Case) -> np.ndarray:
    """Return autoregressive numbers transformed to Student's t with 3 degrees of freedom; tau is a little smaller."""
    grid, values = _student_quantiles()
    return np.interp(_autoregressive(rng, case), grid, values)


@cache
def _student_quantiles() -> tuple[np.ndarray, np.ndarray]:
    from scipy.stats import norm, t

    grid = np.linspace(-7.0, 7.0, 20001)
    return grid, np.concatenate([t.ppf(norm.cdf(grid[grid <= 0.0]), 3), t.isf(norm.sf(grid[grid > 0.0]), 3)])


def _renewed(rng: np.random.Generator, case: Case, fresh: Callable[[int], np.ndarray]) -> np.ndarray:
    """Return a series in which each number is kept with probability phi and otherwise drawn anew.

    Its autocorrelation is phi^k for any distribution. A Metropolis chain with few accepted moves behaves like this.
    """
    phi = (case.tau - 1.0) / (case.tau + 1.0)
    is_new = rng.random((case.steps, case.walkers)) >= phi
    is_new[0] = True
    order = np.cumsum(is_new.T.ravel()).reshape(case.walkers, case.steps).T - 1
    return fresh(int(is_new.sum()))[order]


def _student(rng: np.random.Generator, case: Case) -> np.ndarray:
    return _renewed(rng, case, lambda n: rng.standard_t(3.0, n))


def _one_sided(rng: np.random.Generator, case: Case) -> np.ndarray:
    """Draw numbers with a density ~ x^-4 on the upper side and no lower tail (Lomax with index 3, mean 1/2)."""
    return _renewed(rng, case, lambda n: rng.pareto(3.0, n) - 0.5)


def _nodes(rng: np.random.Generator, case: Case) -> np.ndarray:
    """Draw a narrow peak with 1 % of the weight in two tails |x|^-4, like the local energies of a good wavefunction."""

    def fresh(n: int) -> np.ndarray:
        tail = rng.random(n) < 0.01
        return np.where(tail, 3.0 * rng.standard_t(3.0, n), 0.3 * rng.standard_normal(n))

    return _renewed(rng, case, fresh)


CHAINS: Mapping[str, Callable[[np.random.Generator, Case], np.ndarray]] = MappingProxyType({
    "normal": _autoregressive,
    "t3": _mapped,
    "t3 renewed": _student,
    "peak and tail": _nodes,
    "one-sided": _one_sided,
})
"""The kinds of chains; the density of all but the first falls off with the fourth power, as for local energies."""

def _cases(kind: str, walkers: int, taus_of_steps: Mapping[int, tuple[float, ...]]) -> tuple[Case, ...]:
    return tuple(Case(kind, float(tau), steps, walkers) for steps, taus in taus_of_steps.items() for tau in taus)


_HEAVY = ("t3", "t3 renewed", "peak and tail", "one-sided")

CASES = (
    *_cases("normal", 4, {1000: (1, 10), 10000: (1, 10, 100)}),
    *(case for kind in ("normal", "t3")
      for case in _cases(kind, 16, {200: (1, 3, 10), 1000: (1, 10, 30), 3000: (30, 100)})),
    *_cases("normal", 64, {200: (1, 3, 10, 30), 1000: (1, 3, 10, 30)}),
    *(case for kind in _HEAVY for case in _cases(kind, 64, {200: (1, 3, 10)})),
    *(case for kind in _HEAVY for case in _cases(kind, 64, {1000: (10,)})),
    *(case for kind in ("normal", "t3 renewed", "peak and tail") for case in _cases(kind, 256, {200: (1, 3)})),
    *(case for kind in _HEAVY for case in _cases(kind, 64, {1000: (1, 30, 100)})),
    *(case for kind in ("normal", "t3 renewed") for case in _cases(kind, 64, {3000: (100,)})),
)
"""The cases, for very few chains, few chains, as many as small evaluations have, and the most that are kept apart.

200 steps are the fewest after which an evaluation may stop, and 3000 the most that the usual preset allows.
"""
