"""No input ends in a traceback, a hang or a partial file: properties over generated input of every kind.

A handful of each kind here, always the same; `NNQMC_TEST_INPUTS=random` searches on, and benchmarks/fuzz.py runs
campaigns of any length with the same generators and the same judge.
"""

from __future__ import annotations

import time
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz_ground import ACCEPTED, DONE, FAULTS, HANG, OCCUPIED, PARTIAL, REFUSED, TRACEBACK, UNCLEAR, Attempt, Ground
from fuzz_inputs import KINDS

EXAMPLES = MappingProxyType({"molecules": 8, "charges and spins": 10, "xyz files": 25, "TOML files": 10,
                             "command lines": 25, "HDF5 files": 12, "result files": 15})
"""Inputs of each kind; a file of a run costs up to a second, a molecule a hundredth of that."""


@pytest.fixture(scope="module")
def ground(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(tmp_path_factory.mktemp("ground"), finished)


@pytest.mark.filterwarnings("ignore:Do not use the `random` module")  # the enforcement of types does
@pytest.mark.parametrize("kind", KINDS)
def test_every_input_is_accepted_or_refused_in_words(kind: str, ground: Ground) -> None:
    @settings(max_examples=EXAMPLES[kind], suppress_health_check=list(HealthCheck))
    @given(st.data())
    def check(data: st.DataObject) -> None:
        attempt = data.draw(KINDS[kind](ground.originals))
        verdict = ground.judge(attempt)
        assert verdict.outcome in (ACCEPTED, REFUSED), (verdict.outcome, verdict.text)

    check()


# --- the judge sees faults --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "outcome", "said"), [
    (("info", "LiH"), ACCEPTED, "LiH"),
    (("info", "LiHH"), REFUSED, "unknown name"),
    (("info",), REFUSED, "required"),
    (("--help",), ACCEPTED, "usage"),
    (("run", "LiH", "--out", OCCUPIED), ACCEPTED, "holds other files"),
    (("run", "LiH"), ACCEPTED, "can't be read"),
    (("resume", DONE), ACCEPTED, "another process is at work"),
    (("evaluate", DONE), ACCEPTED, "another process is at work"),
])
def test_what_is_good_is_accepted_and_nothing_is_computed(
    words: tuple[str, ...], outcome: str, said: str, ground: Ground
) -> None:
    verdict = ground.judge(Attempt("", words))
    assert verdict.outcome == outcome and said in verdict.text


def fail(arguments: object) -> int:
    raise KeyError("oops")


def hang(arguments: object) -> int:
    time.sleep(100.0)


def leave(arguments: object) -> int:
    Path(OCCUPIED, ".half.tmp").write_text("ha")
    return 0


def overwrite(arguments: object) -> int:
    Path(DONE, "train.h5").write_bytes(b"")
    return 0


def draw_half(arguments: object) -> int:
    Path(DONE, "energy.png").write_bytes(b"\x89PNG half")
    return 0


def ring(arguments: object) -> int:
    print("\x1b[2J")
    return 0


@pytest.mark.parametrize(("command", "outcome"), [
    (fail, TRACEBACK), (hang, HANG), (leave, PARTIAL), (overwrite, PARTIAL), (draw_half, PARTIAL), (ring, UNCLEAR),
    (lambda arguments: 1, UNCLEAR), (lambda arguments: 7, UNCLEAR),
])
def test_every_fault_is_seen_and_everything_is_put_back(
    command: object, outcome: str, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnqmc.cli.commands.COMMANDS", {"list": command})
    monkeypatch.setattr(ground, "limit", 0.5)
    assert outcome in FAULTS
    assert ground.judge(Attempt("", ("list",))).outcome == outcome
    found = {str(path.relative_to(ground.folder)): path.read_bytes() for path in ground.folder.rglob("*")
             if path.is_file()}
    assert found == ground.originals


def test_files_of_an_attempt_are_there_and_then_gone(ground: Ground) -> None:
    verdict = ground.judge(Attempt("", ("info", "given.xyz"), {"given.xyz": b"1\n\nHe 0 0 0\n"}))
    assert verdict.outcome == ACCEPTED and "He" in verdict.text
    assert not (ground.folder / "given.xyz").exists()
