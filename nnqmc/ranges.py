"""The values that a setting may have, written once: in the signature of the function or class that it belongs to.

`steps: Annotated[int, Between(0, 10**7)] = 500` declares a whole number with a range, and
`envelope: Literal["isotropic", "bottleneck"] = "isotropic"` a choice of words. The configuration reads the same
signatures (see `settings`), and the functions check what they are given with `check`.
"""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from nnqmc.errors import InputError, unknown

_WORDS = MappingProxyType({int: "a whole number", float: "a number", bool: "true or false", str: "text"})


class Between(NamedTuple):
    """The smallest and the largest value that a number may have; both are allowed."""

    low: float
    high: float = math.inf


class Setting(NamedTuple):
    """One setting of a function: a number, a truth value or a text that has a default.

    Attributes:
        kind: int, float, bool or str.
        optional: whether None is allowed.
        default: what the setting is where nothing is said.
        limits: the range of a number, or None for any number.
        choices: the words that are allowed, or an empty tuple for any text.
    """

    kind: type
    optional: bool = False
    default: Any = None
    limits: Between | None = None
    choices: tuple[str, ...] = ()

    def check(self, where: str, value: Any, none: str = "None") -> Any:
        """Return the value in the type of the setting; a whole number is accepted where a float is needed.

        Args:
            where: what to call the setting in a message.
            value: a Python scalar, or an array without axes.
            none: how None is written where the value comes from.

        Raises:
            InputError: the value has the wrong type or is out of range.
        """
        if self.optional and value is None:
            return None
        value = value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value
        if self.kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = _as_float(value)
        if not isinstance(value, self.kind) or isinstance(value, bool) != (self.kind is bool) or not self._holds(value):
            raise InputError(f"{where} = {value!r:.60}: it has to be {self.allowed(none)}")
        return value

    def _holds(self, value: Any) -> bool:
        """Return whether a value of the right type is among those that are allowed."""
        if self.choices:
            return value in self.choices
        low, high = self.limits or (-math.inf, math.inf)
        return self.kind not in (int, float) or low <= value <= high

    def allowed(self, none: str) -> str:
        """Return what is allowed, in words."""
        words = " or ".join(map(repr, self.choices)) or _WORDS[self.kind]
        if self.limits is not None:
            low, high = self.limits
            words += f" from {low:.10g}" + ("" if high == math.inf else f" to {high:.10g}")
        return words + (f" or {none}" if self.optional else "")


@cache
def settings(function: Callable[..., Any]) -> Mapping[str, Setting]:
    """Return the settings of a function or class by name, read from its signature."""
    hints = get_type_hints(function, include_extras=True)
    found = {name: _setting(hints.get(name), parameter.default)
             for name, parameter in inspect.signature(function).parameters.items()
             if parameter.default is not parameter.empty}
    return MappingProxyType({name: setting for name, setting in found.items() if setting is not None})


def _setting(annotation: Any, default: Any) -> Setting | None:
    """Return the setting that an annotation describes, or None if it is no scalar."""
    limits = None
    if get_origin(annotation) is Annotated:
        annotation, *notes = get_args(annotation)
        limits = next((note for note in notes if isinstance(note, Between)), None)
    is_union = get_origin(annotation) in (Union, UnionType)
    kinds = [kind for kind in (get_args(annotation) if is_union else (annotation,)) if kind is not NoneType]
    choices = get_args(kinds[0]) if get_origin(kinds[0]) is Literal else ()
    kind = str if choices else kinds[0]
    if len(kinds) != 1 or kind not in tuple(_WORDS):
        return None
    return Setting(kind, is_union, default, limits, choices)


def read_settings(where: str, known: Mapping[str, Setting], words: Iterable[str]) -> dict[str, Any]:
    """Return the values in words such as 'every=8', each in the type of its setting, by the setting's name.

    Args:
        where: what the settings belong to, for messages.
        known: the settings that there are.
        words: one for each value; "none" is None where that is allowed.

    Raises:
        InputError: there is no such setting, or its value has the wrong type or is out of range.
    """
    found: dict[str, Any] = {}
    for word in words:
        name, _, text = (part.strip() for part in word.partition("="))
        if name not in known:
            raise unknown(f"setting of {where}", name, known)
        value: Any = {"none": None, "true": True, "false": False}.get(text.lower(), text)
        if known[name].kind in (int, float):
            with contextlib.suppress(TypeError, ValueError):
                value = known[name].kind(value)
        found[name] = known[name].check(f"{where}:{name}", value, "none")
    return found


def check(function: Callable[..., Any], **values: Any) -> None:
    """Make sure that values are allowed by the signature of a function or class.

    Args:
        function: it has the settings.
        **values: values of some of them.

    Raises:
        InputError: a value has the wrong type or is out of range.
    """
    known = settings(function)
    for name, value in values.items():
        known[name].check(f"{function.__name__} {name}", value)


def check_fields(instance: Any) -> None:
    """Make sure that the scalar fields of a dataclass are allowed by its own annotations.

    Raises:
        InputError: a value has the wrong type or is out of range.
    """
    known = settings(type(instance))
    check(type(instance), **{name: getattr(instance, name) for name in known})


def _as_float(value: int) -> float:
    """Return a whole number as a float, or an infinity if it is too large for one."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
