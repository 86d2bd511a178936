"""What can be set: the scalar keyword arguments of the functions that do the work, section by section."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from nnqmc import catalog
from nnqmc.errors import unknown
from nnqmc.ranges import Between, Setting, settings

NONE = "none"
"""How a setting is switched off where that is allowed, since TOML has no null."""

SECTIONS = (*catalog.CHOSEN, "scf", "pretrain", "train", "evaluate")
"""All sections, in the order in which they are written: one for each kind of part, then the stages of a run."""


@dataclass(frozen=True)
class Training:
    """The settings of training that belong to the run rather than to a step.

    Attributes:
        walkers: the size of the population, in training and evaluation.
        steps: the number of training steps in all, or the most of them where there is an accuracy.
        accuracy: in hartree; training ends when a quarter of it is probably all that is left to gain (see
            `nnqmc.statistics.remaining`), and another quarter is the target error of the evaluation unless it has one
            of its own. None does all steps.
        burn_in: sampler steps before training, from walkers drawn atom by atom to those of the wavefunction.
        checkpoint_steps: a checkpoint is written at least every so many steps,
        checkpoint_seconds: and at least every so many seconds.
        chunk_size: the number of walkers that are evaluated together; None chooses by itself (see `over_walkers`).
    """

    walkers: Annotated[int, Between(2, 10**6)] = 512
    steps: Annotated[int, Between(0, 10**8)] = 600
    accuracy: Annotated[float | None, Between(1e-9, 1.0)] = None
    burn_in: Annotated[int, Between(0, 10**6)] = 30
    checkpoint_steps: Annotated[int, Between(1, 10**8)] = 500
    checkpoint_seconds: Annotated[float, Between(0.0)] = 60.0
    chunk_size: Annotated[int | None, Between(1, 10**6)] = None


def section(name: str, part: str | None = None) -> dict[str, Setting]:
    """Return the settings of one of `SECTIONS`, for the default part of that kind where no `part` is chosen.

    Raises:
        InputError: there is no such part.
    """
    from nnqmc.methods import evaluate, pretrain
    from nnqmc.scf import hartree_fock

    if name in catalog.CHOSEN:
        part = catalog.KINDS[name].default if part is None else part
        return {"name": Setting(str, default=part)} | catalog.part_settings(name, part)
    stages = {"scf": hartree_fock, "pretrain": pretrain, "train": Training, "evaluate": evaluate}
    found = dict(settings(stages[name])) | ({"observe": Setting(str, default="")} if name == "evaluate" else {})
    found.pop("n_walkers", None)  # of pretraining: there are as many as in training
    return found


def sections() -> dict[str, dict[str, Setting]]:
    """Return every section with its settings, for the default parts."""
    return {name: section(name) for name in SECTIONS}


def check(where: str, setting: Setting, value: Any) -> Any:
    """Return a value from TOML, a flag or Python in the type of its setting; the word 'none' becomes None.

    Raises:
        InputError: the value has the wrong type or is out of range; the message says `where`.
    """
    is_none = setting.optional and isinstance(value, str) and value == NONE
    return None if is_none else setting.check(where, value, repr(NONE))


def check_section(name: str, values: Mapping[str, Any], known: Mapping[str, Setting], origin: str = "") -> dict:
    """Return all values of one section in the types of their settings.

    Raises:
        InputError: a setting is unknown, has the wrong type or is out of range.
    """
    for key in values:
        if key not in known:
            raise unknown("setting", f"{name}.{key}", [f"{name}.{field}" for field in known], origin)
    return {key: check(f"{name}.{key}", known[key], value) for key, value in values.items()}
