"""The compilation cache holds programs that will be run: it must be nobody else's, and never in the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

from nnqmc.cli.cache import cache_folder, enable_compilation_cache


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of nnqmc among the caches of a user, not yet made."""
    for name in ("JAX_COMPILATION_CACHE_DIR", "NNQMC_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "nnqmc"


def is_private(folder: Path) -> bool:
    return folder.stat().st_mode & 0o777 == 0o700


def test_the_folder_is_private_and_of_one_compiler(home: Path) -> None:
    folder = cache_folder()
    assert folder.parent == home and folder.name.startswith("jaxlib-")
    assert is_private(folder) and is_private(home)


def test_an_open_folder_is_closed(home: Path) -> None:
    for folder in (home, cache_folder()):
        folder.chmod(0o777)
    assert is_private(cache_folder()) and is_private(home)


@pytest.mark.parametrize("level", ["nnqmc", "jaxlib"])
def test_a_link_to_somewhere_else_is_not_followed(level: str, home: Path, tmp_path: Path) -> None:
    folder = home if level == "nnqmc" else cache_folder()
    if folder.exists():
        folder.rmdir()
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError, match="isn't a folder of your own"):
        cache_folder()


def test_a_folder_of_somebody_else_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = cache_folder()
    monkeypatch.setattr("os.getuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(PermissionError, match="isn't a folder of your own"):
        cache_folder()


@pytest.fixture
def chosen(home: Path) -> Iterator[str | None]:
    """Undo what is switched on, and show JAX's folder before the test."""
    before = {name: getattr(jax.config, name)
              for name in ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")}
    yield before["jax_compilation_cache_dir"]
    for name, value in before.items():
        jax.config.update(name, value)


def test_jax_is_told_of_the_folder(home: Path, chosen: str | None) -> None:
    enable_compilation_cache()
    assert jax.config.jax_compilation_cache_dir == str(cache_folder())


@pytest.mark.parametrize(("name", "value"), [("NNQMC_CACHE", "off"), ("NNQMC_CACHE", "0"), ("NNQMC_CACHE", "OFF"),
                                             ("JAX_COMPILATION_CACHE_DIR", "elsewhere")])
def test_it_can_be_switched_off(
    name: str, value: str, home: Path, chosen: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    enable_compilation_cache(is_wanted=False)
    monkeypatch.setenv(name, value)
    enable_compilation_cache()
    assert jax.config.jax_compilation_cache_dir == chosen and not home.exists()


def test_one_that_cant_be_made_does_no_harm(home: Path, chosen: str | None) -> None:
    home.write_text("mine")
    enable_compilation_cache()
    assert jax.config.jax_compilation_cache_dir == chosen and home.read_text() == "mine"


def test_a_relative_cache_home_is_ignored(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    assert cache_folder().parent == tmp_path / ".cache" / "nnqmc"
