"""`nnqmc doctor` names what is wrong, and only what is."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import pytest

from nnqmc.cli import doctor
from nnqmc.cli.doctor import TESTED, Finding, hydrogen_atom

ROOT = Path(__file__).resolve().parents[2]
RIGHT = (("energy", -0.50001, -0.5, 1e-4), ("variance", 1e-7, 0.0, 1e-4))


@dataclass(frozen=True)
class Device:
    """A GPU as JAX shows it."""

    id: int = 0
    platform: str = "gpu"
    device_kind: str = "Big GPU"

    def memory_stats(self) -> dict:
        return {"bytes_limit": 2**36}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Without the calculation."""
    monkeypatch.setattr(doctor, "hydrogen_atom", lambda: RIGHT)
    return monkeypatch


def only(findings: Iterator[Finding], name: str) -> Finding:
    return next(finding for finding in findings if finding.name == name)


def test_a_good_installation_is_all_right(
    quick: pytest.MonkeyPatch, nnqmc_says: Callable, tmp_path: Path
) -> None:
    quick.delenv("NNQMC_CACHE", raising=False)
    quick.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    quick.setenv("XDG_CACHE_HOME", str(tmp_path))
    outcome = nnqmc_says("doctor")
    assert outcome.code == 0 and outcome.out.endswith("all right\n") and outcome.err == ""
    more = ("hdf5", "devices", "float32", "processors", "memory", "cache", "files", "H")
    for name in (*TESTED, *more):
        assert any(line.split()[1] == name for line in outcome.out.splitlines()[1:-2] if line[:1].strip()), name


def test_what_is_wrong_is_named_and_what_breaks_is_a_finding(quick: pytest.MonkeyPatch, nnqmc_says: Callable) -> None:
    def old() -> Iterator[Finding]:
        yield Finding("jax", "0.4", "too old")

    def breaks() -> Iterator[Finding]:
        raise ZeroDivisionError("no devices\nat all")

    quick.setattr(doctor, "versions", old)
    quick.setattr(doctor, "devices", breaks)
    quick.setattr(doctor, "hydrogen_atom", lambda: (("energy", -0.49, -0.5, 1e-4), *RIGHT[1:]))
    outcome = nnqmc_says("doctor")
    assert outcome.code == 1 and outcome.out.endswith("WRONG: jax, breaks, H energy\n")
    assert "ZeroDivisionError: no devices at all" in outcome.out
    assert "-0.490000 (exact: -0.5)" in outcome.out


@pytest.mark.parametrize("found", [-0.501, -0.499, float("nan"), float("inf")])
def test_a_wrong_hydrogen_atom_is_noticed(found: float, quick: pytest.MonkeyPatch) -> None:
    assert not any(finding.wrong for finding in doctor.hydrogen())
    quick.setattr(doctor, "hydrogen_atom", lambda: (("energy", found, -0.5, 1e-4), *RIGHT[1:]))
    assert [finding.name for finding in doctor.hydrogen() if finding.wrong] == ["H energy"]


@pytest.mark.slow
@pytest.mark.ci
def test_the_hydrogen_atom_comes_out_exact() -> None:
    checks = {name: (found, exact, tolerance) for name, found, exact, tolerance in hydrogen_atom()}
    assert set(checks) == {"Hartree-Fock", "energy", "variance", "attraction"}
    for found, exact, tolerance in checks.values():
        assert abs(found - exact) <= tolerance < 0.1
    assert checks["energy"][0] == pytest.approx(-0.5, abs=5e-5) and checks["variance"][0] < 1e-5


def test_versions_are_compared_as_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    for found, is_wrong, has_note in (("0.9.2", True, False), ("0.10", False, False), ("0.12.7.dev3", False, False),
                                      ("0.13", False, True), ("1.0", False, True)):
        monkeypatch.setattr(doctor, "version", lambda name, found=found: found)
        finding = only(doctor.versions(), "jax")
        assert (bool(finding.wrong), bool(finding.note)) == (is_wrong, has_note), finding


def test_a_missing_package_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "TESTED", {"no-such-package": ("1", "2")})
    assert "pip install" in only(doctor.versions(), "no-such-package").wrong


def test_the_oldest_versions_are_those_that_are_required() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = dict(text.split(">=") for text in project["dependencies"] if ">=" in text)
    required["python"] = project["requires-python"].removeprefix(">=")
    assert {name: TESTED[name][0] for name in required} == required


def test_reduced_precision_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "(float32)" in only(doctor.precision(), "float32").text
    matmul = jnp.matmul

    def tf32(a: object, b: object, precision: str | None = None) -> object:
        return matmul(jnp.asarray(a, "bfloat16"), jnp.asarray(b, "bfloat16"), preferred_element_type="float32")

    def default_only(a: object, b: object, precision: str | None = None) -> object:
        return tf32(a, b) if precision is None else matmul(a, b, precision=precision)

    monkeypatch.setattr(jnp, "matmul", default_only)
    finding = only(doctor.precision(), "float32")
    assert "(TF32 or less)" in finding.text and not finding.wrong
    monkeypatch.setattr(jnp, "matmul", tf32)
    assert "'highest' isn't float32" in only(doctor.precision(), "float32").wrong


def test_a_gpu_shows_its_memory_and_an_idle_one_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/nvidia-smi")
    assert "nnqmc[cuda]" in only(doctor.devices(), "devices").note
    monkeypatch.setattr("jax.local_devices", lambda **chosen: [Device()])
    assert only(doctor.devices(), "devices").text == "cpu: Big GPU (64 GiB)"


def test_a_cache_that_cant_be_written_is_wrong_unless_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.delenv("NNQMC_CACHE", raising=False)
    assert "NNQMC_CACHE=off" in only(doctor.folders(), "cache").wrong
    monkeypatch.setenv("NNQMC_CACHE", "off")
    assert only(doctor.folders(), "cache").text == "switched off"


def test_the_cache_that_jax_was_told_to_use_is_the_one_that_is_tried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "mine"))
    assert only(doctor.folders(), "cache") == Finding("cache", f"{tmp_path / 'mine'}")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "file"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert "or unset it" in only(doctor.folders(), "cache").wrong
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "gs://bucket/cache")
    assert "not tried" in only(doctor.folders(), "cache").text


def test_files_that_come_back_different_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnqmc.io.load_arrays", lambda path: ({"numbers": 0}, {}))
    assert "report this" in only(doctor.folders(), "files").wrong


def test_the_report_names_no_home(quick: pytest.MonkeyPatch, nnqmc_says: Callable, tmp_path: Path) -> None:
    quick.setenv("HOME", str(tmp_path))
    quick.setenv("JAX_TEST_DIRECTORY", f"{tmp_path}/x")
    quick.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    quick.setenv("SECRET_TOKEN", "secret")
    text = nnqmc_says("doctor").out
    assert "JAX_TEST_DIRECTORY=~/x" in text and "secret" not in text and str(tmp_path) not in text
