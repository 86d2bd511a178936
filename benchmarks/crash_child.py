"""Commands of nnqmc in processes of their own, in each of which one fault is injected on purpose.

The processes are forked from this one, which has imported all libraries but hasn't started the threads of JAX, so that
the slow imports are done only once. Faults are set up in the child before its command begins; nnqmc knows nothing of
them.
"""

from __future__ import annotations

import io
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

Fault = Callable[[], Callable[[], str] | None]
"""A function that sets up a fault in the child; it may return a function that gives a line of text at the end."""

_FILE_EVENTS = ("open", "os.rename", "os.remove", "os.mkdir")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Outcome(NamedTuple):
    """How a command ended: its exit code, which is negative if a signal killed it, and everything it printed."""

    code: int
    text: str

    @property
    def is_clear_error(self) -> bool:
        """Return whether the command ended in one message, as the exit codes 1 and 2 promise."""
        return self.code in (1, 2) and self.text.count("nnqmc: error: ") == 1 and "Traceback" not in self.text

    @property
    def message(self) -> str:
        """Return the last line of the output."""
        return (self.text.strip().splitlines() or [""])[-1]


class Child:
    """A running command.

    Args:
        words: the words that follow `nnqmc` on the command line.
        fault: the fault to inject.
    """

    def __init__(self, words: Sequence[str], fault: Fault | None = None) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self._pipe, write = os.pipe()
        self._bytes = b""
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._pipe)
            _become(words, fault, write)
        os.close(write)

    @property
    def text(self) -> str:
        """Return what the command has printed so far."""
        return self._bytes.decode(errors="replace")

    def _read(self, seconds: float) -> bool:
        """Read the output for at most the given time; return False once the command has ended."""
        if not select.select([self._pipe], [], [], max(seconds, 0.0))[0]:
            return True
        found = os.read(self._pipe, 65536)
        self._bytes += found
        return bool(found)

    def wait_for(self, words: str, seconds: float = 300.0) -> bool:
        """Wait until the command has printed the given words; return False if it ended before."""
        deadline = time.monotonic() + seconds
        while words not in self.text:
            if not self._read(deadline - time.monotonic()):
                return False
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {words!r} within {seconds:.0f} s in:\n{self.text}")
        return True

    def watch(self, seconds: float) -> bool:
        """Let the command run for the given time; return False if it ended before."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0.0:
            if not self._read(left):
                return False
        return True

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the command."""
        os.kill(self.pid, number)

    def end(self, seconds: float = 600.0) -> Outcome:
        """Wait for the end of the command; one that takes too long is killed and gets the exit code 124."""
        is_over = not self.watch(seconds)
        if not is_over:
            self.send(signal.SIGKILL)
        os.close(self._pipe)
        status = os.waitpid(self.pid, 0)[1]
        return Outcome(os.waitstatus_to_exitcode(status) if is_over else 124, self.text)


def call(words: Sequence[str], fault: Fault | None = None) -> Outcome:
    """Run a command to its end."""
    return Child(words, fault).end()


def import_everything() -> None:
    """Import everything that a command needs, so that the children have it already."""
    import pyscf.__all__
    import pyscf.scf.stability
    from matplotlib.figure import Figure


    pyscf.lib.num_threads(1)
    Figure().savefig(io.BytesIO())  # loads the fonts


def _become(words: Sequence[str], fault: Fault | None, write: int) -> NoReturn:
    """Run the command in the child."""
    code = 70
    try:
        os.dup2(write, 1)
        os.dup2(write, 2)
        report = fault() if fault is not None else None
        from nnqmc.cli import main

        code = main(list(words))
        if report is not None:
            print(report(), file=sys.stderr)
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def killed_at(directory: os.PathLike[str], number: int) -> Fault:
    """Return a fault that kills the process just before it opens, renames or removes the n-th file in a directory.

    With the number 0 nothing happens, and the last line of the output says `file events: N`.
    """
    return _at_file_events(directory, lambda count: count == number, lambda: os.kill(os.getpid(), signal.SIGKILL))


def refused_at(directory: os.PathLike[str], first: int, last: int, code: int) -> Fault:
    """Return a fault that lets the operating system refuse to open, rename or remove files in a directory.

    The fault lasts from the first to the last of these events that are given.
    """

    def refuse() -> None:
        raise OSError(code, os.strerror(code))

    return _at_file_events(directory, lambda count: first <= count <= last, refuse)


def _at_file_events(directory: os.PathLike[str], is_time: Callable[[int], bool], act: Callable[[], None]) -> Fault:
    def setup() -> Callable[[], str]:
        place, count = os.path.join(os.fspath(directory), ""), 0

        def watch(event: str, args: tuple) -> None:
            nonlocal count
            name = args[0] if event in _FILE_EVENTS else None
            if not isinstance(name, str | os.PathLike) or not os.fspath(name).startswith(place):
                return
            if event == "open" and not (args[2] or 0) & _WRITING:
                return
            count += 1
            if is_time(count):
                act()

        sys.addaudithook(watch)
        return lambda: f"file events: {count}"

    return setup


def file_size_limit(size: int, is_deadly: bool) -> Fault:
    """Return a fault that limits the size of every file.

    A write beyond the limit is cut off there, and fails or ends the process at once.
    """

    def setup() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL if is_deadly else signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    return setup


def clock_jump(seconds: float, after: int) -> Fault:
    """Return a fault that lets both clocks jump after they have been read a given number of times."""

    def setup() -> None:
        reads = 0

        def jumping(clock: Callable[[], float]) -> Callable[[], float]:
            def read() -> float:
                nonlocal reads
                reads += 1
                return clock() + (seconds if reads > after else 0.0)

            return read

        time.time, time.monotonic = jumping(time.time), jumping(time.monotonic)

    return setup


def other_cache(folder: os.PathLike[str]) -> Fault:
    """Return a fault that takes compiled programs from another folder."""

    def setup() -> None:
        import jax

        jax.config.update("jax_compilation_cache_dir", os.fspath(folder))

    return setup
