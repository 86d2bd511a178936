"""Energies and forces of a list of structures: labels for force fields."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnqmc.errors import InputError, NnqmcError
from nnqmc.messages import counted
from nnqmc.statistics import in_millihartree
from nnqmc.studies.extended_xyz import Frame, write_frames
from nnqmc.studies.measured_forces import FORCES
from nnqmc.studies.report import write_json
from nnqmc.studies.structures import read_structures
from nnqmc.studies.work import Work

LABELS, UNCONVERGED = "labels.xyz", "unconverged.xyz"


@dataclass(frozen=True)
class Labels:
    """What is known of the structures of a list; prints as a table.

    Attributes:
        done: the structures with a result, by their number in the list from 1 on.
        failed: why a structure has none, by its number.
        planned: the number of structures.
        directory: of the study.
    """

    done: dict[int, Frame]
    failed: dict[int, str]
    planned: int
    directory: Path

    @property
    def complete(self) -> bool:
        """Tell whether every structure has a result or has failed; otherwise the same call or command goes on."""
        return len(self.done) + len(self.failed) == self.planned and all(
            frame.result.complete for frame in self.done.values())

    def __str__(self) -> str:
        lines = [f"{'number':>6}  {'system':10} {'E (Ha)':14} {'left (mHa)':10} {'steps':>5}  label"]
        for number in sorted(self.done | self.failed):
            if number in self.failed:
                lines.append(f"{number:6d}  failed: {self.failed[number]}")
                continue
            frame = self.done[number]
            left = "unknown" if frame.left is None else in_millihartree(*frame.left)
            word = "yes" if frame.is_label else "not to be trusted" if frame.converged else "not converged"
            lines.append(f"{number:6d}  {frame.system.name:10.10} {frame.result.energy!s:14} {left:10} "
                         f"{frame.result.steps:5d}  {word}")
            lines += [f"{'':8}not to be trusted: {sentence}" for sentence in frame.caveats]
        good = sum(frame.is_label for frame in self.done.values())
        lines.append(f"{counted(good, 'label')} in {self.directory / LABELS}")
        if bad := len(self.done) - good:
            lines.append(f"{counted(bad, 'structure')} did not converge, or can't be trusted, and are no labels; their "
                         f"numbers are in {self.directory / UNCONVERGED}: more --steps or another --target-error may "
                         "help")
        if missing := self.planned - len(self.done) - len(self.failed):
            lines.append(f"{counted(missing, 'structure')} are still to be done; the same command goes on")
        return "\n".join(lines)

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and texts for result.json, in hartree."""
        rows = {number: {"system": each.system.name, "energy": each.result.energy.value,
                         "error": each.result.energy.error, "converged": each.converged,
                         "label": each.is_label, "left": each.left and each.left._asdict(), "caveats": each.caveats,
                         "steps": each.result.steps, **each.words} for number, each in self.done.items()}
        return {"study": "label", "unit": "hartree", "planned": self.planned, "complete": self.complete,
                "structures": rows, "failed": self.failed}


def label(structures: Any, *, forces: bool = True, out: str | os.PathLike[str] | None = None, **settings: Any
          ) -> Labels:
    """Compute energies and forces of a list of structures, and write them as extended xyz.

    Structures may be of several molecules. One whose nuclei are near those of another one of the same molecule starts
    from what that one has learnt, as in `nnqmc.curve`. Each is a run in a directory of its own below `out`; one that is
    done is known by its atoms and settings, the number of walkers included, and is skipped, also in a longer list. A
    structure that fails doesn't stop the others.
    `out` gets labels.xyz with those that have converged and whose energy and forces have no caveats, unconverged.xyz
    with the others, whose numbers have names that nothing takes for labels (see `write_frames`), and result.json, after
    each of them.

    Args:
        structures: the path of an xyz file with one frame for each, in angstrom unless `unit` says otherwise; a list or
            an iterator of anything that `nnqmc.molecule` takes; or a single structure that isn't text.
        forces: whether forces are measured.
        out: the directory; by default runs/NAME-labels.
        **settings: as for `nnqmc.curve`; charge and spin are those of all structures.

    Raises:
        InputError: something given can't be used; nothing has been written.
        Interrupted: Ctrl-C, SIGTERM, SIGUSR1 or SIGHUP; the same call goes on.
    """
    chosen = {name: settings.pop(name, None) for name in ("charge", "spin", "unit")}
    systems = read_structures(structures, **chosen)
    name = Path(structures).stem if isinstance(structures, str | os.PathLike) else systems[0].name
    work = Work(out, f"{name}-labels", settings, (FORCES,) if forces else ())
    configs = [work.config(system) for system in systems]
    found = Labels({}, {}, len(systems), work.folder)
    for number, (system, config) in enumerate(zip(systems, configs, strict=True), start=1):
        if is_new := work.done(config) is None:
            work.say(f"structure {number} of {len(systems)}: {system.name}")
        try:
            solved = work.solved(config, f"structure {number} of {len(systems)}")
        except InputError:
            raise
        except NnqmcError as error:
            found.failed[number] = " ".join(str(error).split())
        else:
            if solved is None:
                break
            directory, result = solved
            found.done[number] = Frame(system, result, *work.resolved(directory, result),
                                       {"number": number, "run": directory.path.name})
            if not result.complete:
                break
        if is_new:
            _keep(found)
    _keep(found)
    return found


def _keep(found: Labels) -> None:
    """Write labels.xyz, unconverged.xyz and result.json."""
    if not found.done and not found.failed:
        return
    found.directory.mkdir(parents=True, exist_ok=True)
    frames = [found.done[number] for number in sorted(found.done)]
    write_frames(found.directory / LABELS, [frame for frame in frames if frame.is_label])
    write_frames(found.directory / UNCONVERGED, [frame for frame in frames if not frame.is_label])
    write_json(found.directory / "result.json", found.to_dict())
