"""What solve makes of its arguments: settings and ready-made objects, in one way for all kinds of parts."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pytest

import nnqmc
from nnqmc import catalog
from nnqmc.errors import InputError
from nnqmc.job.build import build
from nnqmc.observables import by_name
from nnqmc.wavefunctions import SlaterNetwork


@dataclass(frozen=True)
class Spread:
    """An observable without anything to set."""

    def __call__(self, psi: Any, electrons: Any, system: Any, key: Any) -> Any:
        """The mean square of all coordinates."""
        return (electrons**2).mean()


class Begun(Exception):
    """A run would begin now, with a configuration and ready-made objects."""


@pytest.fixture
def solved(monkeypatch: pytest.MonkeyPatch) -> Any:
    """solve as a function that returns the configuration and the ready-made objects it would run."""
    kinds = {**catalog.KINDS, "observable": catalog.KINDS["observable"]._replace(makers={"spread": lambda: Spread})}
    monkeypatch.setattr(catalog, "KINDS", MappingProxyType(kinds))

    def stop(config: dict, out: Any, *, custom: dict, **others: Any) -> None:
        raise Begun(config, custom)

    monkeypatch.setattr(sys.modules["nnqmc.job.solve"], "run", stop)

    def solve(**settings: Any) -> tuple[dict, dict]:
        with pytest.raises(Begun) as begun:
            nnqmc.solve("He", **settings)
        return begun.value.args

    return solve


@pytest.mark.parametrize("kind", catalog.CHOSEN)
def test_a_part_is_a_name_a_dict_of_settings_or_an_object(solved: Any, kind: str) -> None:
    for name in catalog.KINDS[kind].makers:
        by_name, by_dict = solved(**{kind: name}), solved(**{kind: {"name": name}})
        assert by_name == by_dict and by_name[0][kind]["name"] == name and by_name[1] == {}
    part = object()
    config, custom = solved(**{kind: part})
    assert custom == {kind: part} and config["custom"] == {kind: repr(part)}
    with pytest.raises(InputError, match=f"unknown {kind} 'x'"):
        solved(**{kind: "x"})


def test_an_object_that_settings_describe_becomes_settings(solved: Any) -> None:
    config, custom = solved(wavefunction=nnqmc.FermiNet(layers=2), sampler=nnqmc.Metropolis(sweeps=3))
    assert config["wavefunction"]["layers"] == 2 and config["wavefunction"]["hidden_one"] == 32
    assert config["sampler"]["sweeps"] == 3 and custom == {}
    network = SlaterNetwork(embedding=nnqmc.FermiNet())
    assert solved(wavefunction=network)[1] == {"wavefunction": network}


def test_observables_are_names_or_objects(solved: Any) -> None:
    named = [solved(observables=["spread"]), solved(observe="spread"), solved(evaluate={"observe": "spread"})]
    assert named[0] == named[1] == named[2] and named[0][1] == {}
    assert build(named[0][0]).observables == by_name({"spread": Spread()})
    config, custom = solved(observables={"mine": Spread()}, observe="spread")
    assert build(config, custom).observables.keys() == {"spread", "mine"}
    with pytest.raises(InputError, match="unknown observable 'spred': did you mean 'spread'"):
        solved(observables=["spred"])


def test_a_shortcut_wins_over_its_section_in_any_order(solved: Any) -> None:
    first, second = solved(steps=7, train={"steps": 5}), solved(train={"steps": 5}, steps=7)
    assert first == second and first[0]["train"]["steps"] == 7
