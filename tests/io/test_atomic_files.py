"""At any moment a name holds the old file or the new one, whatever interrupts the writing."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest

from nnqmc.errors import CheckpointError, InputError
from nnqmc.io import atomic_write, load_arrays, save_tree
from nnqmc.io.files import remove_stale_temporaries


def test_the_new_content_appears_only_at_the_end(tmp_path):
    path = tmp_path / "a.png"
    path.write_text("old")
    with atomic_write(path) as temporary:
        assert temporary.parent == tmp_path and temporary.suffix == ".png"
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError, MemoryError])
def test_an_exception_leaves_the_old_file_and_no_other(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("function", ["fsync", "replace", "open"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT])
def test_a_disk_that_refuses_is_a_clear_error_and_the_old_tree_stays(tmp_path, monkeypatch, function, code):
    path = tmp_path / "a.h5"
    save_tree(path, {"x": np.ones(3)}, {})
    real = getattr(os, function)

    def refuse(*args, **kwargs):
        if function == "open" and not args[1] & os.O_CREAT:
            return real(*args, **kwargs)
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, function, refuse)
        with pytest.raises(CheckpointError, match=f"(?s)a.h5.*{os.strerror(code)}.*unchanged.*free space"):
            save_tree(path, {"x": np.zeros(3)}, {})
    assert load_arrays(path)[0]["x"].tolist() == [1, 1, 1]
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_a_clear_error(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    with pytest.raises(CheckpointError, match="No space left"), atomic_write(tmp_path / "a") as temporary:
        temporary.unlink()
        temporary.symlink_to("/dev/full")
        with open(temporary, "wb") as file:
            file.write(b"x" * 100)
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_no_files_are_refused(tmp_path):
    for path in ("/", "", "a\0b"):
        with pytest.raises(InputError, match="isn't the name of a file"), atomic_write(path):
            pass
    (tmp_path / "directory").mkdir()
    for path in (tmp_path / "directory", tmp_path / "missing" / "a"):
        with pytest.raises(CheckpointError, match="can't be written"), atomic_write(path):
            pass


def test_a_killed_writer_leaves_the_old_file_and_a_temporary_that_is_found_again(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    script = (
        "import os, sys; from nnqmc.io.files import atomic_write\n"
        "with atomic_write(sys.argv[1]) as t: t.write_text('half'); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert killed.returncode == -9
    assert path.read_text() == "old"
    (temporary,) = set(tmp_path.iterdir()) - {path}
    remove_stale_temporaries(tmp_path)
    assert temporary.exists()
    os.utime(temporary, (0, 0))
    remove_stale_temporaries(tmp_path)
    assert list(tmp_path.iterdir()) == [path]
    remove_stale_temporaries(tmp_path / "missing")


def test_other_hidden_files_are_never_stale(tmp_path):
    names = {".a.tmp", ".gitignore", "a.tmp-1-00000000", ".a.tmp-x-00000000.h5"}
    for name in names:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    remove_stale_temporaries(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == names
