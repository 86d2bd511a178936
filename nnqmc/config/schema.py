"""What can be set: the scalar keyword arguments of the functions that do the work, section by section."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from nnqmc.errors import InputError

NONE = "none"
"""How a setting is switched off where that is allowed, since TOML has no null."""

_KINDS = MappingProxyType({"int": int, "float": float, "bool": bool, "str": str})
_WORDS = MappingProxyType({int: "a whole number", float: "a number", bool: "true or false", str: "text"})

_RANGES = MappingProxyType({
    "seed": (0, 2**32 - 1),
    "max_time": (0.001, math.inf),
    "scf.max_cycles": (1, 10**6),
    "scf.conv_tol": (1e-14, 1.0),
    "pretrain.steps": (0, 10**7),
    "pretrain.learning_rate": (1e-12, 10.0),
    "wavefunction.layers": (0, 1000),
    "wavefunction.hidden_one": (0, 10**6),
    "wavefunction.hidden_two": (0, 10**6),
    "wavefunction.n_determinants": (0, 10**6),
    "sampler.sweeps": (0, 10**6),
    "sampler.patience": (0, 10**9),
    "sampler.width": (1e-6, 1e3),
    "sampler.rate": (0.0, 10.0),
    "optimizer.learning_rate": (1e-12, 100.0),
    "optimizer.delay": (1e-6, math.inf),
    "train.walkers": (2, 10**6),
    "train.steps": (0, 10**8),
    "train.burn_in": (0, 10**6),
    "train.checkpoint_steps": (1, 10**8),
    "train.checkpoint_seconds": (0.0, math.inf),
    "train.clip": (1e-3, math.inf),
    "train.average_window": (1.0, 1e8),
    "train.chunk_size": (1, 10**6),
    "evaluate.target_error": (1e-9, math.inf),
    "evaluate.max_steps": (1, 10**8),
    "evaluate.burn_in": (0, 10**6),
})
"""Smallest and largest allowed values, where the functions don't check them early and in words."""


class Field(NamedTuple):
    """One setting: its type, whether it may be none, and its default."""

    kind: type
    optional: bool
    default: Any


@dataclass(frozen=True)
class Training:
    """The settings of training that belong to the run rather than to a step.

    Attributes:
        walkers: size of the population, in training and evaluation.
        steps: training steps in all.
        burn_in: sampler steps before training, from walkers drawn atom by atom to those of the wavefunction.
        checkpoint_steps: a checkpoint is written at least every so many steps,
        checkpoint_seconds: and at least every so many seconds.
    """

    walkers: int = 512
    steps: int = 600
    burn_in: int = 30
    checkpoint_steps: int = 500
    checkpoint_seconds: float = 60.0


def optimizers() -> dict[str, Callable[..., Any]]:
    """Name -> function that makes the optimizer."""
    from nnqmc.optimizers import adam, min_sr, spring

    return {"spring": spring, "min_sr": min_sr, "adam": adam}


def sections(optimizer: str = "spring") -> dict[str, dict[str, Field]]:
    """Every section and setting there is, for one optimizer.

    Raises:
        InputError: there is no such optimizer.
    """
    from nnqmc.methods import evaluate, make_step, pretrain
    from nnqmc.objectives import energy
    from nnqmc.samplers import Metropolis
    from nnqmc.scf import hartree_fock
    from nnqmc.wavefunctions import FermiNet

    known = optimizers()
    if optimizer not in known:
        raise unknown("optimizer", str(optimizer), known)
    return {
        "wavefunction": _fields(FermiNet, without=("parent", "name")),
        "scf": _fields(hartree_fock),
        "pretrain": _fields(pretrain, without=("n_walkers",)),
        "sampler": _fields(Metropolis),
        "optimizer": {"name": Field(str, False, optimizer)} | _fields(known[optimizer], without=("chunk_size",)),
        "train": _fields(Training) | _fields(energy) | _fields(make_step),
        "evaluate": _fields(evaluate),
    }


def _fields(function: Callable[..., Any], without: Iterable[str] = ()) -> dict[str, Field]:
    """The parameters that are a number, a truth value or text and have a default."""
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        annotation = parameter.annotation
        text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
        parts = {part.strip() for part in text.split("|")}
        kinds = parts - {"None"}
        if name in without or parameter.default is parameter.empty or len(kinds) != 1:
            continue
        if (kind := kinds.pop()) in _KINDS:
            found[name] = Field(_KINDS[kind], "None" in parts, parameter.default)
    return found


def check(where: str, field: Field, value: Any) -> Any:
    """The value in the type of the field.

    Args:
        where: the setting's name with its section, for the range and the message.
        field: what it should be.
        value: from TOML, a flag or Python.

    Raises:
        InputError: wrong type or out of range.
    """
    if field.optional and (value is None or value == NONE):
        return None
    value = value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value
    allowed = _WORDS[field.kind]
    low, high = _RANGES.get(where, (-math.inf, math.inf))
    if where in _RANGES:
        allowed += f" from {low:.10g}" + ("" if high == math.inf else f" to {high:.10g}")
    allowed += f" or {NONE!r}" if field.optional else ""
    is_right = isinstance(value, field.kind) and isinstance(value, bool) == (field.kind is bool)
    if field.kind is float and isinstance(value, int) and not isinstance(value, bool):
        value, is_right = _as_float(value), True
    if not is_right or (field.kind in (int, float) and not low <= value <= high):
        raise InputError(f"{where} = {_shown(value)}: it has to be {allowed}")
    return value


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)


def _shown(value: Any) -> str:
    """The value as a person would recognise it, short."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def unknown(what: str, given: str, allowed: Iterable[str], origin: str = "") -> InputError:
    """The error for a name that doesn't exist: the nearest that does, and all of them."""
    allowed = list(allowed)
    near = difflib.get_close_matches(str(given), allowed, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    source = f" ({origin})" if origin else ""
    return InputError(f"unknown {what} {str(given)[:60]!r}{source}: {hint}Allowed: {', '.join(allowed)}")


def check_section(name: str, values: Mapping[str, Any], fields: Mapping[str, Field], origin: str = "") -> dict:
    """All values of one section, checked; unknown keys are refused."""
    checked = {}
    for key, value in values.items():
        if key not in fields:
            raise unknown("setting", f"{name}.{key}", [f"{name}.{field}" for field in fields], origin)
        checked[key] = check(f"{name}.{key}", fields[key], value)
    return checked
