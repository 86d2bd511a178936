"""Curves, labels and recipes from end to end in tiny: resumed, interrupted, skipped, and refused in a sentence."""

from __future__ import annotations

import json
import os
import signal
import sys
from functools import partial

import numpy as np
import pytest

from nnqmc.cli import main
from nnqmc.cli.parser import parse
from nnqmc.config import Layer, resolve
from nnqmc.errors import InputError, Interrupted, SignatureError
from nnqmc.job import RunDirectory
from nnqmc.job.progress import Reporter
from nnqmc.studies import all as functions
from nnqmc.studies.command import do
from nnqmc.studies.curves import curve
from nnqmc.studies.labels import label
from nnqmc.studies.neighbours import Runs, nearest
from nnqmc.studies.recipes import Difference, Part, _parts, _shared_out, recipe
from nnqmc.system import molecule
from nnqmc.trained import load

TINY = {"preset": "quick", "progress": False,
        "wavefunction": {"layers": 1, "hidden_one": 6, "hidden_two": 3, "n_determinants": 1},
        "sampler": {"sweeps": 3}, "pretrain": {"steps": 5}, "train": {"walkers": 32, "steps": 6, "burn_in": 5},
        "evaluate": {"max_steps": 20, "burn_in": 5}}


class Stop(Reporter):
    """Sends this process Ctrl-C at the first step of the second training."""

    def __init__(self):
        self.trainings = 0

    def stage(self, title, total=None):
        self.trainings += title == "training"

    def update(self, done, text):
        if self.trainings == 2:
            self.trainings += 1
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.slow
@pytest.mark.ci
def test_a_curve_that_was_interrupted_goes_on_and_gives_the_undisturbed_numbers(tmp_path):
    """The second point starts from the first one; both are labels of one list, where nothing is computed again."""
    given = (1.2, 1.8), 2
    with pytest.raises(Interrupted, match="in point 2 of 2; nothing is lost, and the same command goes on"):
        curve("H2", *given, forces=False, out=tmp_path / "cut", **TINY | {"progress": Stop()})
    assert len(json.loads((tmp_path / "cut" / "result.json").read_text())["points"]) == 1
    found = curve("H2", *given, forces=False, out=tmp_path / "cut", **TINY)
    key = tmp_path / "key"
    key.write_bytes(bytes(range(32)))
    key.chmod(0o600)
    whole = curve("H2", *given, forces=False, out=tmp_path / "whole", key_file=key, **TINY)
    assert [each.result.energy for each in found.points] == [each.result.energy for each in whole.points]
    assert found.complete and [each.result.steps for each in found.points] == [6, 1]
    assert "pretrain" not in found.points[1].result.seconds and (tmp_path / "cut" / "curve.png").exists()
    assert not found.points[1].converged and "four points or more" in str(found.constants)

    with pytest.raises(SignatureError, match="is signed"):
        load(tmp_path / "whole" / "0002")
    assert load(tmp_path / "whole" / "0002", key_file=key).result.energy == found.points[1].result.energy
    assert curve("H2", *given, forces=False, out=tmp_path / "whole", key_file=key, **TINY).complete

    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "cut").glob("*/result.json")}
    labels = label([f"H 0 0 0; H 0 0 {bond}" for bond in (1.8, 1.2)], unit="bohr", forces=False, out=tmp_path / "cut",
                   **TINY)
    assert labels.complete and len(labels.done) == 2 and len(times) == 2
    assert labels.done[1].result.energy == found.points[1].result.energy
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "cut").glob("*/result.json")}
    assert (tmp_path / "cut" / "labels.xyz").read_text() == ""
    assert "did not converge, or can't be trusted, and are no labels" in str(labels)
    assert "unconverged_energy=" in (tmp_path / "cut" / "unconverged.xyz").read_text()


@pytest.mark.slow
def test_a_recipe_adds_up_its_parts_and_their_errors(tmp_path):
    found = recipe("ionisation", "He", out=tmp_path / "he", target_error=0.05, **TINY)
    parts = {part.system.name: part.result.energy for part in found.parts}
    assert found.value == parts["He+"].value - parts["He"].value
    assert found.error == pytest.approx(np.hypot(parts["He"].error, parts["He+"].error))
    text, plain = str(found), json.loads((tmp_path / "he" / "result.json").read_text())
    assert "zero-point and relativistic energies are not in it" in text and "reference 0.90372" in text
    assert plain["difference"]["eV"]["value"] == pytest.approx(27.211386245981 * found.value)
    settings = [part.result.settings for part in found.parts]
    assert all(settings[0][name] == settings[1][name] for name in ("train", "wavefunction", "sampler", "optimizer"))


def test_the_error_budget_meets_the_target_at_the_least_cost():
    parts = _shared_out([(2, molecule("H")), (-1, molecule("N2"))], 1e-3)
    assert sum((part.times * part.target_error) ** 2 for part in parts) == pytest.approx(1e-6)

    def cost(first):
        second = np.sqrt(1e-6 - 4.0 * first**2)
        return (1 / first) ** 2 + (14 / second) ** 2

    best = parts[0].target_error
    assert cost(best) < min(cost(0.9 * best), cost(1.1 * best))


@pytest.mark.parametrize(("study", "given", "words"), [
    (curve, ("H2O", (1.5, 2.0)), r"H2O has 3 atoms \(1 H, 2 O, 3 H\): say which two are bonded"),
    (curve, ("H2", (3.0, 2.0)), "give the shortest one first"),
    (curve, ("H2",), "a curve needs the shortest and the longest bond"),
    (curve, (["H2", "LiH"],), "structure 2 is .* a curve is of one molecule in one state"),
    (label, ("missing.xyz",), "can't be read"),
    (label, (["H2", "Xx"],), "structure 2 of 2"),
    (recipe, ("ionisation", "H"), "has one electron"),
    (recipe, ("ionization", "Li"), "did you mean 'ionisation'"),
    (recipe, ("atomisation", "He"), "single atom"),
    (recipe, ("singlet-triplet", "Li"), "singlets and triplets need an even number"),
    (partial(recipe, spin=4), ("singlet-triplet", "Be"), "none that could be 4: leave --spin out"),
    (partial(recipe, atoms=(1, 2)), ("ionisation", "LiH"), "only the recipe dissociation uses: leave it out for ion"),
    (partial(recipe, spins=(2, 2)), ("atomisation", "LiH"), "only the recipe dissociation uses: leave it out for ato"),
    (partial(recipe, spins=(2,)), ("dissociation", "LiH"), r"spins = \(2,\): give two numbers"),
    (partial(recipe, spins=(1, 0)), ("dissociation", "LiH"), "spin=0 is impossible for 1 electron"),
    (partial(recipe, atoms=(1, 3)), ("dissociation", "H2O"), r"atom 2 \(O\) of H2O is as near to atom 1 as to atom 3"),
    (partial(recipe, evaluate={"target_error": 1e-2}), ("ionisation", "Li"), "give the error bar of the difference"),
])
def test_what_cannot_be_used_is_said_in_a_sentence(study, given, words, tmp_path, monkeypatch):
    monkeypatch.setattr(Runs, "begin", lambda runs, config: pytest.fail("a run was begun"))
    with pytest.raises(InputError, match=words):
        study(*given, out=tmp_path / "none", progress=False)
    assert not (tmp_path / "none").exists()


def test_training_steps_beside_a_neighbour_are_checked_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match="warm_steps = -3: it has to be a whole number from 1"):
        label(["H2"], out=tmp_path / "none", progress=False, warm_steps=-3, max_time=0.001)
    assert not (tmp_path / "none").exists()


def test_a_run_with_other_walkers_or_another_accuracy_is_another_run(tmp_path, monkeypatch):
    """Neither a run from Hartree-Fock nor one from a neighbour stands for what is asked for."""
    runs = Runs(tmp_path, warm_steps=2)
    config = resolve(molecule("H2"), [Layer("test", {"train": {"walkers": 64}})])
    first = runs.begin(config)
    warm = RunDirectory(tmp_path / "0002", runs._warm(config))
    warm.path.mkdir()
    warm.save_config()
    (warm.path / "checkpoint-0.h5").touch()
    assert runs.find(config).path == first.path and runs.find(config, [warm]) is warm
    monkeypatch.setattr(RunDirectory, "load_result", lambda self: "done")
    for changed in ({"walkers": 512}, {"accuracy": 1e-3}):
        other = config | {"train": config["train"] | changed}
        assert runs.find(other) is None
        assert nearest([first], config) is first and nearest([first], other) is None
    assert runs.begin(config | {"train": config["train"] | {"walkers": 512}}).path.name == "0003"


def test_the_spins_of_fragments_are_said_and_can_be_given(tmp_path):
    """Ethylene's CH2 are triplets in truth; without word of it they have the lowest spin, and the output says so."""
    ethylene = molecule("C 0 0 0.66; C 0 0 -0.66; H 0 0.92 1.23; H 0 -0.92 1.23; H 0 0.92 -1.23; H 0 -0.92 -1.23",
                        unit="angstrom")
    for spins, expected in ((None, (0, 0)), ((2, 0), (2, 0))):
        systems = _parts("dissociation", ethylene, (1, 2), spins)
        assert [(times, system.symbols, system.spin) for times, system in systems[:2]] == [
            (1, ("C", "H", "H"), expected[0]), (1, ("C", "H", "H"), expected[1])]
        found = Difference("dissociation", "C2H4", tuple(Part(*each, 1e-3) for each in systems), 1e-3, tmp_path)
        said = f"CH2 has 2S = {expected[0]} and CH2 has 2S = {expected[1]}, the lowest one unless --fragment-spins gave"
        assert said in str(found) and said in found.to_dict()["assumed"]
    nitrogen = [(times, system.spin) for times, system in _parts("dissociation", molecule("N2"), None, (3, 1))]
    assert nitrogen == [(1, 3), (1, 1), (-1, 0)]


def test_the_plan_of_a_dissociation_says_the_spins_of_its_fragments(tmp_path, capsys):
    recipe("dissociation", "H2O", atoms=(2, 1), out=tmp_path, **TINY | {"progress": True, "max_time": 1e-3})
    assert "OH has 2S = 1, the lowest one unless --fragment-spins gave another" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "settings"), [
    ("curve H2 --bond 1 2 --steps 200 --set train.steps=100", {"train": {"steps": 100}}),
    ("label a.xyz --walkers 8 --steps 9 --set train.walkers=4", {"train": {"walkers": 4}, "steps": 9}),
    ("curve H2 --bond 1 2 --target-error 1e-3 --observe dipole --set evaluate.observe=radii evaluate.target_error=1e-2",
     {"evaluate": {"observe": "radii", "target_error": 1e-2}}),
    ("scan He --preset quick --seed 1 --max-time 9 --set preset=accurate seed=2 max_time=10",
     {"preset": "accurate", "seed": 2, "max_time": 10.0}),
    ("recipe dissociation LiH --fragment-spins 1 1 --target-error 1e-3 --set scf.basis=sto-3g",
     {"spins": [1, 1], "target_error": 1e-3, "scf": {"basis": "sto-3g"}}),
])
def test_set_wins_over_the_options_of_a_study(words, settings, monkeypatch):
    """As `nnqmc run` has it; what --set doesn't name stays with the options."""
    arguments = parse(words.split())
    arguments.started, given = 0.0, {}
    monkeypatch.setattr(functions, arguments.command, lambda *sources, **found: given.update(found))
    assert do(arguments) == 0
    for name in ("progress", "started", "bond", "points", "forces", "sizes"):
        given.pop(name, None)
    assert given == settings


@pytest.mark.parametrize("words", ["recipe ionisation -", "scan -", "curve - --bond 1 2"])
def test_a_dash_stands_for_the_standard_input(words, monkeypatch):
    arguments, found = parse(words.split()), []
    arguments.started = 0.0
    monkeypatch.setattr(functions, arguments.command, lambda *sources, **given: found.extend(sources))
    assert do(arguments) == 0 and found[-1] is sys.stdin and "-" not in found


@pytest.mark.parametrize(("words", "said"), [
    ("difference none other --sampler-steps 20", "none holds no run"),
    ("difference none other --sampler-steps 2", "steps = 2: it has to be a whole number from 10"),
    ("curve H2 --bond 1 2 --distributed", "a study is one process"),
    ("curve H2 --bond 1 2 --steps 2 --key-file none", "none"),
    ("curve H2 --bond 1 2 --warm-steps 0", "warm_steps = 0: it has to be a whole number from 1 to 100000000"),
    ("curve H2 --bond 1 2 --warm-steps -3", "warm_steps = -3: it has to be"),
    ("label none.xyz --coordinator here:1", "a study is one process"),
    ("curve H2 --bond 1 2 --set source=H", "unknown section or setting 'source' (--set)"),
    ("recipe ionisation Li --set name=foo", "unknown section or setting 'name' (--set)"),
    ("label two.xyz --set structures=x", "unknown section or setting 'structures' (--set)"),
    ("label two.xyz --set charge=1", "unknown section or setting 'charge' (--set)"),
    ("scan He --set sizes=3", "unknown section or setting 'sizes' (--set)"),
    ("scan He --set max_time=soon", "max_time = 'soon': it has to be a number"),
    ("curve H2 --bond 1 2 --set steps=3", "Settings have a section: write pretrain.steps or train.steps"),
    ("curve H2 --bond 1 2 --set train=3", "train is a section"),
    ("recipe ionisation Li --set evaluate.target_error=1e-2", "give the error bar of the difference with --target-err"),
    ("recipe singlet-triplet Be --spin 4", "leave --spin out"),
])
def test_what_cannot_be_used_ends_the_command_with_a_sentence(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Runs, "begin", lambda runs, config: pytest.fail("a run was begun"))
    assert main([*words.split(), "--no-cache"]) == 2
    assert said in capsys.readouterr().err and not list(tmp_path.iterdir())
