"""A ladder of networks of growing size for one system, and the energy that they lead to."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from nnqmc import catalog, presets
from nnqmc.config import Config, Layer, resolve
from nnqmc.config.resolve import TOP, config_digest
from nnqmc.config.schema import NONE
from nnqmc.config.schema import check as check_setting
from nnqmc.errors import InputError
from nnqmc.io import Secret, atomic_write, read_key
from nnqmc.job import Result, RunDirectory, default_directory, resume, run
from nnqmc.job.build import build, refuse_too_large
from nnqmc.job.calculation import complete_result
from nnqmc.job.result import finite
from nnqmc.messages import say
from nnqmc.parallel.surroundings import usual_rules
from nnqmc.plots import scaling_plot
from nnqmc.statistics import Scaling, format_with_error, scaling
from nnqmc.studies.work import plain
from nnqmc.system import molecule
from nnqmc.typing import System
from nnqmc.version import VERSION
from nnqmc.wavefunctions import initializer

_WIDTHS = ("hidden_one", "width")
"""The names that networks have for the width of their one-electron stream."""

_PER_DETERMINANT, _MULTIPLE, _MOST = 256, 4, 8
"""Width^2 for each determinant, as in the small network; what widths are a multiple of; the largest ladder."""

_BUDGET = ("steps", "walkers", "accuracy")
"""The settings of training that a run can change when it is resumed, and that all members have to share."""


@dataclass(frozen=True)
class Member:
    """One network of a ladder: its width, determinants and parameters, its run's directory and result."""

    width: int
    n_determinants: int
    n_parameters: int
    directory: Path
    result: Result


@dataclass(frozen=True)
class Scan:
    """A ladder of sizes; prints as a table.

    Attributes:
        name: of the system.
        members: those that are done, the smallest first.
        planned: the number of sizes asked for.
        limit: what they tell of the limit; refused before all are done.
        reference: published energy in hartree, or None.
        directory: of the scan.
    """

    name: str
    members: tuple[Member, ...]
    planned: int
    limit: Scaling
    reference: float | None
    directory: Path

    @property
    def complete(self) -> bool:
        """Tell whether all members are done; otherwise the same call goes on."""
        return len(self.members) == self.planned and all(member.result.complete for member in self.members)

    def __str__(self) -> str:
        lines = [f"{self.name}: {len(self.members)} of {self.planned} sizes",
                 f"{'width':>6} {'determinants':>12} {'parameters':>10}  {'E (Ha)':16} {'variance (Ha^2)':>15}"]
        for each in self.members:
            lines.append(f"{each.width:6d} {each.n_determinants:12d} {each.n_parameters:10d}  "
                         f"{each.result.energy!s:16} {each.result.energy.variance:15.4f}")
            lines += [f"       not to be trusted: {sentence}" for sentence in each.result.caveats]
        if self.limit.extrapolated is not None:
            lines.append(f"limit E0 = {format_with_error(self.limit.extrapolated, self.limit.error)} Ha")
        if self.limit.beta is not None:
            lines.append(f"beta = {format_with_error(self.limit.beta, self.limit.beta_error)} with a limit of "
                         f"{self.limit.power_law_limit:.5f} Ha of its own")
        return "\n".join([*lines, self.limit.verdict])

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and texts for scan.json, in hartree."""
        members = [{"width": each.width, "n_determinants": each.n_determinants, "parameters": each.n_parameters,
                    "energy": each.result.energy.value, "error": each.result.energy.error,
                    "variance": each.result.energy.variance, "steps": each.result.steps,
                    "trusted": each.result.trusted, "seconds": each.result.seconds.get("total"),
                    "directory": each.directory.name} for each in self.members]
        return {"study": "scan", "system": self.name, "unit": "hartree", "complete": self.complete,
                "planned": self.planned, "reference": self.reference, "members": members, **self.limit._asdict()}


def scan(source: Any, sizes: int = 5, *, out: str | os.PathLike[str] | None = None, max_time: float | None = None,
         progress: bool = True, started: float | None = None, key_file: str | os.PathLike[str] | None = None,
         **settings: Any) -> Scan:
    """Train and evaluate a ladder of sizes of one wavefunction under one budget, and extrapolate to their limit.

    Member k has 2^k determinants and a width whose square is 256 times that, k = 0, 1, ...; the other settings, steps
    and walkers included, are the same for all. Each is a run in a directory of its own, `out`/size-1 and so on, and
    `out` gets scan.json and scan.png after each of them. The same call goes on where it was stopped, and members that
    are done count whatever the time limit. See `nnqmc.statistics.scaling` for the limit and its error bar, and for what
    is refused: a member that isn't trusted refuses it, too.

    Args:
        source: anything that `nnqmc.molecule` takes.
        sizes: how many, from 2 to 8; a limit takes at least 4.
        out: the directory; by default runs/NAME-scan.
        max_time: seconds for this call.
        progress: whether to tell how it goes.
        started: `time.monotonic()` from which max_time counts.
        key_file: file with the key that all runs are signed with.
        **settings: charge, spin, unit, preset (by default `ladder`, whose members are trained for long), seed, and
            settings as in `nnqmc.solve`, such as steps=200 or wavefunction={"name": "ferminet"}.

    Raises:
        InputError: something given can't be used, a member can't be built, or `out` has members of other settings,
            steps, walkers and evaluation included; nothing has been written.
        SCFError, NumericalError, CheckpointError: a member failed; those before are kept.
        Interrupted: Ctrl-C, SIGTERM, SIGUSR1 or SIGHUP; the same call goes on.
    """
    if isinstance(sizes, bool) or not isinstance(sizes, int) or not 2 <= sizes <= _MOST:
        raise InputError(f"sizes = {sizes!r:.40}: give a whole number from 2 to {_MOST}")
    limit, secret = check_setting("max_time", TOP["max_time"], max_time), read_key(key_file)
    begun = time.monotonic() if started is None else started
    system = molecule(source, **{name: settings.pop(name, None) for name in ("charge", "spin", "unit")})
    folder = default_directory(f"{system.name}-scan") if out is None else Path(out)
    top = {"preset": settings.pop("preset", None) or presets.LADDER, "seed": settings.pop("seed", None) or 0}
    layers = [Layer("scan", plain(settings)), Layer("scan", top)]
    configs = {folder / f"size-{k + 1}": _config(system, layers, 2**k) for k in range(sizes)}
    done = {path: _kept(path, config, secret) for path, config in configs.items()}
    shapes = {path: _shape(config, is_done=done[path] is not None) for path, config in configs.items()}
    found = {path: Member(*shapes[path], path, result) for path, result in done.items() if result is not None}
    for number, (path, config) in enumerate(configs.items(), start=1):
        if path not in found:
            left = None if limit is None else limit - (time.monotonic() - begun)
            if left is not None and left <= 0.0:
                break
            how = {"progress": progress, "key_file": key_file, "max_time": None if left is None else max(left, 1e-3)}
            found[path] = Member(*shapes[path], path, _computed(path, config, how))
            if not found[path].result.complete:
                break
            _keep(_scan(system, [found[each] for each in configs if each in found], sizes, folder))
        if progress:
            say(f"size {number} of {sizes}: width {found[path].width}, E = {found[path].result.energy} Ha")
    return _keep(_scan(system, [found[each] for each in configs if each in found], sizes, folder))


def _config(system: System, settings: list[Layer], n_determinants: int) -> Config:
    """Return the configuration of a member."""
    plain = resolve(system, settings)
    known = catalog.part_settings("wavefunction", name := plain["wavefunction"]["name"])
    width = next((word for word in _WIDTHS if word in known), None)
    if width is None or "n_determinants" not in known:
        raise InputError(f"the wavefunction {name} has no width and number of determinants to make a ladder of: choose "
                         "another one")
    size = _MULTIPLE * round(math.sqrt(_PER_DETERMINANT * n_determinants) / _MULTIPLE)
    ladder = {"wavefunction": {width: size, "n_determinants": n_determinants}}
    return resolve(system, [*settings, Layer("ladder", ladder)])


def _kept(path: Path, config: Config, secret: Secret) -> Result | None:
    """Return the result of a member if it is complete; a directory of something else, or of other settings, is refused.

    What a run can change when it is resumed is compared, too, since sizes can be compared only under one budget.
    """
    if not (path / "config.toml").exists():
        RunDirectory(path, config, secret).check_free()
        return None
    there = RunDirectory.open(path, secret)
    if config_digest(there.config) != config_digest(config):
        raise InputError(f"{path} is a run with other settings: give another --out, or the settings it was made with")
    before, now = _budget(there.config), _budget(config)
    if other := [f"{name} = {before[name]!r} instead of {now[name]!r}" for name in now if before[name] != now[name]]:
        raise InputError(f"{path} was made with {' and '.join(other)}: give another --out, or the settings it was made "
                         "with")
    return complete_result(there)


def _budget(config: Config) -> dict[str, Any]:
    """Return the settings of training and evaluation that the digest of a configuration leaves out, by name."""
    found = {f"train.{name}": config["train"][name] for name in _BUDGET}
    found |= {f"evaluate.{name}": value for name, value in config["evaluate"].items()}
    return {name: NONE if value is None else value for name, value in found.items()}


@usual_rules()
def _shape(config: Config, is_done: bool) -> tuple[int, int, int]:
    """Return width, determinants and parameters of a member; one that can't be built, or is too large, is refused."""
    components = build(config)
    if not is_done:
        refuse_too_large(config, components)
    params = jax.eval_shape(initializer(components.wavefunction, components.system), jax.random.key(0))
    width = next(config["wavefunction"][word] for word in _WIDTHS if word in config["wavefunction"])
    n_parameters = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
    return width, config["wavefunction"]["n_determinants"], n_parameters


def _computed(path: Path, config: Config, how: Mapping[str, Any]) -> Result:
    """Return the result of a member that isn't complete, begun or resumed."""
    if (path / "config.toml").exists():
        return resume(path, **how)
    return run(config | {"max_time": how["max_time"]}, path, progress=how["progress"], key_file=how["key_file"])


def _scan(system: System, members: list[Member], planned: int, folder: Path) -> Scan:
    """Return the scan so far, with its limit."""
    energies = [member.result.energy for member in members]
    if len(members) < planned or not all(member.result.complete for member in members):
        limit = _refused(f"{len(members)} of {planned} sizes are done")
    elif doubtful := [str(member.width) for member in members if not member.result.trusted]:
        limit = _refused(f"the energy of width {', '.join(doubtful)} isn't trusted")
    elif not all(min(energy.error, energy.variance) > 0.0 for energy in energies):
        limit = _refused("a member has no error bar")
    else:
        limit = scaling(*(np.array(column, np.float64) for column in (
            [member.n_parameters for member in members], [energy.value for energy in energies],
            [energy.error for energy in energies], [energy.variance for energy in energies])))
    known = members[0].result.reference if members else None
    return Scan(system.name, tuple(members), planned, limit, None if known is None else known["energy"], folder)


def _refused(reason: str) -> Scaling:
    """Return a limit that isn't there, for a reason."""
    return Scaling(None, None, None, None, None, f"refused: {reason}")


def _keep(found: Scan) -> Scan:
    """Write scan.json and scan.png, and return the scan."""
    found.directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"nnqmc": VERSION, **finite(found.to_dict())}, indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_write(found.directory / "scan.json") as temporary:
        Path(temporary).write_text(f"{text}\n", encoding="utf-8")
    if found.members:
        scaling_plot(found.directory / "scan.png", [each.n_parameters for each in found.members],
                     [each.result.energy for each in found.members], limit=found.limit, reference=found.reference,
                     title=found.name)
    return found
