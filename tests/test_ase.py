"""The ASE calculator: units, charge and spin, neighbours, interruption, and sentences for what can't be used."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ase = pytest.importorskip("ase", reason="the calculator needs ASE: pip install 'nnqmc[ase]'")

from nnqmc.ase import NNQMC  # noqa: E402
from nnqmc.errors import InputError, Interrupted  # noqa: E402
from nnqmc.io import load_series  # noqa: E402
from nnqmc.job import Result, RunDirectory  # noqa: E402
from nnqmc.job.build import build, state_template  # noqa: E402
from nnqmc.job.progress import Reporter  # noqa: E402
from nnqmc.statistics import Estimate, ObservableEstimate  # noqa: E402
from nnqmc.studies.neighbours import Runs, begin_from, nearest  # noqa: E402

TINY = {"wavefunction": {"layers": 1, "hidden_one": 6, "hidden_two": 3, "n_determinants": 1},
        "sampler": {"sweeps": 3}, "pretrain": {"steps": 5}, "train": {"walkers": 32, "steps": 6, "burn_in": 5},
        "evaluate": {"max_steps": 20, "burn_in": 5}}
BOHR = 0.529177210544


def SLOW(test):
    """Tests of whole runs: compiled twice, once for each geometry."""
    return pytest.mark.slow(pytest.mark.ci(test))


def hydrogen(bond, **given):
    """H2 along z with a bond in bohr."""
    return ase.Atoms("H2", positions=[[0.0, 0, 0], [0, 0, bond * BOHR]], **given)


def state_of(directory):
    parts = build(directory.config)
    return directory.load_state(lambda n: state_template(directory.config, parts, n)).state


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two geometries by one calculator: the directory, what ASE got at each, and the results of nnqmc."""
    out = tmp_path_factory.mktemp("ase")
    calculator = NNQMC(preset="quick", out=out, seed=3, warm_steps=2, **TINY)
    atoms, found = hydrogen(1.6), []
    atoms.calc = calculator
    for bond in (1.6, 1.5):
        atoms.positions[1, 2] = bond * BOHR
        found.append((atoms.get_potential_energy(), atoms.get_forces(), dict(calculator.results), calculator.result))
    return out, found


@SLOW
def test_it_gives_electronvolts_and_electronvolts_per_angstrom(two):
    """By hand: 27.211386 eV in a hartree, 0.52917721 angstrom in a bohr, so 51.422067 eV/angstrom in a hartree/bohr."""
    for energy, forces, results, result in two[1]:
        inner = result.observables["forces"].parts["balanced"]
        np.testing.assert_allclose(forces.sum(axis=0), 0.0, atol=1e-3 * np.abs(forces).max())
        assert energy == pytest.approx(result.energy.value * 27.211386245981, rel=1e-9)
        assert results["energy_uncertainty"] == pytest.approx(result.energy.error * 27.211386245981, rel=1e-9)
        np.testing.assert_allclose(forces, inner.value * 51.4220675, rtol=1e-7)
        np.testing.assert_allclose(results["forces_uncertainty"], inner.error * 51.4220675, rtol=1e-7)
        assert forces.shape == (2, 3) and (results["forces_uncertainty"][:, 2] > 0.0).all()
        bonds = [np.linalg.norm(np.diff(result.settings["system"]["atoms"], axis=0))]
        assert min(abs(bonds[0] - 1.6), abs(bonds[0] - 1.5)) < 1e-9


@SLOW
def test_a_neighbour_gives_its_parameters_and_its_walkers_and_saves_steps(two):
    out, found = two
    assert [path.name for path in sorted(out.iterdir())] == ["0001", "0002"]
    assert [result.steps for *_, result in found] == [6, 2]
    assert list(load_series(out / "0002" / "train.h5")[0]["step"]) == [1, 2]
    assert "pretrain" in found[0][-1].seconds and "pretrain" not in found[1][-1].seconds
    assert found[1][0] < 0.0 and np.isfinite(found[1][1]).all()


@SLOW
def test_the_first_checkpoint_of_a_warm_start_is_the_neighbour_with_walkers_that_followed(two, tmp_path):
    """Parameters are the neighbour's average; electrons follow nuclei, the more the nearer they are."""
    out, _ = two
    first, second = Runs(out).known()
    new = RunDirectory(tmp_path / "0003", second.config)
    begin_from(new, first)
    before, begun = state_of(first), state_of(RunDirectory.open(tmp_path / "0003"))
    assert int(begun.step) == 0
    for one, other in zip(leaves(begun.params), leaves(before.average)):
        np.testing.assert_array_equal(one, other)
    old, moved = (np.asarray(state.sampler.walkers.electrons) for state in (before, begun))
    near, far = (np.linalg.norm(old - np.array([0.0, 0.0, z]), axis=-1) ** -4 for z in (1.6, 0.0))
    np.testing.assert_allclose(moved - old, (near / (near + far))[..., None] * [0.0, 0.0, -0.1], atol=1e-5)
    np.testing.assert_allclose(begun.sampler.shared.width, before.sampler.shared.width)
    np.testing.assert_allclose(begun.sampler.shared.atoms[1], [0.0, 0.0, 1.5], atol=1e-6)


def leaves(tree):
    import jax

    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


@SLOW
def test_what_is_done_is_not_computed_again(two):
    """Another calculator with the same directory: the same numbers, bit for bit, and no new run."""
    out, found = two
    times = {path: path.stat().st_mtime_ns for path in out.rglob("result.json")}
    calculator = NNQMC(preset="quick", out=out, seed=3, warm_steps=2, **TINY)
    for bond, (energy, forces, *_) in zip((1.6, 1.5), found):
        atoms = hydrogen(bond, calculator=calculator)
        atoms.positions[1, 2] = bond * BOHR
        assert atoms.get_potential_energy() == energy
        np.testing.assert_array_equal(atoms.get_forces(), forces)
    assert times == {path: path.stat().st_mtime_ns for path in out.rglob("result.json")}
    assert len(list(out.iterdir())) == 2


class Stop(Reporter):
    """Sends this process Ctrl-C at the first step of training."""

    def __init__(self):
        self.training = False

    def stage(self, title, total=None):
        self.training = title == "training"

    def update(self, done, text):
        if self.training:
            self.training = False
            os.kill(os.getpid(), signal.SIGINT)


@SLOW
def test_an_interrupted_geometry_goes_on_from_its_checkpoint_and_gives_the_undisturbed_numbers(two, tmp_path):
    import shutil

    out, found = two
    shutil.copytree(out / "0001", tmp_path / "0001")
    with pytest.raises(Interrupted, match="goes on"):
        hydrogen(1.5, calculator=NNQMC(preset="quick", out=tmp_path, seed=3, warm_steps=2, progress=Stop(), **TINY)
                 ).get_potential_energy()
    assert (tmp_path / "0002" / "config.toml").exists() and not (tmp_path / "0002" / "result.json").exists()
    again = hydrogen(1.5, calculator=NNQMC(preset="quick", out=tmp_path, seed=3, warm_steps=2, **TINY))
    assert again.get_potential_energy() == found[1][0]
    np.testing.assert_array_equal(again.get_forces(), found[1][1])


@SLOW
def test_only_the_same_molecule_with_the_same_settings_and_near_is_a_neighbour(two):
    out, _ = two
    known = list(Runs(out).known())
    config = known[0].config

    def moved(z, **changes):
        return config | {"system": config["system"] | {"atoms": [[0.0, 0.0, 0.0], [0.0, 0.0, z]]}} | changes

    assert nearest(known, moved(1.58)).path.name == "0001" and nearest(known, moved(1.45)).path.name == "0002"
    assert nearest(known, moved(2.7)) is None
    assert nearest(known, moved(1.5, seed=4)) is None
    assert nearest(known, moved(1.5) | {"system": config["system"] | {"charge": 1}}) is None


def test_charge_and_spin_come_from_the_atoms_unless_they_are_given(monkeypatch):
    """As nnqmc.molecule reads them: initial charges add up to the charge, magnetic moments to 2S."""
    seen = []

    def record(self, config):
        seen.append((config["system"]["charge"], config["system"]["spin"]))
        raise KeyboardInterrupt

    monkeypatch.setattr(NNQMC, "_solved", record)
    for given, atoms in (({}, hydrogen(1.4)), ({}, hydrogen(2.0, charges=[0.5, 0.5])),
                         ({}, hydrogen(1.4, magmoms=[1.0, 1.0])), ({"charge": 0, "spin": 2}, hydrogen(1.4)),
                         ({"charge": 0, "spin": 0}, hydrogen(2.0, charges=[0.5, 0.5]))):
        atoms.calc = NNQMC(**given)
        with pytest.raises(KeyboardInterrupt):
            atoms.get_forces()
    assert seen == [(0, 0), (1, 1), (0, 2), (0, 2), (0, 0)]


def solved_by_hand(self, config):
    """The result of a run whose energy is the charge, in hartree, and whose length is that of training."""
    self.asked = (config["train"]["steps"], self._runs)
    self._runs = Runs("none")
    energy = Estimate(value=float(config["system"]["charge"]), error=1e-3, variance=0.1, tau=1.0, r_hat=1.0,
                      n_samples=100)
    zeros = np.zeros((2, 3))
    return Result("H2", energy, observables={"forces": ObservableEstimate(zeros, zeros + 1e-3, "hartree/bohr")})


def test_settings_that_are_changed_give_new_results(monkeypatch):
    """What ASE keeps of the last geometry and the runs begun with other settings are forgotten; equal ones stay."""
    monkeypatch.setattr(NNQMC, "_solved", solved_by_hand)
    calculator = NNQMC(train={"steps": 5}, spin=0)
    atoms = hydrogen(1.4, calculator=calculator)
    assert atoms.get_potential_energy() == 0.0 and calculator.asked == (5, None)
    runs = calculator._runs
    assert calculator.set(spin=0, train={"steps": 5}, progress=True) == {} and calculator.results
    assert calculator._progress is True and calculator._runs is runs
    assert calculator.set(charge=1, spin=1) == {"charge": 1, "spin": 1} and calculator.result is None
    assert atoms.get_potential_energy() == pytest.approx(27.211386245981) and calculator.asked == (5, None)
    train = {"steps": 7}
    calculator.set(train=train)
    assert atoms.get_potential_energy() and calculator.asked == (7, None)
    train["steps"] = 8
    assert calculator.set(train=train) and not calculator.results


def test_a_setting_that_is_refused_changes_nothing(monkeypatch):
    monkeypatch.setattr(NNQMC, "_solved", solved_by_hand)
    calculator = NNQMC()
    hydrogen(1.4, calculator=calculator).get_potential_energy()
    before = dict(calculator.parameters)
    for given, words in (({"bogus": 3}, "bogus"), ({"charge": 1, "warm_steps": 0}, "warm_steps = 0"),
                         ({"forces": "pulay"}, "forces = 'pulay'"), ({"train": {"step": 4}}, r"train\.step"),
                         ({"max_time": 5.0}, "leave max_time out"), ({"out": "there"}, "so make another"),
                         ({"spin": 2.5}, "spin")):
        with pytest.raises(InputError, match=words):
            calculator.set(**given)
    assert calculator.parameters == before and calculator.results


def test_what_cannot_be_used_is_said_in_a_sentence():
    with pytest.raises(InputError, match=r"max_time = 5\.0: every geometry is computed to its end"):
        NNQMC(max_time=5.0)
    with pytest.raises(InputError, match="label"):
        NNQMC(label="h2")
    with pytest.raises(InputError, match="preset"):
        NNQMC(preset="qick")
    with pytest.raises(InputError, match=r"forces = 'pulay': it has to be 'forces' or 'forces_space_warp'"):
        NNQMC(forces="pulay")
    with pytest.raises(InputError, match="warm_steps = 0"):
        NNQMC(warm_steps=0)
    with pytest.raises(InputError, match=r"train\.step"):
        NNQMC(train={"step": 4})
    with pytest.raises(InputError, match="was given as out"):
        NNQMC(out=3)
    periodic = hydrogen(1.4, pbc=True, cell=[5, 5, 5], calculator=NNQMC())
    with pytest.raises(InputError, match="periodic"):
        periodic.get_forces()


def test_without_ase_there_is_a_sentence_and_nnqmc_itself_needs_none(tmp_path):
    program = ("import sys; sys.modules['ase'] = None\nimport nnqmc, nnqmc.job\n"
               "try:\n    import nnqmc.ase\nexcept ImportError as error:\n    print(error)")
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True,
                           cwd=Path(__file__).parents[1])
    assert 'nnqmc.ase needs ASE, which is not installed: pip install "nnqmc[ase]"' in found.stdout
