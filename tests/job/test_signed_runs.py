"""With a key, a file that somebody else wrote is never believed, even with all digests computed anew."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import nnqmc
from nnqmc.cli import main
from nnqmc.errors import InputError, SignatureError
from nnqmc.io import load_arrays, read_key
from nnqmc.io.container import SEAL_BYTES, seal
from nnqmc.io.signing import sign
from nnqmc.job import reevaluate, report

FILES = ("config.toml", "scf.h5", "train.h5", "evaluate.h5", "checkpoint-0000004.h5", "result.json")


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The key of the run and another one."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("right", "wrong"):
        (folder / name).write_text(f"{name} and long enough\n")
        (folder / name).chmod(0o600)
    return folder / "right", folder / "wrong"


@pytest.fixture(scope="session")
def signed(tmp_path_factory: pytest.TempPathFactory, tiny: dict, keys: tuple[Path, Path]) -> Path:
    """A signed run; don't write to it."""
    out = tmp_path_factory.mktemp("signed") / "he"
    nnqmc.solve("He", out=out, seed=3, key_file=keys[0], **tiny)
    return out


@pytest.fixture
def copy(signed: Path, tmp_path: Path) -> Path:
    shutil.copytree(signed, tmp_path / "run")
    return tmp_path / "run"


def unsign(path: Path) -> None:
    """As the file would be without a key."""
    if path.suffix == ".h5":
        body = path.read_bytes()[SEAL_BYTES:]
        path.write_bytes(seal(body) + body)
    elif path.suffix == ".toml":
        path.write_text("".join(line for line in path.read_text().splitlines(True) if "hmac" not in line))
    else:
        plain = json.loads(path.read_text())
        del plain["hmac_sha256"]
        path.write_text(json.dumps(plain))


def alter(path: Path) -> None:
    """A change that keeps the old signature, with every digest computed anew."""
    if path.suffix == ".h5":
        raw = bytearray(path.read_bytes())
        raw[-1] ^= 1
        second = bytes(raw[:SEAL_BYTES]).split(b"\n")[1]
        start = seal(bytes(raw[SEAL_BYTES:])).rstrip(b"\0") + second + b"\n"
        path.write_bytes(start.ljust(SEAL_BYTES, b"\0") + raw[SEAL_BYTES:])
    else:
        old, new = ("max_steps = 20", "max_steps = 21") if path.suffix == ".toml" else ('"steps": 4', '"steps": 3')
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))


def read_all(path: Path, key: Path | None) -> None:
    """What the commands read: everything."""
    report(path, key_file=key)
    (path / "result.json").unlink()
    (path / "evaluate.h5").unlink()
    if list(path.glob("checkpoint-*")):
        directory = nnqmc.job.RunDirectory.open(path, read_key(key))
        directory.load_mean_field()
    nnqmc.resume(path, key_file=key, progress=False)


def test_a_signed_run_gives_the_same_numbers(signed: Path, finished: Path, keys: tuple[Path, Path]) -> None:
    one = report(signed, key_file=keys[0])[1]
    two = report(finished)[1]
    assert one.energy == two.energy
    for name in FILES:
        assert b"hmac" in (signed / name).read_bytes() and b"hmac" not in (finished / name).read_bytes()


def test_the_right_key_resumes_and_evaluates(copy: Path, keys: tuple[Path, Path]) -> None:
    assert nnqmc.resume(copy, key_file=keys[0], progress=False).steps == 4
    assert reevaluate(copy, key_file=keys[0], max_steps=10, progress=False).steps == 4
    assert report(copy, key_file=keys[0])[1].steps == 4


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(("spoil", "words"), [(unsign, "isn't signed, and a key was given"),
                                              (alter, "another key, or altered since")])
def test_every_file_has_to_be_signed(
    name: str, spoil: Callable, words: str, copy: Path, keys: tuple[Path, Path]
) -> None:
    spoil(copy / name)
    with pytest.raises(SignatureError, match=rf"{name}.* {words}"):
        read_all(copy, keys[0])


@pytest.mark.parametrize("command", [["report"], ["resume"], ["evaluate"]], ids=str)
def test_the_commands_say_what_is_wrong_with_the_key(
    command: list[str], copy: Path, finished: Path, keys: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for directory, options, words in (
        (copy, [], "is signed: give the key"),
        (copy, ["--key-file", str(keys[1])], "was signed with another key"),
        (finished, ["--key-file", str(keys[0])], "isn't signed, and a key was given"),
    ):
        assert main([*command, str(directory), *options]) == 1
        error = capsys.readouterr().err
        assert words in error and error.count("nnqmc: error: ") == 1 and "Traceback" not in error


def test_a_signed_configuration_is_repeated_only_with_its_key(
    copy: Path, keys: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every run here ends at a directory that is taken; what matters is whether the configuration was believed."""
    taken = tmp_path / "taken"
    taken.write_text("mine")
    config = copy / "config.toml"

    def said(key: Path) -> str:
        main(["run", "--config", str(config), "--out", str(taken), "--key-file", str(key)])
        return capsys.readouterr().err

    assert "Not a directory" in said(keys[0])
    assert "was signed with another key" in said(keys[1])
    good = config.read_text()
    alter(config)
    assert "was signed with another key, or altered since" in said(keys[0])
    config.write_text(good)
    unsign(config)
    assert "Not a directory" in said(keys[0])


def test_a_key_that_is_no_key_is_bad_input(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "short").write_text("secret")
    (tmp_path / "long").write_bytes(bytes(65537))
    for name, words in (("missing", "can't be read: No such file"), ("empty", "has 0 bytes"), ("short", "has 6 bytes"),
                        ("long", "at most 65536 are read"), ("run", "can't be"), ("\0", "can't be read")):
        assert main(["resume", str(copy), "--key-file", str(tmp_path / name)]) == 2
        error = capsys.readouterr().err
        assert words in error and "chmod 600" in error, error
    assert main(["run", "He", "--out", str(tmp_path / "new"), "--key-file", str(tmp_path / "empty")]) == 2
    assert not (tmp_path / "new").exists()


def test_a_key_that_others_can_read_is_used_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "key").write_text("0123456789abcdef\n")
    (tmp_path / "key").chmod(0o644)
    assert read_key(tmp_path / "key") == b"0123456789abcdef"
    assert "can be read by others" in caplog.text
    caplog.clear()
    (tmp_path / "key").chmod(0o600)
    read_key(tmp_path / "key")
    assert caplog.text == ""


def test_a_key_without_files_to_sign_is_refused(tiny: dict, keys: tuple[Path, Path]) -> None:
    with pytest.raises(InputError, match="give both or neither"):
        nnqmc.solve("He", key_file=keys[0], **tiny)


def test_the_signature_is_the_published_one() -> None:
    """RFC 4231, test case 2, and what a file's signature is taken of."""
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert sign(b"Jefe", b"what do ya want for nothing?", "%s").endswith(f"?{expected}".encode())


def test_a_signed_file_names_the_line_that_is_signed(signed: Path, keys: tuple[Path, Path]) -> None:
    text = (signed / "train.h5").read_bytes()[:SEAL_BYTES].rstrip(b"\0")
    first, second = text.splitlines(keepends=True)
    assert second.startswith(b"# hmac-sha256 ") and text == sign(read_key(keys[0]), first)
    with pytest.raises(SignatureError):
        load_arrays(signed / "train.h5")
