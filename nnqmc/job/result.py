"""The result of a run: an energy that says how far it is from the reference and whether to trust it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nnqmc.errors import CheckpointError, InputError
from nnqmc.methods import reasons_not_to_trust
from nnqmc.statistics import Estimate, ObservableEstimate, Remaining, Trend, doubts, signed_millihartree
from nnqmc.statistics.formatting import in_millihartree

FRACTIONS = ("acceptance", "stuck", "excluded", "reseeded", "bad_proposals")
"""The fields of an `Evaluation` that describe the walk."""

_AS_THEY_ARE = ("hartree_fock", "steps", "planned_steps", "evaluation_cut", "converged", "trusted", "caveats", "notes",
                "performance", "versions", "settings")
"""The attributes of a result that stand in result.json under their own names."""


@dataclass(frozen=True, repr=False)
class Result:
    """Holds what a run found; prints as `LiH   E = -8.0704(2) Ha    reference -8.070548    difference +0.1(2) mHa`.

    Attributes:
        name: name of the system.
        energy: total energy in hartree.
        reference: {energy, uncertainty, kind, source} of the published energy, or None.
        terms: parts of the energy in hartree.
        observables: further averages, with their units.
        steps: training steps done.
        planned_steps: training steps asked for.
        fractions: acceptance of moves, stuck walkers, samples left out (excluded), walkers replaced (reseeded), moves
            that led where the wavefunction isn't finite (bad_proposals).
        notes: what a reader should know that is no reason for distrust.
        seconds: wall time of each stage.
        settings: the configuration it came from.
        versions: of nnqmc, Python, JAX and others.
        performance: walkers x sweeps and floating-point operations per second in training, the speed of large matrix
            products (matrix_peak), the most memory in bytes, and what was estimated before the run.
        evaluation_cut: whether the time limit or a signal ended the evaluation before its error bar was on target.
        hartree_fock: energy in hartree of the Hartree-Fock state that the run started from; None if it isn't known or
            belongs to another Hamiltonian.
        trend: of the energies in training, in hartree; None if too few steps are recorded to tell.
        left: what more training would probably gain, in hartree, with its standard error; None as for the trend.
        series: of the stages train and evaluate, arrays (n_steps, ...) by name; none in a result read from a file.
    """

    name: str
    energy: Estimate
    reference: Mapping[str, Any] | None = None
    terms: Mapping[str, Estimate] = field(default_factory=dict)
    observables: Mapping[str, ObservableEstimate] = field(default_factory=dict)
    steps: int = 0
    planned_steps: int = 0
    fractions: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    performance: Mapping[str, float] = field(default_factory=dict)
    evaluation_cut: bool = False
    hartree_fock: float | None = None
    trend: Trend | None = None
    left: Remaining | None = None
    series: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict, compare=False)

    @property
    def complete(self) -> bool:
        """Tell whether nothing was cut by the time limit; otherwise `nnqmc.resume` goes on."""
        return self.steps >= self.planned_steps and not self.evaluation_cut

    @property
    def difference(self) -> float | None:
        """Return the energy less its reference in hartree, or None without a reference."""
        return None if self.reference is None else self.energy.value - self.reference["energy"]

    @property
    def difference_error(self) -> float:
        """Return the standard error of `difference` in hartree, the reference's own uncertainty included."""
        return math.hypot(self.energy.error, (self.reference or {}).get("uncertainty") or 0.0)

    @property
    def caveats(self) -> tuple[str, ...]:
        """Return the reasons, in sentences, not to trust the energy."""
        is_bound = self.reference is not None and self.reference["kind"] == "exact"
        found = doubts(self.energy, above_exact=(self.difference, self.difference_error) if is_bound else None,
                       hartree_fock=self.hartree_fock, curve=self.trend)
        return tuple(dict.fromkeys((*self.energy.caveats, *reasons_not_to_trust(self.fractions), *found)))

    @property
    def trusted(self) -> bool:
        """Tell whether nothing speaks against the energy and its error bar."""
        return not self.caveats

    @property
    def converged(self) -> bool:
        """Tell whether all training steps were done, the energy didn't fall any more by the last of them, at most the
        accuracy is left to gain, and the error bar is trusted and, if there is a target, on it.
        """
        aim, target = (self.settings.get(part, {}).get(name)
                       for part, name in (("train", "accuracy"), ("evaluate", "target_error")))
        is_flat = self.trend is not None and not self.trend.is_falling(self.energy.error)
        is_done = is_flat and self.steps >= self.planned_steps and not (self.left and self.left.is_more_than(aim))
        return self.trusted and is_done and (target is None or bool(self.energy.error <= target))

    def __str__(self) -> str:
        parts = [f"{self.name}   E = {self.energy} Ha"]
        if self.reference is None:
            parts.append("no reference")
        else:
            parts += [f"reference {self.reference['energy']:.10g}",
                      f"difference {signed_millihartree(self.difference, self.difference_error)} mHa"]
        lines = ["    ".join(parts)]
        if self.left is not None:
            lines.append(f"  training: {in_millihartree(*self.left)} mHa probably left")
        lines += [f"  not to be trusted: {sentence}" for sentence in self.caveats]
        lines += [f"  note: {sentence}" for sentence in self.notes]
        for name, value in self.observables.items():
            lines += [f"  not to be trusted: {name}: {sentence}" for sentence in value.caveats]
            lines += [f"  note: {name}: {sentence}" for sentence in value.notes]
        return "\n".join(lines)

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, text and lists for result.json; None stands for numbers that aren't finite."""
        energy = self.energy.to_dict()
        return finite({
            "system": self.name,
            "energy": energy["value"],
            "error": energy["error"],
            "unit": "hartree",
            "reference": self.reference,
            "difference": self.difference,
            "difference_error": self.difference_error,
            **{name: energy[name] for name in ("variance", "tau", "r_hat", "n_samples")},
            **self.fractions,
            "terms": {name: value.to_dict() for name, value in self.terms.items()},
            "observables": {name: value.to_dict() for name, value in self.observables.items()},
            **{name: getattr(self, name) for name in _AS_THEY_ARE},
            **{name: None if (found := getattr(self, name)) is None else found._asdict() for name in ("trend", "left")},
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "seed": self.settings.get("seed"),
            "estimate": energy,
        })

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Result:
        """Return the result that `to_dict` wrote.

        Raises:
            CheckpointError: something is missing or not what it should be.
        """
        try:
            return cls(
                name=str(plain["system"]),
                energy=Estimate.from_dict(plain["estimate"]),
                reference=_reference(plain["reference"]),
                terms={name: Estimate.from_dict(value) for name, value in plain["terms"].items()},
                observables={name: ObservableEstimate.from_dict(value) for name, value in plain["observables"].items()},
                steps=int(plain["steps"]),
                planned_steps=int(plain["planned_steps"]),
                evaluation_cut=plain["evaluation_cut"] is True,
                hartree_fock=None if plain["hartree_fock"] is None else _numbers({"": plain["hartree_fock"]})[""],
                trend=None if plain["trend"] is None else Trend(**_numbers(plain["trend"])),
                left=None if plain["left"] is None else Remaining(**_numbers(plain["left"])),
                fractions=_numbers({name: plain[name] for name in FRACTIONS if name in plain}),
                notes=tuple(str(sentence) for sentence in plain["notes"]),
                seconds=_numbers(plain["seconds"]),
                performance=_numbers(plain["performance"]),
                settings=_settings(plain["settings"]),
                versions={name: str(text) for name, text in plain["versions"].items()},
            )
        except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError, InputError) as error:
            raise CheckpointError(f"this isn't a result of nnqmc ({type(error).__name__}: {error}); evaluate the run "
                                  "again with `nnqmc evaluate DIR`") from error


def _numbers(plain: Mapping[str, Any]) -> dict[str, float]:
    """Return finite numbers by name; ValueError for any other."""
    found = {name: float(value) for name, value in plain.items()}
    if not all(map(math.isfinite, found.values())):
        raise ValueError(f"{found!r:.80} where finite numbers are needed")
    return found


def _settings(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration, checked as far as it is used again."""
    if not isinstance(plain.get("system", {}), Mapping):
        raise ValueError(f"settings.system = {plain['system']!r:.40}")
    target = plain.get("evaluate", {}).get("target_error")
    if not (target is None or isinstance(target, int | float)):
        raise ValueError(f"the target error {target!r:.40}")
    return dict(plain)


def _reference(plain: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the published energy, its numbers as numbers."""
    if plain is None:
        return None
    known = _numbers({name: plain[name] or 0.0 for name in ("energy", "uncertainty")})
    return dict(plain) | known | {name: str(plain[name]) for name in ("kind", "source")}


def finite(value: Any) -> Any:
    """Return plain values for JSON, which has no nan and no infinity: None stands for them."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
