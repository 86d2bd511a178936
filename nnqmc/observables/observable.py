"""The form of every observable: a quantity that an evaluation measures besides the energy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nnqmc.errors import InputError
from nnqmc.statistics import ObservableEstimate
from nnqmc.typing import PyTree, System

Observables = Mapping[str, Any] | Iterable[Any] | None
"""The forms in which observables are given: a list, or a dict by name that may hold plain functions; see `by_name`."""


@dataclass(frozen=True)
class Observable:
    """A quantity that an evaluation measures besides the energy.

    Attributes:
        name: what it is called in results.
        unit: of what is reported, such as "debye"; "" for a number without a unit.
        local: `local(psi, electrons, system, key)`, or `local(psi, electrons, system, key, local_energy)` with
            `needs_local_energy`. It returns a number, an array or a dict of these for one walker; their mean over
            |psi|^2 is measured. `local_energy` is that walker's LocalEnergy.
        finalize: `finalize(mean, covariance)` turns the mean, in the form that `local` has, into what is reported. The
            `covariance` (n_numbers, n_numbers) is that of the mean, with its numbers in one row (dicts in the order of
            their sorted keys). It returns a dict of numbers or arrays; the one called "value" is reported in place of
            the mean, the others beside it. Their error bars are found by the jackknife, unless an entry is a
            `nnqmc.statistics.Quantity` with an error of its own. None reports the mean.
        needs_local_energy: whether `local` takes the walker's local energy.
        every: the quantity is measured at steps whose number is a multiple of this.
        harmless: the size of an error bar, in the unit of what `local` returns, that is too small to matter: up to
            there heavy tails are no reason not to trust it (see `nnqmc.statistics.estimate`).
        caveats: sentences that belong to the value, such as what its origin is, or a function system -> sentences.
        remarks: a function (system, estimate) -> sentences on the ObservableEstimate that was found, such as that it
            isn't what an exact wavefunction has; None has nothing to say.
        doubts: `doubts(estimate)` returns reasons, in sentences, not to trust the ObservableEstimate that was found.
        compare: `compare(others)` returns such reasons from the estimates of all observables by name; of a check they
            are notes.
        is_check: whether it only checks the wavefunction, so that doubts count, and not what the error bars lack.

    Raises:
        InputError: `name` is empty, or `every` is not a whole number of at least 1.
    """

    name: str
    unit: str
    local: Callable[..., PyTree]
    finalize: Callable[[Any, np.ndarray], Mapping[str, Any]] | None = None
    needs_local_energy: bool = False
    every: int = 1
    harmless: float = 0.0
    caveats: tuple[str, ...] | Callable[[System], tuple[str, ...]] = ()
    remarks: Callable[[System, ObservableEstimate], tuple[str, ...]] | None = None
    doubts: Callable[[ObservableEstimate], tuple[str, ...]] | None = None
    compare: Callable[[Mapping[str, ObservableEstimate]], tuple[str, ...]] | None = None
    is_check: bool = False

    def __post_init__(self) -> None:
        """Refuse settings with which nothing would be measured."""
        if not self.name:
            raise InputError(f"observable name={self.name!r}: needs a name, such as 'dipole'")
        if isinstance(self.every, bool) or not isinstance(self.every, int) or self.every < 1:
            raise InputError(f"observable {self.name}: every={self.every!r}: needs a whole number of at least 1")

    def caveats_for(self, system: System) -> tuple[str, ...]:
        """Return the sentences that belong to the value for this system."""
        return tuple(self.caveats(system)) if callable(self.caveats) else tuple(self.caveats)

    def judged(self, system: System, found: ObservableEstimate) -> ObservableEstimate:
        """Return what was found with all sentences that belong to it: caveats and remarks as notes, and doubts."""
        remarks = () if self.remarks is None else tuple(self.remarks(system, found))
        doubts = () if self.doubts is None else tuple(self.doubts(found))
        return replace(found, notes=(*found.notes, *self.caveats_for(system), *remarks),
                       caveats=(*(() if self.is_check else found.caveats), *doubts))

    def compared(self, found: ObservableEstimate, others: Mapping[str, ObservableEstimate]) -> ObservableEstimate:
        """Return what was found with the reasons not to trust it that a comparison with other observables gives."""
        said = () if self.compare is None else tuple(self.compare(others))
        if self.is_check:
            return replace(found, notes=(*found.notes, *said))
        return replace(found, caveats=(*found.caveats, *said))


def by_name(observables: Observables) -> dict[str, Observable]:
    """Return observables by name, whatever form they were given in.

    Args:
        observables: a list of them, or a dict from the name to an Observable (reported by that name) or to a plain
            function (psi, electrons, system, key) -> numbers, which becomes an observable without a unit.

    Raises:
        InputError: one is neither an Observable nor a function, or two have the same name.
    """
    if observables is None or isinstance(observables, Mapping):
        return {name: _named(name, given) for name, given in (observables or {}).items()}
    found: dict[str, Observable] = {}
    for given in observables:
        if not isinstance(given, Observable):
            raise InputError(f"observables hold {given!r:.60}: give nnqmc.observables.Observable objects in a list, or "
                             "a dict of functions by name")
        if given.name in found:
            raise InputError(f"two observables are called {given.name!r}: give a dict with a name for each")
        found[given.name] = given
    return found


def _named(name: str, given: Any) -> Observable:
    """Return an observable of this name, made of an Observable or of a function."""
    if isinstance(given, Observable):
        return replace(given, name=name)
    if not callable(given):
        raise InputError(f"observable {name!r} = {given!r:.60}: give a function (psi, electrons, system, key) -> "
                         "numbers, or an nnqmc.observables.Observable")
    return Observable(name, "", given)
