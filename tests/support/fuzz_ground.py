"""Where generated inputs are tried: a folder in which no command gets as far as computing, and a judge of what it did.

Commands run through the program's own `main`, with nothing replaced in it. They can't compute, because every place for
files is taken: `runs` and `blocked` are plain files, `occupied` is a folder with somebody's notes, and the finished run
in `done` is locked, as by another process, wherever a command could go on with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import NamedTuple

ACCEPTED, REFUSED = "accepted", "refused"
TRACEBACK, HANG, PARTIAL, UNCLEAR = "traceback", "hang", "partial file", "unclear message"
FAULTS = (TRACEBACK, HANG, PARTIAL, UNCLEAR)

DONE, OCCUPIED, BLOCKED = "done", "occupied", "blocked"
CHECKPOINT = "checkpoint-0000004.h5"
_STOPS = ("holds other files", "another process is at work", "is at step 4 already", f"{BLOCKED}", "runs/")
"""Words of the refusals that every good input meets in the end."""

_FIGURES = ("energy.png", "blocking.png")
_END_OF_PNG = b"IEND\xaeB`\x82"

TINY = ("--walkers", "32", "--steps", "4", "--target-error", "1", "--seed", "3", "--set", "wavefunction.layers=1",
        "wavefunction.hidden_one=8", "wavefunction.hidden_two=4", "wavefunction.n_determinants=1", "pretrain.steps=5",
        "train.burn_in=5", "train.checkpoint_steps=1", "evaluate.max_steps=20", "evaluate.burn_in=5")
"""The settings of the run in `done`, the same as in the tests of the command line."""


class Attempt(NamedTuple):
    """One input: its kind, the command's words, the files it needs by name, and whether `done` is locked meanwhile."""

    kind: str
    words: tuple[str, ...]
    files: Mapping[str, bytes] = MappingProxyType({})
    locked: bool = True


class Originals(dict[str, bytes]):
    """The files of the ground by name, and a folder in which generators may make others of them."""

    def __init__(self, files: Mapping[str, bytes], scratch: Path) -> None:
        super().__init__(files)
        self.scratch = scratch

    def __repr__(self) -> str:
        return "<the files of the ground>"


class Verdict(NamedTuple):
    """What came of it: one of the words above, the exit code, all that was printed, and the seconds it took."""

    outcome: str
    code: int | None
    text: str
    seconds: float


class _Late(BaseException):
    """The time limit; no handler of the program catches it."""


class Ground:
    """The folder, and the commands that are tried in it.

    Args:
        folder: new or empty.
        finished: the directory of a finished run of He with the settings `TINY`; it is copied.
        limit: seconds after which a command counts as hanging.
    """

    def __init__(self, folder: Path, finished: Path, limit: float = 60.0) -> None:
        self.folder, self.limit = folder, limit
        shutil.copytree(finished, folder / DONE)
        for name in ("checkpoint-0000002.h5", "checkpoint-0000003.h5", *_FIGURES):
            (folder / DONE / name).unlink(missing_ok=True)
        (folder / OCCUPIED).mkdir()
        (folder / OCCUPIED / "notes.txt").write_text("mine", encoding="utf-8")
        for name in ("runs", BLOCKED):
            (folder / name).write_text("mine", encoding="utf-8")
        files = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*"))
                 if path.is_file()}
        scratch = folder.with_name(folder.name + "-scratch")
        scratch.mkdir()
        self.originals = Originals(files, scratch)

    def judge(self, attempt: Attempt) -> Verdict:
        """Try one input and put everything back."""
        from nnqmc.cli import main

        for name, content in attempt.files.items():
            (self.folder / name).write_bytes(content)
        before = self._state()
        out = io.StringIO()
        started, code, outcome = time.monotonic(), None, ""
        try:
            with self._inside(attempt.locked), contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                with _limit(self.limit):
                    code = main(list(attempt.words))
        except _Late:
            outcome = HANG
        except SystemExit as leave:
            code = int(leave.code or 0)
        except Exception as error:
            outcome, code = TRACEBACK, None
            out.write(f"{type(error).__name__}: {error}")
        seconds, text = time.monotonic() - started, out.getvalue()
        outcome = outcome or _outcome(code, text) or (PARTIAL if self._leftovers(before) else "")
        self._restore(attempt)
        return Verdict(outcome or (ACCEPTED if code == 0 or _is_stop(text) else REFUSED), code, text, seconds)

    @contextlib.contextmanager
    def _inside(self, locked: bool) -> Iterator[None]:
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            with open(self.folder / DONE / ".lock", "rb+") as file:
                if locked:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield
        finally:
            os.chdir(before)

    def _state(self) -> dict[str, tuple[int, int, int]]:
        found = {}
        for path in self.folder.rglob("*"):
            status = path.lstat()
            is_folder = path.is_dir() and not path.is_symlink()
            found[str(path.relative_to(self.folder))] = (
                (0, 0, 0) if is_folder else (status.st_ino, status.st_size, status.st_mtime_ns))
        return found

    def _leftovers(self, before: Mapping[str, tuple]) -> list[str]:
        """Files that are new, changed or gone, other than complete figures of the run."""
        after = self._state()
        changed = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
        figures = {f"{DONE}/{name}" for name in _FIGURES}
        return [name for name in changed if name not in figures or name not in after
                or not (self.folder / name).read_bytes().endswith(_END_OF_PNG)]

    def _restore(self, attempt: Attempt) -> None:
        known = {*self.originals, DONE, OCCUPIED}
        for path in sorted(self.folder.rglob("*"), reverse=True):
            if str(path.relative_to(self.folder)) not in known:
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        for name, content in self.originals.items():
            path = self.folder / name
            if name in attempt.files or not path.is_file() or path.stat().st_size != len(content):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)


def _outcome(code: int | None, text: str) -> str:
    """What is wrong with an exit code and what was printed; "" if nothing is."""
    if "Traceback" in text or "should not have happened" in text:
        return TRACEBACK
    if not all(character.isprintable() or character in "\n\t" for character in text):
        return UNCLEAR
    if code in (1, 2):
        message = text.rpartition("nnqmc: error: ")[2] if "nnqmc: error: " in text else ""
        return "" if len(message.strip()) > 20 else UNCLEAR
    return "" if code == 0 else UNCLEAR


def _is_stop(text: str) -> bool:
    last = text.rpartition("nnqmc: error: ")[2]
    return any(words in last for words in _STOPS)


@contextlib.contextmanager
def _limit(seconds: float) -> Iterator[None]:
    def late(number: int, frame: FrameType | None) -> None:
        raise _Late

    before: Callable | int | None = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def make_finished(folder: Path) -> Path:
    """Compute the run that `Ground` copies, unless it is there.

    Raises:
        SystemExit: it failed.
    """
    from nnqmc.cli import main

    if not (folder / "result.json").exists() and main(["run", "He", "--out", str(folder), "--quiet", *TINY]):
        sys.exit(f"the run in {folder} failed")
    return folder
