"""The results of an evaluation, and the reasons not to trust them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from nnqmc.observables import Observable
from nnqmc.statistics import Estimate, ObservableEstimate, estimate, estimate_observable
from nnqmc.typing import System

_MOST_EXCLUDED, _MOST_ELSEWHERE = 1e-3, 0.01
"""Shares of samples left out, and of anything else amiss in the walk, above which the numbers aren't trusted."""

FAULTS = ("excluded", "reseeded", "bad_proposals")
"""Shares that are counted in every step of an evaluation."""


class Evaluation(NamedTuple):
    """The results of an evaluation at fixed parameters.

    energy, terms: Estimates in hartree.
    observables: ObservableEstimates by name.
    series: for each step the mean of every group of walkers, (n_steps, n_groups) for "energy" and "term.NAME",
        (n_steps, n_groups, ...) for "observable.NAME" or "observable.NAME.KEY", where nan marks steps at which it
        wasn't measured; and (n_steps,) for "variance", "excluded", "excluded.NAME", "reseeded" and "bad_proposals".
    acceptance, stuck, excluded: fractions of moves, of walkers, and of samples whose energy wasn't finite and was left
        out.
    chains: the sampler's last state.
    reseeded: walkers that were lost and replaced, burn-in included, as a fraction of all.
    bad_proposals: the fraction of moves that led where the wavefunction is neither finite nor zero, and were refused.
    finished: False if the monitor ended it, before the error bar was small enough or max_steps were done.
    """

    energy: Estimate
    terms: dict[str, Estimate]
    observables: dict[str, ObservableEstimate]
    series: dict[str, np.ndarray]
    acceptance: float
    stuck: float
    excluded: float
    chains: Any
    reseeded: float = 0.0
    bad_proposals: float = 0.0
    finished: bool = True


def reasons_not_to_trust(fractions: Mapping[str, float], left_out: str = "no finite local energy") -> tuple[str, ...]:
    """Return the reasons, in sentences, not to trust what was measured.

    Args:
        fractions: stuck, excluded, reseeded and bad_proposals as in `Evaluation`; those not there count as 0.
        left_out: what the excluded samples had.
    """
    share = {name: fractions.get(name, 0.0) for name in ("stuck", *FAULTS)}
    found = {
        f"{share['excluded']:.2%} of the samples had {left_out} and were left out": share["excluded"] > _MOST_EXCLUDED,
        f"{share['stuck']:.1%} of the walkers are stuck": share["stuck"] > _MOST_ELSEWHERE,
        f"{share['reseeded']:.1%} of the walkers were lost and had to be replaced": share["reseeded"] > _MOST_ELSEWHERE,
        f"{share['bad_proposals']:.1%} of the moves led where the wavefunction isn't finite, and nothing is known of "
        "the energy there": share["bad_proposals"] > _MOST_ELSEWHERE,
    }
    return tuple(sentence for sentence, holds in found.items() if holds)


def summarised(series: dict[str, np.ndarray], chains: Any, lost: float, system: System,
               observables: Mapping[str, Observable], harmless: float = 0.0) -> Evaluation:
    """Return the estimates of all that was measured.

    Args:
        series: rows of numbers by name, as `make_measure_step` describes them.
        chains: the sampler's last state.
        lost: walkers that were replaced during the burn-in, as a fraction of all.
        system: the molecule.
        observables: what the series hold besides the energy.
        harmless: error bar of the energy, in hartree, below which heavy tails don't matter (`estimate`).
    """
    n_walkers = chains.walkers.electrons.shape[0]
    fractions = {"acceptance": float(series["acceptance"].mean()), "stuck": float(series["stuck"][-1]),
                 **{name: float(series[name].mean()) for name in FAULTS},
                 "reseeded": lost + float(series["reseeded"].sum())}
    caveats = reasons_not_to_trust(fractions)

    def measured(name: str, *settings: float) -> Estimate:
        found = estimate(series[name], *settings)
        return replace(found, n_samples=len(series[name]) * n_walkers, caveats=found.caveats + caveats)

    terms = {name.removeprefix("term."): measured(name) for name in series if name.startswith("term.")}
    found = {name: _observed(observable, _series_of(name, series, observables), series[f"excluded.{name}"], n_walkers,
                             fractions, system) for name, observable in observables.items()}
    found = {name: observables[name].compared(each, found) for name, each in found.items()}
    kept = {name: values for name, values in series.items() if name not in ("acceptance", "stuck")}
    return Evaluation(measured("energy", float(series["variance"].mean()), harmless), terms, found, kept, chains=chains,
                      **fractions)


def _series_of(name: str, series: Mapping[str, np.ndarray], names: Mapping[str, Any]) -> Any:
    """Return the series of one observable: an array, or a dict of them."""
    if (whole := f"observable.{name}") in series:
        return series[whole]
    longer = tuple(f"observable.{other}" for other in names if other.startswith(f"{name}."))
    return {key.removeprefix(f"{whole}."): values for key, values in series.items()
            if key.startswith(f"{whole}.") and not (longer and key.startswith(longer))}


def _observed(observable: Observable, values: Any, excluded: np.ndarray, n_walkers: int,
              fractions: Mapping[str, float], system: System) -> ObservableEstimate:
    """Return the estimate of an observable, with its own share of samples left out."""
    is_measured = ~np.isnan(excluded)
    leaves = list(values.values()) if isinstance(values, dict) else [values]
    is_whole = np.all([np.isfinite(leaf).all(axis=tuple(range(1, leaf.ndim))) for leaf in leaves], axis=0)
    shares = np.where(is_whole, excluded, 1.0)[is_measured]
    share = float(shares.mean()) if len(shares) else 0.0
    caveats = reasons_not_to_trust({**fractions, "excluded": share}, "no finite value of this observable")
    n_samples = round(n_walkers * float(np.sum(1.0 - shares)))
    found = estimate_observable(values, unit=observable.unit, finalize=observable.finalize, n_samples=n_samples,
                                caveats=caveats, harmless=observable.harmless)
    return observable.judged(system, found)
