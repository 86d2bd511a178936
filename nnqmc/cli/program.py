"""`main`: one command, its exit code, and one clear message where something is wrong."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from typing import NoReturn

from nnqmc.cli.parser import parse
from nnqmc.errors import InputError, Interrupted, NnqmcError
from nnqmc.messages import TolerantStream, say, tolerant_stdout

DONE, FAILED, BAD_INPUT, STOPPED = 0, 1, 2, 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command of `nnqmc`.

    Args:
        argv: the words after `nnqmc`; those of the process by default.

    Returns:
        The exit code: 0 done, 1 a failed run, 2 bad input, 3 stopped early with a checkpoint (a signal, or --max-time).
    """
    started = time.monotonic()
    with tolerant_stdout(), contextlib.redirect_stderr(TolerantStream(sys.stderr)):
        try:
            arguments = parse(argv)
            arguments.started = started
            with _WarningsInWords(logging.WARNING), _quick_interrupt():
                from nnqmc.cli.commands import COMMANDS

                return COMMANDS[arguments.command](arguments)
        except (Exception, KeyboardInterrupt) as error:
            return explain(error)


def console() -> NoReturn:
    """Run `main` for the command `nnqmc`, and end without waiting for a compiler at work or for a lost process.

    Python would end with a code of its own where something can't be written to a terminal that is gone.
    """
    while os.open(os.devnull, os.O_RDWR) <= 2:  # or a file of the run would get the number of a stream that is closed
        pass
    gc.set_threshold(100_000, 20, 20)  # tracing makes millions of objects that live on
    code = main()
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
    except (OSError, ValueError):
        os._exit(code)
    compilation = sys.modules.get("nnqmc.job.compilation")
    if (compilation is not None and compilation.is_compiling()) or (code and "--distributed" in sys.argv):
        os._exit(code)
    sys.exit(code)


def explain(error: BaseException) -> int:
    """Say what an exception means, with its traceback if it is a mistake of this program, and return the exit code."""
    text, code = str(error), FAILED
    if isinstance(error, Interrupted):
        code = STOPPED
    elif isinstance(error, KeyboardInterrupt):
        code, text = STOPPED, "stopped at once; checkpoints written so far are good"
    elif isinstance(error, NnqmcError):
        code = BAD_INPUT if isinstance(error, InputError) else FAILED
    elif isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text or "Out of memory" in text:
        text = ("out of memory: use fewer --walkers, a smaller train.chunk_size or a smaller wavefunction. "
                f"({text[:200]})")
    elif isinstance(error, OSError):
        text = "" if isinstance(error, BrokenPipeError) else f"the operating system refused: {text}"
    else:
        traceback.print_exception(error)
        text = ("this should not have happened; please report it with the lines above. Checkpoints written so far are "
                "good: `nnqmc resume DIR` goes on from them")
    if text:  # else another process says it, or there is nobody to read it
        say(f"nnqmc: {'' if code == STOPPED else 'error: '}{text}")
    return code


class _WarningsInWords(logging.Handler):
    """Shows what the library logs, from warnings upwards, as plain lines on stderr while a block runs."""

    def __enter__(self) -> None:
        logging.getLogger("nnqmc").addHandler(self)

    def __exit__(self, *error: object) -> None:
        logging.getLogger("nnqmc").removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Show one message."""
        say(f"nnqmc: {record.getMessage()}")


@contextlib.contextmanager
def _quick_interrupt() -> Iterator[None]:
    """Outside of a run, and for the second time within one, let Ctrl-C end the process at once, compiling or not."""
    if threading.current_thread() is not threading.main_thread() or sys.flags.interactive:
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # not where somebody asked for another behaviour, such as nohup
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
