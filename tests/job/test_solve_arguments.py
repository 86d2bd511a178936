"""What solve makes of its arguments: settings and ready-made objects, in one way for all kinds of parts."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from pyscf import gto, scf

import nnqmc
from nnqmc import catalog
from nnqmc.errors import InputError
from nnqmc.io import as_path
from nnqmc.job import RunDirectory
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
    known = catalog.KINDS["observable"]
    kinds = {**catalog.KINDS, "observable": known._replace(makers={**known.makers, "spread": lambda: Spread})}
    monkeypatch.setattr(catalog, "KINDS", MappingProxyType(kinds))

    def stop(config: dict, out: Any, *, custom: dict, **others: Any) -> None:
        raise Begun(config, custom)

    monkeypatch.setattr(sys.modules["nnqmc.job.solve"], "run", stop)

    def solve(source: Any = "He", **settings: Any) -> tuple[dict, dict]:
        with pytest.raises(Begun) as begun:
            nnqmc.solve(source, **settings)
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
    observables = build(named[0][0]).observables
    always = ("spin_squared", "cusps", "virial")
    assert observables == by_name({"spread": Spread()} | {name: observables[name] for name in always})
    config, custom = solved(observables={"mine": Spread()}, observe="spread")
    assert build(config, custom).observables.keys() == {"spread", *always, "mine"}
    with pytest.raises(InputError, match="unknown observable 'spred': did you mean 'spread'"):
        solved(observables=["spred"])


def test_a_shortcut_wins_over_its_section_in_any_order(solved: Any) -> None:
    first, second = solved(steps=7, train={"steps": 5}), solved(train={"steps": 5}, steps=7)
    assert first == second and first[0]["train"]["steps"] == 7


HELIUM = gto.M(atom="He 0 0 0", basis="sto-3g", verbose=0)


def test_a_mean_field_of_pyscf_is_the_molecule_and_the_start(solved: Any) -> None:
    solver = scf.RHF(HELIUM).run()
    for source, settings in ((solver, {}), ("He", {"mean_field": solver})):
        config, custom = solved(source=source, **settings)
        assert config["system"]["symbols"] == ["He"] and "mean_field" in config["custom"]
        assert float(custom["mean_field"].energy) == pytest.approx(solver.e_tot)
    own = nnqmc.hartree_fock(nnqmc.molecule("He"))
    assert solved(mean_field=own)[1] == {"mean_field": own}
    with pytest.raises(InputError, match="mean_field=3: give a mean field of PySCF, or what nnqmc"):
        solved(mean_field=3)
    with pytest.raises(InputError, match="has no orbitals yet"):
        solved(source=scf.RHF(HELIUM))


@pytest.mark.slow
@pytest.mark.ci
def test_a_run_from_a_mean_field_keeps_it_and_is_resumed_without_it(tiny: dict, tmp_path: Path) -> None:
    solver = scf.RHF(HELIUM).run()
    out = tmp_path / "run"
    result = nnqmc.solve(solver, out=out, **tiny | {"seed": 3})
    kept = RunDirectory.open(out).load_mean_field()
    assert float(kept.energy) == pytest.approx(solver.e_tot) == pytest.approx(-2.8077840, abs=1e-6)
    assert nnqmc.resume(out, progress=False).energy == result.energy
    for path in (out / "scf.h5", out / "result.json", *out.glob("checkpoint-*.h5")):
        path.unlink()
    with pytest.raises(InputError, match="a mean field of its own, which isn't among its files: give it again"):
        nnqmc.resume(out, progress=False)


def test_one_of_several_frames_is_solved(solved: Any, tmp_path: Path) -> None:
    path = tmp_path / "walk.xyz"
    path.write_text("1\n\nHe 0 0 0\n1\n\nLi 0 0 0\n")
    assert solved(source=path, frame=2)[0]["system"]["symbols"] == ["Li"]


ATTEMPTS = """
import nnqmc
from nnqmc.job import reevaluate, report
for attempt in (lambda: nnqmc.resume(3), lambda: reevaluate(None), lambda: report(b"x"),
                lambda: nnqmc.solve("He", out=3), lambda: nnqmc.resume("nowhere", key_file=3)):
    try:
        attempt()
    except nnqmc.InputError as error:
        print(error)
"""


def test_what_is_no_path_is_refused_in_words() -> None:
    """In a process of its own, since the tests' enforced annotations would be faster."""
    done = subprocess.run([sys.executable, "-c", ATTEMPTS], capture_output=True, text=True, timeout=300, check=True)
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [
        "3 was given as the directory of a run", "None was given as the directory of a run",
        "b'x' was given as the directory of a run", "3 was given as the directory of a run", "3 was given as key_file"]


@pytest.mark.parametrize("value", [3, None, b"x", True, ["x"]])
def test_a_path_is_text_or_a_path(value: Any) -> None:
    assert as_path("x", "a file") == as_path(Path("x"), "a file") == Path("x")
    with pytest.raises(InputError, match=re.escape(f"{value!r} was given as a file: give a path")):
        as_path(value, "a file")
