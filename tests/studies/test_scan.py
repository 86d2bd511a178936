"""A ladder of sizes: its members, its file, what is refused, and going on where it was stopped."""

from __future__ import annotations

import json
import re
import time

import numpy as np
import pytest

from nnqmc.config import resolve
from nnqmc.errors import InputError
from nnqmc.hamiltonian import molecular
from nnqmc.job import Result, RunDirectory
from nnqmc.statistics import Estimate
from nnqmc.studies import scan as module
from nnqmc.studies.scan import scan
from nnqmc.system import molecule


class Runs:
    """Runs that take no time: the excess of a network falls with its determinants, and `slow` ones are cut."""

    def __init__(self, trusted=True):
        self.begun, self.resumed, self.trusted, self.cut = [], [], trusted, ()

    def result(self, config, is_cut):
        n = config["wavefunction"]["n_determinants"]
        excess = 0.02 / n
        energy = Estimate(-2.9 + excess, 1e-4, 4.0 * excess, 1.0, 1.0, 1000,
                          caveats=() if self.trusted else ("a doubt",))
        steps = config["train"]["steps"]
        return Result("He", energy, steps=steps // 2 if is_cut else steps, planned_steps=steps, settings=config)

    def run(self, config, path, progress, key_file):
        path.mkdir(parents=True)
        RunDirectory(path, config).save_config()
        self.begun.append(path.name)
        return self.kept(RunDirectory.open(path))

    def resume(self, path, max_time, progress, key_file):
        self.resumed.append(path.name)
        return self.kept(RunDirectory.open(path))

    def kept(self, directory):
        result = self.result(directory.config, directory.path.name in self.cut)
        directory.save_result(result)
        return result


@pytest.fixture
def runs(monkeypatch):
    found = Runs()
    monkeypatch.setattr(module, "run", found.run)
    monkeypatch.setattr(module, "resume", found.resume)
    return found


@pytest.fixture
def undrawn(monkeypatch):
    monkeypatch.setattr(module, "scaling_plot", lambda *unused, **unused_too: None)


def test_a_ladder_is_trained_and_its_limit_kept(runs, tmp_path):
    found = scan("He", 4, out=tmp_path / "scan", progress=False, preset="quick", seed=3)
    assert runs.begun == ["size-1", "size-2", "size-3", "size-4"] and not runs.resumed
    assert [(each.width, each.n_determinants) for each in found.members] == [(16, 1), (24, 2), (32, 4), (44, 8)]
    assert np.all(np.diff([each.n_parameters for each in found.members]) > 0)
    kept = json.loads((tmp_path / "scan" / "scan.json").read_text())
    assert kept["complete"] and kept["extrapolated"] == pytest.approx(-2.9, abs=1e-3)
    assert {"members", "extrapolated", "error", "beta", "beta_error", "verdict"} <= kept.keys()
    assert kept["error"] > 0.0 and (tmp_path / "scan" / "scan.png").stat().st_size > 1000
    configs = [RunDirectory.open(tmp_path / "scan" / f"size-{k}").config for k in (1, 4)]
    assert configs[0]["train"] == configs[1]["train"] and {config["seed"] for config in configs} == {3}
    assert "limit E0 = -2.9" in str(found)


def test_it_goes_on_where_it_was_stopped_and_refuses_other_settings(runs, tmp_path):
    runs.cut = ("size-2",)
    found = scan("He", 4, out=tmp_path, progress=False, preset="quick")
    assert not found.complete and len(found.members) == 2 and "2 of 4" in found.limit.verdict
    assert json.loads((tmp_path / "scan.json").read_text())["extrapolated"] is None
    runs.cut = ()
    assert scan("He", 4, out=tmp_path, progress=False, preset="quick").complete
    assert runs.begun == ["size-1", "size-2", "size-3", "size-4"] and runs.resumed == ["size-2"]
    with pytest.raises(InputError, match="other settings"):
        scan("He", 4, out=tmp_path, progress=False, preset="quick", seed=1)
    over = time.monotonic() - 10.0
    assert not scan("He", 2, out=tmp_path / "none", max_time=1.0, started=over, progress=False).members


def test_members_have_a_preset_of_their_own_and_the_settings_given(runs, tmp_path):
    scan("He", 2, out=tmp_path, progress=False, walkers=32, target_error=0.01, wavefunction={"layers": 1})
    config = RunDirectory.open(tmp_path / "size-2").config
    assert config["preset"] == "ladder" and config["train"]["steps"] > resolve(molecule("He"), [])["train"]["steps"]
    assert config["train"]["walkers"] == 32 and config["evaluate"]["target_error"] == 0.01
    assert config["wavefunction"]["layers"] == 1 and config["wavefunction"]["n_determinants"] == 2
    with pytest.raises(InputError, match="ready-made"):
        scan("He", 2, out=tmp_path / "new", hamiltonian=molecular(molecule("He")))


def test_doubts_about_a_member_refuse_the_limit(runs, tmp_path):
    runs.trusted = False
    found = scan("He", 4, out=tmp_path, progress=False, preset="quick")
    assert found.complete and found.limit.extrapolated is None and "isn't trusted" in str(found)


@pytest.mark.parametrize("sizes", [1, 9, True])
def test_ladders_that_make_no_sense_are_refused(sizes, tmp_path):
    with pytest.raises(InputError, match="sizes"):
        scan("He", sizes, out=tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("before", "now", "words"), [
    ({"steps": 100}, {"steps": 3000}, "train.steps = 100 instead of 3000"),
    ({"steps": 100, "walkers": 64}, {}, "train.steps = 100 instead of 200 and train.walkers = 64 instead of 256"),
    ({"walkers": 64}, {}, "train.walkers = 64 instead of 256"),
    ({}, {"accuracy": 0.002, "target_error": 0.001}, "train.accuracy = 'none' instead of 0.002"),
    ({}, {"evaluate": {"max_steps": 500}}, "evaluate.max_steps = 1000 instead of 500"),
    ({}, {"observe": "dipole"}, "evaluate.observe = '' instead of 'dipole'"),
])
def test_members_of_another_budget_are_refused(runs, undrawn, tmp_path, before, now, words):
    scan("He", 2, out=tmp_path, progress=False, preset="quick", **before)
    kept = (tmp_path / "scan.json").read_bytes()
    with pytest.raises(InputError, match=f"size-1 was made with {re.escape(words)}: give another --out"):
        scan("He", 4, out=tmp_path, progress=False, preset="quick", **now)
    assert len(runs.begun) == 2 and not runs.resumed and (tmp_path / "scan.json").read_bytes() == kept


def test_what_is_done_counts_when_the_time_is_over(runs, undrawn, tmp_path):
    scan("He", 3, out=tmp_path, progress=False, preset="quick")
    kept, over = (tmp_path / "scan.json").read_bytes(), time.monotonic() - 10.0
    found = scan("He", 3, out=tmp_path, progress=False, preset="quick", max_time=1.0, started=over)
    assert found.complete and (tmp_path / "scan.json").read_bytes() == kept and len(runs.begun) == 3
    (tmp_path / "size-2" / "result.json").unlink()
    found = scan("He", 3, out=tmp_path, progress=False, preset="quick", max_time=1.0, started=over)
    assert [each.n_determinants for each in found.members] == [1, 4] and not found.complete and not runs.resumed
    assert scan("He", 3, out=tmp_path, progress=False, preset="quick").complete and runs.resumed == ["size-2"]
    assert (tmp_path / "scan.json").read_bytes() == kept


@pytest.mark.parametrize(("settings", "words"), [
    ({"max_time": -5.0}, "max_time = -5.0"),
    ({"wavefunction": {"name": "psiformer", "heads": 8}}, "width = 44 with heads = 8"),
    ({"walkers": 10**6}, "use fewer --walkers"),
    ({"key_file": "nokey"}, "the key file can't be used"),
])
def test_what_cannot_be_done_to_the_end_is_refused_at_the_start(runs, tmp_path, settings, words):
    with pytest.raises(InputError, match=words):
        scan("He", 4, out=tmp_path / "new", progress=False, **settings)
    assert not (tmp_path / "new").exists() and not runs.begun


def test_a_directory_with_other_files_is_refused_before_the_first_member(runs, tmp_path):
    (tmp_path / "size-3").mkdir()
    (tmp_path / "size-3" / "notes.txt").touch()
    with pytest.raises(InputError, match="size-3 holds other files"):
        scan("He", 4, out=tmp_path, progress=False)
    assert not runs.begun
