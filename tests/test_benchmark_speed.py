"""The speed benchmarks: what they write, that they refuse to time candidates that disagree, and their arithmetic."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
NAMES = ("speed", "speed_parts", "speed_report", "speed_cases", "speed_clock", "time_to_accuracy", "report",
         "profile_step", "settings")


@pytest.fixture(scope="module")
def scripts() -> Iterator[SimpleNamespace]:
    """The scripts as modules, found as they find each other: in their own directory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in NAMES})


def numbers(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "speed.json").read_text(encoding="utf-8"))


def small(scripts: SimpleNamespace, patch: pytest.MonkeyPatch) -> None:
    """The clock's large matrix small, so that a test takes seconds."""
    patch.setattr(scripts.speed, "matrix_peak", lambda repeats: 1e9)


@pytest.mark.parametrize(("case", "figures"), [
    pytest.param("H-tiny-4:energy", {"local_energy.png"}, marks=[pytest.mark.slow, pytest.mark.ci]),
    pytest.param("H-tiny-4", {"local_energy.png", "step.png", "parts.png"}, marks=pytest.mark.slow),
])
def test_the_smallest_case_gives_numbers_a_table_and_figures(
        scripts: SimpleNamespace, case: str, figures: set[str], tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    small(scripts, monkeypatch)
    monkeypatch.setattr(scripts.speed.importlib.util, "find_spec", lambda name: None)  # as where folx isn't installed
    assert scripts.speed.main(["--cases", case, "--repeats", "2", "--out", str(tmp_path)]) == 0
    (found,) = numbers(tmp_path)["cases"]
    assert found["name"] == case and found["electrons"] == 1 and found["walkers"] == 4
    assert tuple(found["parts"]) == scripts.speed_cases.ASPECTS[found["aspect"]]
    for part, ways in found["parts"].items():
        assert "obvious" in ways and not any("folx" in name for name in ways)
        assert all(way["ms"] > 0.0 and way["peak_mib"] > 0.0 for way in ways.values()), part
    energy = found["parts"]["local energy"]
    assert energy["obvious"]["ratio"] > 0.0 and energy["obvious"]["flops"] > energy["nnqmc"]["flops"] > 0.0
    assert f"| {case} | local energy |" in (tmp_path / "speed.md").read_text(encoding="utf-8")
    assert {path.name for path in tmp_path.glob("*.png")} == figures


@pytest.mark.slow
def test_nothing_is_timed_when_the_candidates_disagree(scripts: SimpleNamespace, tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch,
                                                       capsys: pytest.CaptureFixture) -> None:
    small(scripts, monkeypatch)
    right = scripts.speed_parts.loop_laplacian

    def wrong(function: Any) -> Any:
        return lambda electrons: (lambda found: found._replace(laplacian=1.01 * found.laplacian))(
            right(function)(electrons))

    monkeypatch.setattr(scripts.speed_parts, "loop_laplacian", wrong)
    monkeypatch.setattr(scripts.speed.importlib.util, "find_spec", lambda name: None)
    assert scripts.speed.main(["--cases", "H-tiny-4:energy", "--repeats", "1", "--out", str(tmp_path)]) == 1
    assert "the local energy by 'nnqmc' isn't that by 'obvious'" in capsys.readouterr().err
    assert not (tmp_path / "speed.json").exists()


def test_a_rival_that_disagrees_is_left_out_and_said_in_the_report(scripts: SimpleNamespace) -> None:
    case = scripts.speed_cases.parse_case("H-tiny-4:energy")
    values = {"obvious": 1.0, "nnqmc": 1.0, "folx": 1.0, "folx chunked 8": 1.1}
    programs = {name: SimpleNamespace(call=lambda value=value: np.full(4, value)) for name, value in values.items()}
    agreeing, said = scripts.speed._agreeing("local energy", case, programs)
    assert list(agreeing) == ["obvious", "nnqmc", "folx"]
    assert len(said) == 1 and "'folx chunked 8' isn't that" in said[0]
    assert scripts.speed._agreeing("log psi", case, programs) == (programs, [])
    with pytest.raises(scripts.speed.Disagreement, match="'nnqmc' isn't that"):
        scripts.speed._agreeing("local energy", case, programs | {"nnqmc": programs["folx chunked 8"]})
    record = {"name": case.name, **case._asdict(), "electrons": 1, "parts": {}, "left_out": said}
    results = {"started": "now", "machine": "m", "device": "cpu", "versions": {}, "load_before": 0.0,
               "matrix_peak": 1e9, "repeats": 2, "sweeps": 10, "cases": [record]}
    assert f"- {said[0]}" in scripts.speed_report.report(results)


@pytest.mark.slow
@pytest.mark.parametrize("system", ["H4", "LiH"])  # as many atoms as electrons, and fewer
def test_features_without_choices_have_the_same_values(scripts: SimpleNamespace, system: str) -> None:
    setting = scripts.speed_cases.prepare(scripts.speed_cases.parse_case(f"{system}-tiny-2"))

    def orbitals(electrons: jax.Array) -> jax.Array:
        (matrices,) = setting.parts.wavefunction.apply(setting.params, electrons, setting.system, method="orbitals")
        return matrices

    plain = scripts.speed_parts.without_choices(orbitals)
    walker = setting.electrons[0]
    assert np.allclose(plain(walker), orbitals(walker), rtol=1e-4, atol=1e-5)
    assert "select_n" in str(jax.make_jaxpr(orbitals)(walker))
    assert "select_n" not in str(jax.make_jaxpr(plain)(walker))


@pytest.mark.parametrize("text", ["LiH", "LiH-huge-4", "LiH-tiny-1", "LiH-tiny-4:everything", "nothing-tiny-4"])
def test_a_case_that_is_none_is_refused_in_words(scripts: SimpleNamespace, text: str, tmp_path: Path,
                                                 capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as refused:
        scripts.speed.main(["--cases", text, "--out", str(tmp_path)])
    assert refused.value.code == 2 and text.split("-")[0] in capsys.readouterr().err


def test_all_cases_have_names_that_can_be_read(scripts: SimpleNamespace) -> None:
    cases = scripts.speed_cases
    for text in (*cases.CASES, *cases.QUICK, scripts.speed_report.YARDSTICK, *scripts.speed_report.RIVAL_SECONDS):
        assert cases.parse_case(text).name == text
    assert set(scripts.speed_report.RIVAL_SECONDS) | {scripts.speed_report.YARDSTICK} <= set(cases.CASES)
    assert cases.molecule("H6").n_electrons == 6 and cases.molecule("H2").n_atoms == 2


def test_readings_are_taken_in_turns(scripts: SimpleNamespace) -> None:
    order: list[str] = []
    clock = scripts.speed_clock
    programs = {name: clock.Program(lambda name=name: order.append(name), clock.Cost(0.0, 0.0), 0, 0, 0.0)
                for name in "ab"}
    clock._SHORTEST, kept = 0.0, clock._SHORTEST
    try:
        readings = clock.in_turns(programs, 3)
    finally:
        clock._SHORTEST = kept
    assert order[4:] == ["a", "b"] * 3  # after a call to warm up and one to see how long it takes
    assert {name: len(seconds) for name, seconds in readings.items()} == {"a": 3, "b": 3}


def test_the_compiler_counts_the_operations_of_a_matrix_product(scripts: SimpleNamespace) -> None:
    a = np.ones((8, 16), np.float32)
    program = scripts.speed_clock.compiled(lambda x: x @ x.T, a)
    assert program.cost.flops == pytest.approx(2 * 8 * 8 * 16) and program.peak_bytes >= a.nbytes + 4 * 64


def chain(n: int, ms: dict[str, float]) -> dict[str, Any]:
    ways = {name: {"ms": value, "peak_mib": 1.0, "flops": None, "bytes": None} for name, value in ms.items()}
    return {"name": f"H{n}-medium-64:energy", "system": f"H{n}", "network": "medium", "walkers": 64, "electrons": n,
            "aspect": "energy", "parts": {"local energy": ways}}


def test_a_power_law_gives_back_its_exponent(scripts: SimpleNamespace) -> None:
    cases = [chain(n, {"nnqmc": 0.1 * n**2.5, "folx": 0.2 * n**3}) for n in (4, 8, 16)]
    found = scripts.speed_report.exponents(cases)
    assert found["nnqmc"][0] == pytest.approx(2.5) and found["folx"][0] == pytest.approx(3.0)
    assert found["nnqmc"][1] == pytest.approx(0.0, abs=1e-6)


def test_the_goals_are_judged_in_this_machines_seconds(scripts: SimpleNamespace) -> None:
    energy = {"nnqmc": {"ms": 100.0}, "obvious": {"ms": 884.0, "ratio": 8.84}, "folx": {"ms": 644.0, "ratio": 6.44},
              "folx chunked": {"ms": 242.0, "ratio": 2.42, "chunk": 8}}
    case = chain(14, {}) | {"name": "N2-medium-128", "system": "N2", "parts": {
        "local energy": energy, "step": {"nnqmc": {"ms": 300.0}}}}
    rows = scripts.speed_report._goals({"cases": [case]})
    assert [row[-1] for row in rows] == ["yes"] * 4  # half of JaQMC's 0.31 s is 0.31 s on a machine half as fast
    case["parts"]["step"]["nnqmc"]["ms"] = 320.0
    assert scripts.speed_report._goals({"cases": [case]})[-1][-1] == "no"


def run(steps: int, difference: float, error: float | None, seconds: float = 10.0) -> dict[str, Any]:
    return {"system": "He", "seed": 0, "steps": steps, "bar": 0.4, "wall_seconds": seconds, "failure": "",
            "result": {"difference": difference, "error": error, "trusted": True}}


@pytest.mark.parametrize(("difference", "error", "reached"), [
    (1.5e-3, 0.4e-3, True), (-1.5e-3, 0.4e-3, True), (1.7e-3, 0.1e-3, False), (0.1e-3, 0.5e-3, False),
    (0.1e-3, None, False),
])
def test_an_accuracy_needs_the_energy_and_its_error_bar(scripts: SimpleNamespace, difference: float,
                                                        error: float | None, reached: bool) -> None:
    result = run(1, difference, error)["result"]
    assert scripts.time_to_accuracy.is_within(result, 1.6) is reached
    assert not scripts.time_to_accuracy.is_within(result | {"trusted": False}, 1.6)


def test_the_seconds_to_an_accuracy_are_those_of_the_first_run_that_reaches_it(
        scripts: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, float]] = []

    def measured(system: str, seed: int, steps: int, bar: float, options: list, folder: Path) -> dict[str, Any]:
        asked.append((steps, bar))
        return run(steps, 0.2 / steps, 1e-3 * bar, seconds=float(steps))

    monkeypatch.setattr(scripts.time_to_accuracy, "measure", measured)
    results = {"thresholds": [10.0, 1.6, 0.5], "steps": [10, 50, 200, 300], "options": [], "machine": "a laptop",
               "load_before": 0.0, "starts": []}
    found = list(scripts.time_to_accuracy.climbs("He", 0, results, tmp_path))
    assert [climb["seconds"] for climb in found] == [50.0, 200.0, None]
    assert asked == [(10, 2.5), (50, 2.5), (50, 0.4), (200, 0.4), (200, 0.125), (300, 0.125)]
    text = scripts.time_to_accuracy.report(results | {"climbs": found})
    assert "| He | 50 (50), 1 of 1, steps 50 | 200 (200), 1 of 1, steps 200 | 0 of 1 |" in text
    assert scripts.time_to_accuracy.figure(results | {"climbs": found}, tmp_path / "x.png").exists()


def test_the_report_joins_tables_and_figures_and_says_what_is_missing(scripts: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "speed").mkdir()
    (tmp_path / "speed" / "speed.md").write_text("# Speed\n\nfast\n", encoding="utf-8")
    (tmp_path / "speed" / "step.png").touch()
    assert scripts.report.main(["--join", "--out", str(tmp_path)]) == 0
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert text == scripts.report.joined(tmp_path, ["speed", "time_to_accuracy"])
    assert "fast\n\n![step](speed/step.png)" in text and "# time_to_accuracy\n\nNot measured." in text


def test_the_scripts_explain_themselves(scripts: SimpleNamespace, capsys: pytest.CaptureFixture) -> None:
    modules: list[ModuleType] = [scripts.speed, scripts.time_to_accuracy, scripts.report]
    for module in modules:
        with pytest.raises(SystemExit) as left:
            module.main(["--help"])
        assert left.value.code == 0 and "--out" in capsys.readouterr().out


def test_quartiles_enclose_the_median(scripts: SimpleNamespace) -> None:
    middle, low, high = scripts.speed_clock.ratios([2.0, 4.0, 6.0], [1.0, 1.0, 1.0])
    assert (middle, low, high) == (4.0, 3.0, 5.0) and math.isfinite(middle)


@pytest.mark.slow
def test_a_profile_finds_the_stages_of_a_step_and_the_kernels_add_up(scripts: SimpleNamespace, tmp_path: Path) -> None:
    assert scripts.profile_step.main(["H-tiny-4", "--out", str(tmp_path)]) == 0
    text = (tmp_path / "profile.md").read_text(encoding="utf-8")
    rows = {cells[0]: cells[1:] for cells in ([cell.strip() for cell in line.strip("|").split("|")]
                                              for line in text.splitlines() if line.startswith("| "))}
    assert "matrix products" in rows["stage"] and "elementwise" in rows["stage"]
    assert float(rows["sampling"][-1]) > 0.0 and float(rows["local_energy"][-1]) > 0.0
    assert set(scripts.profile_step.STAGES) < set(rows)
    stages = [name for name in rows if name not in ("stage", "---", "all")]
    assert sum(float(rows[name][-1]) for name in stages) == pytest.approx(float(rows["all"][-1]), abs=0.5)


def test_a_profile_tells_stages_and_kinds_by_the_names_in_the_program(scripts: SimpleNamespace) -> None:
    program = """
      %ynn_fusion.3 = f32[8,4]{1,0} fusion(%a, %b), metadata={op_name="jit(walk)/local_energy/while/body/dot_general"}
      ROOT %sum.1 = f32[8]{0} reduce(%c), metadata={op_name="jit(update)/gram/reduce_sum"}
      %while.2 = (f32[8]{0}) while(%t), metadata={op_name="jit(update)/gram/while"}
      %copy.5 = f32[8]{0} copy(%x)
    """
    found = [(name, scripts.profile_step._stage(path), kind)
             for name, path, kind in scripts.profile_step._instructions(program)]
    assert found == [("ynn_fusion.3", "local_energy", "matrix products"), ("sum.1", "gram", "sums"),
                     ("copy.5", "rest", "moving")]


def test_a_study_of_settings_has_a_row_for_each_change_and_says_what_failed(
        scripts: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def measure(system: str, seed: int, words: list[str], folder: Path) -> dict[str, Any]:
        asked.append((system, seed, words))
        result = {"difference": 1e-3 * seed, "error": 2e-4, "variance": 0.01}
        is_bad = "sampler.sweeps=4" in words
        return {"result": None if is_bad else result, "failure": "exit code 1" if is_bad else "", "wall_seconds": 60.4}

    monkeypatch.setattr(scripts.settings, "measure", measure)
    words = ["He", "--seeds", "1", "3", "--steps", "20", "--changes", "preset", "sweeps-4", "--out", str(tmp_path)]
    assert scripts.settings.main(words) == 1
    assert [(system, seed) for system, seed, _ in asked] == [("He", 1), ("He", 1), ("He", 3), ("He", 3)]
    text = (tmp_path / "settings.md").read_text(encoding="utf-8")
    assert "| preset | He | +1.00 (0.20), +3.00 (0.20) | +2.00 | 0.0100, 0.0100 | 60, 60 |" in text
    assert "| sweeps-4 | He | failed, failed |" in text
