"""The mean of an observable of any shape, with error bars, and what else is made of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nnqmc.errors import InputError
from nnqmc.statistics.estimates import Estimate, estimate
from nnqmc.statistics.formatting import format_with_error
from nnqmc.statistics.jackknife import Quantity, covariance_of_mean, independent_blocks, jackknife

_MOST_PRINTED = 16
"""Arrays of more numbers are printed by their shape only."""

_MOST_CHECKED = 64
"""Of an array of more numbers, so many are checked one by one, and all error bars come from blocks."""

MAIN = "value"
"""The name under which `finalize` returns what is reported in place of the mean."""


@dataclass(frozen=True, eq=False)
class ObservableEstimate:
    """A measured observable; prints itself as `(0.0(1), 0.0(1), 5.83(2)) debye, length 5.83(2)`.

    Attributes:
        value: a number or an array in `unit`; None where the observable is a dict of quantities, which are `parts`.
        error: its standard error, of the same shape; nan where there is no way to know.
        unit: of the value and the parts; "" for none.
        n_samples: number of samples in the mean.
        caveats: reasons, in sentences, not to trust the error bars.
        notes: what belongs to the value and is no reason for distrust, such as where the origin is.
        parts: further quantities by name.
        tau: integrated autocorrelation time in measurements, the longest of all numbers; nan if it isn't known.
        r_hat: split R-hat, the largest of all numbers; nan if it isn't known.
    """

    value: Any
    error: Any
    unit: str = ""
    n_samples: int = 0
    caveats: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    parts: Mapping[str, Quantity] = field(default_factory=dict)
    tau: float = math.nan
    r_hat: float = math.nan

    @property
    def trusted(self) -> bool:
        """Tell whether nothing speaks against the error bars."""
        return not self.caveats

    def __str__(self) -> str:
        main = "" if self.value is None else f"{_text(self.value, self.error)} {self.unit}".rstrip()
        unit = f" {self.unit}".rstrip() if self.value is None else ""
        return ", ".join([*([main] if main else []),
                          *(f"{name} {_text(*part)}{unit}" for name, part in self.parts.items())])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObservableEstimate) and self.to_dict() == other.to_dict()

    __hash__ = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, text and lists for JSON; None stands for numbers that aren't finite."""
        main = {} if self.value is None else _plain_quantity(Quantity(self.value, self.error))
        return main | {
            "unit": self.unit,
            "n_samples": self.n_samples,
            "tau": _plain(self.tau),
            "r_hat": _plain(self.r_hat),
            "trusted": self.trusted,
            "caveats": list(self.caveats),
            "notes": list(self.notes),
            "parts": {name: _plain_quantity(part) for name, part in self.parts.items()},
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> ObservableEstimate:
        """Return the estimate that `to_dict` wrote; None becomes nan.

        Raises:
            InputError: something is missing or not what it should be.
        """
        try:
            main = _quantity(plain) if MAIN in plain else Quantity(None, None)
            return cls(*main, unit=str(plain["unit"]), n_samples=int(plain["n_samples"]),
                       caveats=tuple(str(sentence) for sentence in plain["caveats"]),
                       notes=tuple(str(sentence) for sentence in plain["notes"]),
                       parts={str(name): _quantity(part) for name, part in plain["parts"].items()},
                       tau=_numbers(plain["tau"], ()), r_hat=_numbers(plain["r_hat"], ()))
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise InputError(f"{plain!r:.300} was given as an observable; it must have unit, n_samples, tau, r_hat, "
                             "caveats, notes and parts: pass what ObservableEstimate.to_dict returned") from error


def estimate_observable(series: Any, *, unit: str = "", finalize: Callable[[Any, np.ndarray], Any] | None = None,
                        n_samples: int | None = None, caveats: tuple[str, ...] = (), notes: tuple[str, ...] = (),
                        harmless: float = 0.0) -> ObservableEstimate:
    """Return the mean of an observable with error bars, and what `finalize` makes of it.

    Every number has an error bar of its own, like the energy's (`estimate`). Of an array of more than 64 numbers 64
    are looked at so, for the autocorrelation time and the caveats; the error bars of all come from blocks then.
    What `finalize` returns has error bars from the jackknife over blocks longer than the longest autocorrelation time.

    Args:
        series: (n_steps, n_chains, ...), or a dict of such arrays; steps with a number that isn't finite are left out.
        unit: of the value.
        finalize: as in `nnqmc.observables.Observable`.
        n_samples: number of samples in the mean, where the series holds means of several; the length by default.
        caveats: further reasons not to trust the error bars.
        notes: further sentences that belong to the value.
        harmless: size of an error bar in the unit of the series that is too small to matter, as in `estimate`.
    """
    is_dict = isinstance(series, Mapping)
    leaves = dict(sorted(series.items())) if is_dict else {MAIN: series}
    shapes = {name: np.shape(leaf)[2:] for name, leaf in leaves.items()}
    columns = np.concatenate([np.asarray(leaf, np.float64).reshape(*np.shape(leaf)[:2], -1)
                              for leaf in leaves.values()], axis=2)
    columns = columns[np.isfinite(columns).all(axis=(1, 2))]
    if not len(columns):
        nothing = _arranged(np.full(columns.shape[2], math.nan), shapes)
        caveats = ("no sample had a finite value", *caveats)
        return _reported({name: Quantity(x, x) for name, x in nothing.items()}, unit, 0, caveats, notes)
    numbers = [estimate(columns[:, :, index], harmless=harmless) for index in _checked(columns.shape[2])]
    tau, r_hat = (max((getattr(each, name) for each in numbers), default=math.nan) for name in ("tau", "r_hat"))
    blocks = independent_blocks(columns, tau)
    mean, error = _each(columns, numbers, blocks)
    found = {name: Quantity(value, spread) for (name, value), spread in
             zip(_arranged(mean, shapes).items(), _arranged(error, shapes).values(), strict=True)}
    if finalize is not None:
        def function(row: np.ndarray, covariance: np.ndarray) -> Mapping[str, Any]:
            whole = _arranged(row, shapes)
            return finalize(whole if is_dict else whole[MAIN], covariance)

        found = ({} if is_dict else found) | _finalized(blocks, mean, function)
    n_samples = columns.shape[0] * columns.shape[1] if n_samples is None else n_samples
    return _reported(found, unit, n_samples, _all_caveats(numbers) + caveats, notes, tau, r_hat)


def _checked(n_numbers: int) -> list[int]:
    """Return which numbers of an array are looked at one by one: all of them, or an even choice of many."""
    return np.unique(np.linspace(0, n_numbers - 1, min(n_numbers, _MOST_CHECKED)).astype(int)).tolist()


def _each(columns: np.ndarray, numbers: list[Estimate], blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard error of every number: of its own estimate, or of the blocks where there are many."""
    if columns.shape[2] == len(numbers):
        return np.array([each.value for each in numbers]), np.array([each.error for each in numbers])
    spread = blocks.std(axis=0, ddof=1) if len(blocks) > 1 else np.full(columns.shape[2], math.nan)
    return columns.mean(axis=(0, 1)), spread / math.sqrt(len(blocks))


def _arranged(row: np.ndarray, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Return all numbers in one row as arrays of these shapes, by name."""
    ends = np.cumsum([math.prod(shape) for shape in shapes.values()])
    parts = np.split(np.asarray(row), ends[:-1])
    return {name: _shaped(part.reshape(shape)) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


def _finalized(blocks: np.ndarray, mean: np.ndarray, function: Callable[[np.ndarray, np.ndarray], Mapping[str, Any]]
               ) -> dict[str, Quantity]:
    """Return what a function makes of the mean; entries without an error of their own get that of the jackknife.

    A number that can't be told without one of the blocks, so that its error isn't known, is nan.
    """
    values = function(mean, covariance_of_mean(blocks))
    missing = [name for name, value in values.items() if not isinstance(value, Quantity)]

    def only_missing(mean: np.ndarray, covariance: np.ndarray) -> dict[str, Any]:
        result = function(mean, covariance)
        return {name: result[name] for name in missing}

    errors = jackknife(blocks, only_missing) if missing else {}
    if len(blocks) > 2:
        values = values | {name: np.where(np.isfinite(error), values[name], math.nan) for name, error in errors.items()}
    pairs = {name: (value, errors[name]) if name in errors else value for name, value in values.items()}
    return {name: Quantity(*(_shaped(np.asarray(x, np.float64)) for x in pair)) for name, pair in pairs.items()}


def _reported(found: Mapping[str, Quantity], unit: str, n_samples: int, caveats: tuple[str, ...],
              notes: tuple[str, ...], tau: float = math.nan, r_hat: float = math.nan) -> ObservableEstimate:
    """Return the quantities as one estimate: the one called "value" is its value, the others are parts."""
    main = found.get(MAIN, Quantity(None, None))
    parts = {name: part for name, part in found.items() if name != MAIN}
    return ObservableEstimate(*main, unit, n_samples, caveats, notes, parts, tau, r_hat)


def _all_caveats(numbers: list[Estimate]) -> tuple[str, ...]:
    """Return the reasons not to trust one number, or those of the first doubtful one of many with their count."""
    if len(numbers) == 1:
        return numbers[0].caveats
    doubtful = [each.caveats for each in numbers if each.caveats]
    return tuple(f"{len(doubtful)} of {len(numbers)} numbers looked at, the first of them: {sentence}"
                 for sentence in (doubtful[0] if doubtful else ()))


def _shaped(array: np.ndarray) -> Any:
    """Return an array, or a float in place of one without axes."""
    return array if array.ndim else float(array)


def _text(value: Any, error: Any) -> str:
    """Return a number as `5.83(2)`, or `unknown` where it is nan, an array as these in parentheses or as its shape."""
    if np.size(value) > _MOST_PRINTED:
        return f"array {np.shape(value)}"
    if np.ndim(value) == 0:
        return "unknown" if np.isnan(value) else format_with_error(value, error)
    return f"({', '.join(_text(*pair) for pair in zip(value, error, strict=True))})"


def _plain(numbers: Any) -> Any:
    """Return nested lists of numbers for JSON, with None for those that aren't finite."""
    if np.ndim(numbers):
        return [_plain(each) for each in numbers]
    return float(numbers) if math.isfinite(numbers) else None


def _plain_quantity(quantity: Quantity) -> dict[str, Any]:
    """Return value and error for JSON."""
    return {MAIN: _plain(quantity.value), "error": _plain(quantity.error)}


def _quantity(plain: Mapping[str, Any]) -> Quantity:
    """Return the value and the error of a plain dict; they have to have the same shape."""
    value = _numbers(plain[MAIN])
    return Quantity(value, _numbers(plain["error"], np.shape(value)))


def _numbers(plain: Any, shape: tuple[int, ...] | None = None) -> Any:
    """Return nested lists of numbers or None as a float or an array of this shape, with nan for None."""
    array = np.array(plain, dtype=np.float64)
    if shape is not None and array.shape != shape:
        raise ValueError(f"numbers of the shape {array.shape}, where {shape} is needed")
    return _shaped(array)
