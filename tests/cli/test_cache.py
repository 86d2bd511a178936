"""The compilation cache holds programs that will be run: it must be nobody else's, and never in the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from nnqmc.cli.cache import cache_home, enable_compilation_cache, private_folder, processor_tag


def test_the_folder_is_private(tmp_path: Path) -> None:
    folder = private_folder(tmp_path / "nnqmc" / "x")
    assert folder is not None and folder.stat().st_mode & 0o777 == 0o700


def test_an_open_folder_is_closed(tmp_path: Path) -> None:
    (tmp_path / "nnqmc" / "x").mkdir(parents=True)
    for folder in (tmp_path / "nnqmc", tmp_path / "nnqmc" / "x"):
        folder.chmod(0o777)
    private_folder(tmp_path / "nnqmc" / "x")
    assert (tmp_path / "nnqmc" / "x").stat().st_mode & 0o777 == 0o700
    assert not (tmp_path / "nnqmc").stat().st_mode & 0o022


def test_a_link_to_somewhere_else_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "nnqmc").mkdir()
    (tmp_path / "nnqmc" / "x").symlink_to(tmp_path / "elsewhere")
    assert private_folder(tmp_path / "nnqmc" / "x") is None


@pytest.mark.parametrize("value", ["off", "0", "OFF"])
def test_it_can_be_switched_off(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("NNQMC_CACHE", value)
    assert enable_compilation_cache() is None


def test_one_that_cant_be_made_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.delenv("NNQMC_CACHE", raising=False)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert enable_compilation_cache() is None


def test_a_relative_cache_home_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    assert cache_home() == tmp_path / ".cache" / "nnqmc"
    assert len(processor_tag()) == 12
