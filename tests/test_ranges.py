"""Settings and their ranges, as signatures say them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import pytest

from nnqmc.errors import InputError
from nnqmc.ranges import Between, Setting, check, check_fields, settings


def make(
    system: str, *, steps: Annotated[int, Between(0, 10)] = 5, rate: Annotated[float | None, Between(0.1)] = None,
    word: Literal["plain", "fancy"] = "plain", is_on: bool = True, shape: tuple[int, ...] = (),
    free: float = 1.0, either: int | str = 1,
) -> None:
    """Have settings of every sort, and arguments that are none."""


@dataclass(frozen=True)
class Part:
    """A part with one number."""

    size: Annotated[int, Between(1, 3)] = 1

    def __post_init__(self) -> None:
        check_fields(self)


def test_settings_are_the_scalars_with_a_default() -> None:
    assert settings(make) == {
        "steps": Setting(int, False, 5, Between(0, 10)),
        "rate": Setting(float, True, None, Between(0.1)),
        "word": Setting(str, False, "plain", None, ("plain", "fancy")),
        "is_on": Setting(bool, False, True),
        "free": Setting(float, False, 1.0),
    }


@pytest.mark.parametrize(("name", "value", "kind"), [
    ("steps", 0, int), ("steps", 10, int), ("steps", np.int64(3), int), ("rate", None, type(None)), ("rate", 1, float),
    ("rate", math.inf, float), ("rate", np.float32(0.5), float), ("word", "fancy", str), ("is_on", False, bool),
    ("free", -math.inf, float), ("free", 10**400, float)])
def test_what_is_allowed_comes_back_in_its_type(name: str, value: Any, kind: type) -> None:
    check(make, **{name: value})
    found = settings(make)[name].check(name, value)
    assert type(found) is kind and (found == value or found == math.inf)


@pytest.mark.parametrize(("values", "message"), [
    ({"steps": -1}, "make steps = -1: it has to be a whole number from 0 to 10"),
    ({"steps": 11}, "from 0 to 10"), ({"steps": 1.0}, "a whole number"), ({"steps": True}, "a whole number"),
    ({"steps": None}, "a whole number"), ({"rate": 0.0}, "make rate = 0.0: it has to be a number from 0.1 or None"),
    ({"rate": math.nan}, "from 0.1"), ({"rate": "fast"}, "a number"), ({"rate": -(10**400)}, "a number from 0.1"),
    ({"word": "odd"}, "make word = 'odd': it has to be 'plain' or 'fancy'"), ({"word": ["plain"]}, "'plain' or"),
    ({"is_on": 1}, "true or false"), ({"free": math.nan}, "a number"), ({"free": np.zeros(2)}, "a number")])
def test_what_is_not_allowed_is_refused_in_one_form(values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check(make, **values)


def test_a_dataclass_checks_its_own_fields() -> None:
    assert Part(3).size == 3
    with pytest.raises(InputError, match="Part size = 4: it has to be a whole number from 1 to 3"):
        Part(4)
