"""Energy differences that chemists ask for, and the runs that they need."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from nnqmc.config import Config
from nnqmc.errors import InputError, NnqmcError, unknown
from nnqmc.job import Result
from nnqmc.job.build import build, forecast_run
from nnqmc.messages import counted, rough_duration
from nnqmc.ranges import Between, check
from nnqmc.statistics import format_with_error
from nnqmc.studies.report import write_json
from nnqmc.studies.structures import pair_of
from nnqmc.studies.words import RECIPES
from nnqmc.studies.work import Work
from nnqmc.system import molecule, reference
from nnqmc.typing import System
from nnqmc.units import HARTREE_IN_EV, HARTREE_IN_KCAL_PER_MOL, HARTREE_IN_KJ_PER_MOL

_UNITS = (("Ha", 1.0), ("eV", HARTREE_IN_EV), ("kcal/mol", HARTREE_IN_KCAL_PER_MOL), ("kJ/mol", HARTREE_IN_KJ_PER_MOL))
_TARGET = 5e-4
"""The error bar of the difference in hartree where none is asked for."""
_TIE = 1e-3
"""The distance in bohr by which an atom has to be nearer to one of two others for that to be no rounding."""
_NOT_IN_IT = ("clamped nuclei, no relativity: zero-point and relativistic energies are not in it, and both have to be "
              "added before it is compared with an experiment")


@dataclass(frozen=True)
class Part:
    """One energy of a difference: how often it counts, its system, and its result, once there is one."""

    times: int
    system: System
    target_error: float
    directory: Path | None = None
    result: Result | None = None


@dataclass(frozen=True)
class Difference:
    """An energy difference, the sum of `times` energy over its parts; prints itself in four units.

    Attributes:
        recipe: its name.
        name: of the system.
        parts: the energies that it is made of.
        target_error: the error bar that was asked for, in hartree.
        directory: of the study.
    """

    recipe: str
    name: str
    parts: tuple[Part, ...]
    target_error: float
    directory: Path

    @property
    def complete(self) -> bool:
        """Tell whether all parts are done; otherwise the same call or command goes on."""
        return all(part.result is not None and part.result.complete for part in self.parts)

    @property
    def value(self) -> float:
        """Return the difference in hartree; nan before all parts have an energy."""
        return sum(part.times * part.result.energy.value if part.result else math.nan for part in self.parts)

    @property
    def error(self) -> float:
        """Return its standard error in hartree; the runs of the parts are independent of each other."""
        return math.hypot(*(part.times * part.result.energy.error if part.result else math.nan
                            for part in self.parts))

    @property
    def left(self) -> tuple[float, float] | None:
        """Return by how much training would still move the difference, and the error of that, or None if unknown."""
        known = [(part.times, part.result.left) for part in self.parts if part.result and part.result.left]
        if len(known) < len(self.parts):
            return None
        return (-sum(times * left.value for times, left in known),
                math.hypot(*(times * left.error for times, left in known)))

    @property
    def reference(self) -> float | None:
        """Return the difference of the reference energies in hartree, or None if one isn't known."""
        found = [(part.times, _known(part.system)) for part in self.parts]
        return None if any(known is None for _, known in found) else sum(times * known for times, known in found)

    @property
    def assumed(self) -> str:
        """Return a sentence that names the 2S of every fragment of more than one atom; "" where there is none."""
        fragments = [f"{part.system.name} has 2S = {part.system.spin}" for part in self.parts
                     if part.times > 0 and part.system.n_atoms > 1]
        return "" if self.recipe != "dissociation" or not fragments else (
            f"{' and '.join(fragments)}, the lowest one unless --fragment-spins gave another: where the ground state "
            "of a fragment has a higher one (CH2 is a triplet, 2S = 2), the difference is too large")

    @property
    def caveats(self) -> tuple[str, ...]:
        """Return the reasons, in sentences, not to trust it."""
        found = [f"{part.system.name}: {sentence}" for part in self.parts if part.result
                 for sentence in part.result.caveats]
        if self.complete and not self.error <= 1.005 * self.target_error:
            found.append(f"its error bar is larger than the {self.target_error:g} Ha that were asked for: more "
                         "evaluate.max_steps are needed")
        return tuple(found)

    def __str__(self) -> str:
        lines = [f"{self.recipe} of {self.name}, {RECIPES[self.recipe]}"]
        for part in self.parts:
            known = _known(part.system)
            lines.append(f"  {part.times:+d} x {part.system.name:8} E = "
                         f"{'not done yet' if part.result is None else f'{part.result.energy} Ha'}"
                         + ("" if known is None else f"    reference {known:.8g}"))
        if self.complete:
            for unit, factor in _UNITS:
                beside = "" if self.reference is None else f"    reference {self.reference * factor:.6g}"
                lines.append(f"  {format_with_error(self.value * factor, self.error * factor)} {unit}{beside}")
            if self.left is not None:
                lines.append("  more training would probably move it by "
                             f"{format_with_error(*(1e3 * x for x in self.left))} mHa")
        else:
            lines.append("  not complete; the same command goes on")
        lines += [f"  not to be trusted: {sentence}" for sentence in self.caveats]
        lines += [f"  {self.assumed}"] * bool(self.assumed)
        return "\n".join([*lines, f"  {_NOT_IN_IT}; the error is that of independent runs"])

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and texts for result.json."""
        parts = [{"times": part.times, "system": part.system.name, "spin": part.system.spin,
                  "target_error": part.target_error, "directory": part.directory and part.directory.name,
                  "result": part.result and part.result.to_dict()} for part in self.parts]
        values = {unit: {"value": self.value * factor, "error": self.error * factor,
                         "reference": None if self.reference is None else self.reference * factor}
                  for unit, factor in _UNITS}
        return {"study": "recipe", "recipe": self.recipe, "system": self.name, "complete": self.complete,
                "difference": values, "left": self.left, "target_error": self.target_error,
                "method": "independent runs", "trusted": self.complete and not self.caveats, "caveats": self.caveats,
                "note": _NOT_IN_IT, "assumed": self.assumed, "parts": parts}


def recipe(name: str, source: Any, *, target_error: Annotated[float, Between(1e-9, 1.0)] = _TARGET,
           atoms: Sequence[int] | None = None, spins: Sequence[int] | None = None,
           out: str | os.PathLike[str] | None = None, **settings: Any) -> Difference:
    """Compute an energy difference from the runs that it needs, which are said first, with their times.

    - ionisation: E(charge + 1) - E.
    - affinity: E - E(charge - 1).
    - atomisation: the energies of the neutral atoms less that of the molecule.
    - dissociation: those of the fragments on both sides of a bond, neutral and where they are, less that of the
      molecule. Each atom belongs to the nearer of the two atoms of the bond; one that is as near to both is refused.
    - singlet-triplet: E(2S = 2) - E(2S = 0), both at the geometry given.

    Atoms and ions have the spin of their ground state, other parts the lowest one unless `spins` gives those of the
    fragments. All parts are treated alike: they
    have the settings that the preset chooses for the largest of them. The error budget is shared so that the difference
    meets `target_error` at the least cost, which grows with the square of the number of electrons.

    Args:
        name: one of `nnqmc.studies.words.RECIPES`.
        source: anything that `nnqmc.molecule` takes.
        target_error: of the difference, in hartree.
        atoms: the bond that dissociation breaks, counted from 1; not needed for two atoms.
        spins: 2S of its two fragments, that of the first atom of the bond first.
        out: the directory; by default runs/NAME-RECIPE.
        **settings: as for `nnqmc.curve`, without evaluate.target_error.

    Raises:
        InputError: something given can't be used; nothing has been written.
        SCFError, NumericalError, CheckpointError: a run failed; those before are kept.
        Interrupted: Ctrl-C, SIGTERM, SIGUSR1 or SIGHUP; the same call goes on.
    """
    if name not in tuple(RECIPES):
        raise unknown("recipe", name, RECIPES)
    check(recipe, target_error=target_error)
    chosen = {key: settings.pop(key, None) for key in ("charge", "spin", "unit")}
    _check_used(name, chosen["spin"], atoms, spins)
    system = molecule(source, **chosen)
    systems = _parts(name, system, atoms, spins)
    work = Work(out, f"{system.name}-{name}", settings)
    parts = _shared_out(systems, target_error)
    configs = _alike(work, parts)
    found = Difference(name, system.name, tuple(parts), target_error, work.folder)
    _say_plan(work, found, configs)
    for number, (part, config) in enumerate(zip(parts, configs, strict=True)):
        solved = work.solved(config, f"run {number + 1} of {len(parts)} of the recipe")
        if solved is None:
            break
        parts[number] = replace(part, directory=solved[0].path, result=solved[1])
        found = replace(found, parts=tuple(parts))
        write_json(found.directory / "result.json", found.to_dict())
        if not solved[1].complete:
            break
    return found


def _known(system: System) -> float | None:
    """Return the reference energy of a system in hartree, -Z^2/2 for an atom with one electron; None if unknown."""
    if (found := reference(system)) is not None:
        return found.energy
    return -0.5 * float(system.charges[0]) ** 2 if system.n_atoms == system.n_electrons == 1 else None


def _check_used(name: str, spin: Any, atoms: Any, spins: Any) -> None:
    """Raise InputError if something was given that a recipe doesn't use."""
    if name == "singlet-triplet" and spin is not None:
        raise InputError(f"the recipe singlet-triplet has a spin of its own in both of its parts, 2S = 2 and 2S = 0, "
                         f"and none that could be {spin!r:.40}: leave --spin out")
    for word, value in (("--between (atoms)", atoms), ("--fragment-spins (spins)", spins)):
        if name != "dissociation" and value is not None:
            raise InputError(f"{word} was given as {value!r:.60}, which only the recipe dissociation uses: leave it "
                             f"out for {name}")
    if spins is not None and not (isinstance(spins, Sequence) and len(spins) == 2):
        raise InputError(f"spins = {spins!r:.60}: give two numbers, 2S of the fragment of each atom of the bond")


def _parts(name: str, system: System, atoms: Any, spins: Any = None) -> list[tuple[int, System]]:
    """Return how often each energy counts in the difference, and of which system it is."""
    charge, has_one = system.charge, system.n_electrons == 1
    if name == "ionisation":
        if has_one:
            raise InputError(f"{system.name} has one electron, and without it there is nothing to compute: its "
                             "ionisation energy is -E of `nnqmc run`")
        return [(1, molecule(system, charge=charge + 1)), (-1, system)]
    if name == "affinity":
        return [(1, system), (-1, molecule(system, charge=charge - 1))]
    if name == "singlet-triplet":
        if system.n_electrons % 2 or system.n_electrons < 2:
            raise InputError(f"{system.name} has {counted(system.n_electrons, 'electron')}, and singlets and triplets "
                             "need an even number: give another --charge")
        states = [molecule(system, spin=spin, name=f"{system.name} {word}")
                  for spin, word in ((2, "triplet"), (0, "singlet"))]
        return [(1, states[0]), (-1, states[1])]
    if system.n_atoms < 2:
        raise InputError(f"{system.name} has a single atom, and {name} needs a molecule")
    if name == "dissociation":
        first, second = pair_of(system, atoms)
        distances = [np.linalg.norm(system.atoms - system.atoms[i], axis=1) for i in (first, second)]
        if len(ties := np.flatnonzero(abs(distances[0] - distances[1]) < _TIE)):
            raise InputError(f"atom {ties[0] + 1} ({system.symbols[ties[0]]}) of {system.name} is as near to atom "
                             f"{first + 1} as to atom {second + 1}, so that it belongs to neither fragment: give two "
                             "atoms whose bond holds the fragments together")
        side = distances[0] < distances[1]
        fragments = [_fragment(system, np.flatnonzero(mask), spin)
                     for mask, spin in zip((side, ~side), spins or (None, None), strict=True)]
    else:
        fragments = [_fragment(system, np.array([i])) for i in range(system.n_atoms)]
    if charge != 0:
        raise InputError(f"{system.name} has the charge {charge}, and {name} into neutral parts would lose it: give a "
                         "neutral molecule")
    return [*_counted_alike(fragments), (-1, system)]


def _fragment(system: System, indices: np.ndarray, spin: int | None = None) -> System:
    """Return some atoms of a molecule, neutral, where they are; a single atom is that of its name."""
    symbols = [system.symbols[i] for i in indices]
    if len(symbols) == 1:
        return molecule(symbols[0], spin=spin)
    return molecule([(symbol, tuple(system.atoms[i])) for symbol, i in zip(symbols, indices, strict=True)], unit="bohr",
                    spin=spin)


def _counted_alike(fragments: Sequence[System]) -> list[tuple[int, System]]:
    """Return each different atom once with how often it occurs, and each larger fragment."""
    single = [each for each in fragments if each.n_atoms == 1]
    counts, first = Counter((each.name, each.spin) for each in single), {}
    for each in single:
        first.setdefault((each.name, each.spin), each)
    return [*((counts[kind], each) for kind, each in first.items()),
            *((1, each) for each in fragments if each.n_atoms > 1)]


def _shared_out(systems: Sequence[tuple[int, System]], target_error: float) -> list[Part]:
    """Return the parts with error bars whose sum in squares is the target's, at the least cost.

    The cost of an error bar s is c / s^2, with c proportional to the square of the number of electrons; the least sum
    of costs has s^2 proportional to sqrt(c) / times.
    """
    shares = np.array([abs(times) * system.n_electrons for times, system in systems], np.float64)
    shares /= shares.sum()
    return [Part(times, system, float(target_error * math.sqrt(share) / abs(times)))
            for share, (times, system) in zip(shares, systems, strict=True)]


def _alike(work: Work, parts: Sequence[Part]) -> list[Config]:
    """Return the configurations of all parts: their own systems and targets, and otherwise those of the largest."""
    if "target_error" in work.values.get("evaluate", {}):
        raise InputError("evaluate.target_error was given, and a recipe chooses that of each run itself: give the "
                         "error bar of the difference with --target-error or target_error=")
    largest = work.config(max((part.system for part in parts), key=lambda system: system.n_electrons))
    configs = []
    for part in parts:
        own = work.config(part.system)
        evaluate = largest["evaluate"] | {"target_error": part.target_error}
        configs.append(largest | {"system": own["system"], "evaluate": evaluate})
    return configs


def _say_plan(work: Work, found: Difference, configs: Sequence[Mapping[str, Any]]) -> None:
    """Say which runs are needed, to which error bars, and how long they take."""
    work.say(f"{found.recipe} of {found.name}: {counted(len(configs), 'run')} with the settings of the preset "
             f"{configs[0]['preset']}, to an error bar of {1e3 * found.target_error:.2g} mHa; files in {work.folder}")
    total = 0.0
    for part, config in zip(found.parts, configs, strict=True):
        if work.done(config) is not None:
            text = "done"
        else:
            try:
                seconds = forecast_run(config, build(config)).seconds["total"]
                total += seconds
                text = f"about {rough_duration(seconds)}"
            except NnqmcError as error:
                raise InputError(f"{part.system.name}: {error}") from error
            except Exception as error:  # nothing about a forecast may stop a run
                text = f"no estimate ({type(error).__name__})"
        work.say(f"  {part.times:+d} x {part.system.name}: {part.system.n_up} up, {part.system.n_down} down, to "
                 f"{1e3 * part.target_error:.2g} mHa, {text}")
    if found.assumed:
        work.say(f"  {found.assumed}")
    if total:
        work.say(f"  together about {rough_duration(total)} on this machine")
