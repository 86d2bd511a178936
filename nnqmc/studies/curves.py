"""The energy along a bond, each point started from what its neighbour has learnt."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nnqmc.errors import InputError
from nnqmc.job import Result
from nnqmc.messages import counted
from nnqmc.plots import energy_curve
from nnqmc.statistics import Remaining, in_millihartree
from nnqmc.studies.extended_xyz import Frame, write_frames
from nnqmc.studies.measured_forces import FORCES, best_forces, doubts
from nnqmc.studies.report import write_json
from nnqmc.studies.spectroscopic import Points, Spectroscopic, constants, curve_value
from nnqmc.studies.structures import atomic_masses, energy_of_atoms, is_list, pair_of, read_structures
from nnqmc.studies.work import Work
from nnqmc.system import molecule
from nnqmc.system.builders import has_own_unit
from nnqmc.system.checks import length_unit
from nnqmc.typing import System
from nnqmc.units import angstrom_to_bohr

_LONGEST, _MOST_POINTS = 100.0, 1000


@dataclass(frozen=True)
class Point:
    """One point of a curve.

    Attributes:
        bond: length in bohr.
        directory: of its run.
        result: of its run.
        converged: whether its training and evaluation came to their ends; see `Work.resolved`.
        left: what its training had left to gain in hartree, or None if that isn't known.
        force: along the bond in hartree/bohr, positive where it pulls the atoms apart, and its standard error.
    """

    bond: float
    directory: Path
    result: Result
    converged: bool
    left: Remaining | None
    force: tuple[float, float] | None


@dataclass(frozen=True)
class Curve:
    """The energy along a bond; prints as a table.

    Attributes:
        name: of the molecule.
        points: those that are done, in the order of their bonds.
        planned: the number of points asked for.
        constants: r_e, omega_e and D_e; or in words why there are none.
        directory: of the study.
    """

    name: str
    points: tuple[Point, ...]
    planned: int
    constants: Spectroscopic | str
    directory: Path

    @property
    def complete(self) -> bool:
        """Tell whether all points are done; otherwise the same call or command goes on."""
        return len(self.points) == self.planned and all(point.result.complete for point in self.points)

    def __str__(self) -> str:
        lines = [f"{self.name}: {len(self.points)} of {counted(self.planned, 'point')}",
                 f"{'bond (bohr)':>11}  {'E (Ha)':14} {'left (mHa)':10} {'steps':>5}  converged"]
        for point in self.points:
            left = "unknown" if point.left is None else in_millihartree(*point.left)
            lines.append(f"{point.bond:11.4f}  {point.result.energy!s:14} {left:10} {point.result.steps:5d}  "
                         f"{'yes' if point.converged else 'no'}")
            lines += [f"{'':13}not to be trusted: {sentence}" for sentence in doubts(point.result)]
        return "\n".join([*lines, str(self.constants)])

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and texts for result.json, in hartree and bohr."""
        found = self.constants
        points = [{"bond": each.bond, "energy": each.result.energy.value, "error": each.result.energy.error,
                   "left": each.left and each.left._asdict(), "force": each.force, "converged": each.converged,
                   "trusted": each.result.trusted and not doubts(each.result), "caveats": doubts(each.result),
                   "steps": each.result.steps, "seconds": each.result.seconds.get("total"),
                   "directory": each.directory.name}
                  for each in self.points]
        return {"study": "curve", "system": self.name, "unit": "hartree, bohr", "complete": self.complete,
                "planned": self.planned, "points": points,
                "constants": {"note": found} if isinstance(found, str) else found._asdict()}


def curve(source: Any, bond: Sequence[float] | None = None, points: int = 8, *, atoms: Sequence[int] | None = None,
          forces: bool = True, out: str | os.PathLike[str] | None = None, **settings: Any) -> Curve:
    """Compute the energy along a bond, and where it is that of two atoms, its spectroscopic constants.

    The shortest bond is trained from Hartree-Fock; every other point starts from the parameters of its neighbour and
    from the neighbour's walkers, which follow the nuclei by space warp, and takes a fifth of the steps (see
    `nnqmc.studies.neighbours.Runs`). Points farther than 1 bohr from any other are trained from Hartree-Fock, too. Each
    point is a run in a directory of its own, `out`/0001 and so on; `out` gets curve.xyz (extended xyz, see
    `write_frames`), curve.png and result.json after each of them. The same call goes on where it was stopped.

    Args:
        source: anything that `nnqmc.molecule` takes; or an xyz file of several frames, or a list of structures, which
            are then the points, without `bond`.
        bond: the shortest and the longest bond, in bohr or in the unit given as `unit`, which is that of a text, a file
            or a list as well.
        points: how many bonds, evenly spaced.
        atoms: the two atoms of the bond, counted from 1, in a molecule of more than two; the second one is moved.
        forces: whether forces are measured; this makes the evaluation longer.
        out: the directory; by default runs/NAME-curve.
        **settings: preset, seed, charge, spin, unit, max_time (seconds for this call), progress, warm_steps (training
            steps of a point that has a neighbour), key_file (that signs the files of all runs), and what `nnqmc.solve`
            takes as settings; no ready-made objects.

    Raises:
        InputError: something given can't be used, or the structures aren't of one molecule; nothing has been written.
        SCFError, NumericalError, CheckpointError: a point failed; those before are kept.
        Interrupted: Ctrl-C, SIGTERM, SIGUSR1 or SIGHUP; the same call goes on.
    """
    systems, bonds, pair = _planned(source, bond, points, atoms, settings)
    name = systems[0].name
    work = Work(out, f"{name}-curve", settings, (FORCES,) if forces else ())
    configs = [work.config(system) for system in systems]
    work.say(f"{name}: {counted(len(bonds), 'point')} from {bonds[0]:.4g} to {bonds[-1]:.4g} bohr, files in "
             f"{work.folder}")
    found: list[Point] = []
    for number, (system, length, config) in enumerate(zip(systems, bonds, configs, strict=True), start=1):
        is_new = work.done(config) is None
        if is_new:
            work.say(f"point {number} of {len(bonds)}: bond {length:.4f} bohr")
        solved = work.solved(config, f"point {number} of {len(bonds)}")
        if solved is None:
            break
        directory, result = solved
        found.append(Point(length, directory.path, result, *work.resolved(directory, result),
                           _force(result, system, pair)))
        if is_new or number == len(bonds):
            _keep(_curve(work, name, found, len(bonds), systems), systems)
        if not result.complete:
            break
    return _curve(work, name, found, len(bonds), systems)


def _planned(source: Any, bond: Any, points: int, atoms: Any, settings: dict[str, Any]
             ) -> tuple[list[System], list[float], tuple[int, int]]:
    """Return the systems of all points in the order of their bonds, the bonds in bohr, and the atoms of the bond."""
    chosen = {name: settings.pop(name, None) for name in ("charge", "spin", "unit")}
    chosen["unit"] = length_unit(chosen["unit"])
    if bond is None and is_list(source):
        systems = read_structures(source, **chosen)
        _check_one_molecule(systems)
        pair = pair_of(systems[0], atoms)
        bonds = [float(np.linalg.norm(np.subtract(*(each.atoms[i] for i in pair)))) for each in systems]
        order = np.argsort(bonds, kind="stable")
        return [systems[i] for i in order], [bonds[i] for i in order], pair
    if bond is None:
        raise InputError("a curve needs the shortest and the longest bond, such as --bond 1.0 4.0 or bond=(1.0, 4.0), "
                         "or an xyz file of several frames")
    try:
        low, high = map(float, bond)
    except (TypeError, ValueError):
        raise InputError(f"bond = {bond!r:.60}: give two numbers, the shortest and the longest bond") from None
    factor = angstrom_to_bohr(1.0) if chosen["unit"] == "angstrom" else 1.0
    low, high = factor * low, factor * high
    if not 0.1 <= low < high <= _LONGEST:
        raise InputError(f"bonds from {low:.6g} to {high:.6g} bohr: give the shortest one first, both from 0.1 to "
                         f"{_LONGEST:g} bohr")
    if isinstance(points, bool) or not isinstance(points, int) or not 2 <= points <= _MOST_POINTS:
        raise InputError(f"points = {points!r:.40}: give a whole number from 2 to {_MOST_POINTS}")
    system = _molecule(source, chosen)
    pair = pair_of(system, atoms)
    bonds = [float(x) for x in np.linspace(low, high, points)]
    return [_stretched(system, pair, length) for length in bonds], bonds, pair


def _molecule(source: Any, chosen: Mapping[str, Any]) -> System:
    """Return the molecule of a curve; beside a source with a unit of its own, the one given is that of the bonds."""
    unit = None if has_own_unit(source) else chosen["unit"]
    return molecule(source, charge=chosen["charge"], spin=chosen["spin"], unit=unit)


def _check_one_molecule(systems: Sequence[System]) -> None:
    """Raise InputError unless all structures are of the same atoms and electrons."""
    first = systems[0]
    for number, each in enumerate(systems[1:], start=2):
        if each.symbols != first.symbols or (each.n_up, each.n_down) != (first.n_up, first.n_down):
            raise InputError(
                f"structure {number} is {' '.join(each.symbols)} with {each.n_up} up and {each.n_down} down electrons, "
                f"and the first one {' '.join(first.symbols)} with {first.n_up} and {first.n_down}: a curve is of one "
                "molecule in one state, so give the others to a curve of their own, or all of them to `nnqmc label`")


def _stretched(system: System, pair: tuple[int, int], length: float) -> System:
    """Return the molecule with the second atom of the pair moved along the bond to a distance in bohr."""
    positions = np.array(system.atoms, np.float64)
    vector = positions[pair[1]] - positions[pair[0]]
    positions[pair[1]] = positions[pair[0]] + vector * (length / np.linalg.norm(vector))
    return replace(system, atoms=positions)


def _force(result: Result, system: System, pair: tuple[int, int]) -> tuple[float, float] | None:
    """Return the force along the bond of two atoms, and its standard error, in hartree/bohr; None if not trusted."""
    forces = result.observables.get(FORCES)
    if forces is None or system.n_atoms != 2 or len(doubts(result)) > len(result.caveats):
        return None
    found = best_forces(forces)
    axis = np.subtract(system.atoms[pair[1]], system.atoms[pair[0]])
    axis /= np.linalg.norm(axis)
    return float(found.value[pair[1]] @ axis), float(np.sqrt(axis**2 @ np.asarray(found.error)[pair[1]] ** 2))


def _curve(work: Work, name: str, found: Sequence[Point], planned: int, systems: Sequence[System]) -> Curve:
    """Return the curve so far, with its constants once it is complete."""
    words: Spectroscopic | str = "no spectroscopic constants: the molecule has more than two atoms"
    if systems[0].n_atoms == 2:
        words = "no spectroscopic constants before all points are done"
    if len(found) == planned and systems[0].n_atoms == 2:
        slopes = [(-each.force[0], each.force[1]) if each.force else (np.nan, np.nan) for each in found]
        numbers = Points(*map(np.array, ([each.bond for each in found],
                                         [each.result.energy.value for each in found],
                                         [each.result.energy.error for each in found], *zip(*slopes, strict=True))))
        words = constants(numbers, atomic_masses(systems[0]), energy_of_atoms(systems[0]))
    return Curve(name, tuple(found), planned, words, work.folder)


def _keep(found: Curve, systems: Sequence[System]) -> None:
    """Write curve.xyz, curve.png and result.json."""
    frames = [Frame(system, each.result, each.converged, each.left,
                    {"bond_bohr": each.bond, "run": each.directory.name})
              for system, each in zip(systems, found.points, strict=False)]
    write_frames(found.directory / "curve.xyz", frames)
    write_json(found.directory / "result.json", found.to_dict())
    parameters = None if isinstance(found.constants, str) else found.constants.parameters
    energy_curve(found.directory / "curve.png", [each.bond for each in found.points],
                 [each.result.energy.value for each in found.points],
                 [each.result.energy.error for each in found.points],
                 fitted=None if parameters is None else lambda bonds: curve_value(parameters, bonds), title=found.name)
