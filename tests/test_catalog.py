"""The catalogue: every part can be made, said in words, and described by settings."""

from __future__ import annotations

import pytest

from nnqmc import catalog
from nnqmc.config import Layer, resolve
from nnqmc.errors import InputError
from nnqmc.hamiltonian.molecular import TERMS
from nnqmc.job.build import build
from nnqmc.laplacian import forward_laplacian
from nnqmc.samplers import Metropolis
from nnqmc.system import molecule
from nnqmc.wavefunctions import FermiNet, SlaterNetwork

PARTS = [(kind, name) for kind, entry in catalog.KINDS.items() for name in entry.makers]
CHOSEN = [(kind, name) for kind, name in PARTS if kind in catalog.CHOSEN]


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_every_part_is_there_and_says_what_it_is(kind: str, name: str) -> None:
    maker = catalog.find(kind, name)
    assert callable(maker) and 10 < len(catalog.summary(maker)) < 200


@pytest.mark.parametrize(("kind", "name"), CHOSEN)
def test_every_part_can_be_chosen_and_is_made_with_its_defaults(kind: str, name: str) -> None:
    config = resolve(molecule("He"), [Layer("test", {kind: {"name": name}})])
    assert config[kind].keys() == {"name", *catalog.part_settings(kind, name)}
    assert getattr(build(config), kind) is not None


@pytest.mark.parametrize(("kind", "name"), CHOSEN)
def test_every_size_is_made_of_settings(kind: str, name: str) -> None:
    sizes = catalog.sizes(kind, name)
    for size, meaning in sizes.items():
        assert resolve(molecule("He"), [Layer("test", {kind: {"name": name, "size": size}})])[kind].items() >= {
            **meaning}.items()
    assert kind != "wavefunction" or not sizes or sizes.keys() >= {"small", "medium", "large"}, "what presets ask for"


@pytest.mark.parametrize("kind", catalog.KINDS)
def test_the_default_is_one_of_them_and_an_unknown_name_is_refused_with_all(kind: str) -> None:
    entry = catalog.KINDS[kind]
    assert entry.default is None or entry.default in entry.makers
    with pytest.raises(InputError, match=f"unknown {kind} 'x'.*Allowed: {', '.join(entry.makers)}"):
        catalog.find(kind, "x")


def test_the_terms_of_a_molecule_are_those_of_the_catalogue() -> None:
    """A molecule is made of its own table of terms; both have to mean the same by a name."""
    system = molecule("LiH")
    for name, make in TERMS.items():
        if (term := make(system, forward_laplacian)) is not None:
            maker = catalog.find("term", name)
            catalogued = maker if catalog.accepts("term", name, "electrons") else maker(forward_laplacian)
            ours, theirs = (getattr(each, "func", each) for each in (term, catalogued))
            assert (ours.__module__, ours.__qualname__) == (theirs.__module__, theirs.__qualname__)


def test_a_part_is_described_by_settings_only_if_they_make_an_equal_one() -> None:
    small = catalog.as_chosen("wavefunction", FermiNet(layers=2))
    assert small is not None and FermiNet(**{k: v for k, v in small.items() if k != "name"}) == FermiNet(layers=2)
    assert catalog.as_chosen("sampler", Metropolis(sweeps=3)) == {
        "name": "metropolis", "sweeps": 3, "jumps": 0.15, "width": 0.2, "local": True, "acceptance": 0.4, "adapt": True,
        "rate": 0.1, "patience": 100}
    assert catalog.as_chosen("wavefunction", FermiNet(embedding=FermiNet())) is None
    assert catalog.as_chosen("wavefunction", SlaterNetwork()) is None
    assert catalog.as_chosen("sampler", object()) is None
