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
from collections.abc import Iterator, Sequence
from typing import NoReturn

from nnqmc.cli.outcome import explain
from nnqmc.cli.parser import parse
from nnqmc.messages import TolerantStream, say, tolerant_stdout


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the words after `nnqmc` say, by default those of the process, and return its exit code.

    The code is 0: done, 1: a failed run, 2: bad input, 3: stopped early with a checkpoint (a signal, or --max-time).
    """
    started = time.monotonic()
    with tolerant_stdout(), contextlib.redirect_stderr(TolerantStream(sys.stderr)):
        try:
            arguments = parse(argv)
            arguments.started = started
            with _in_words_and_at_once():
                from nnqmc.cli.commands import COMMANDS

                return COMMANDS[arguments.command](arguments)
        except (Exception, KeyboardInterrupt) as error:
            return explain(error)


def console() -> NoReturn:
    """Run `main` for the command `nnqmc`, and end without waiting for a compiler at work or for a lost process.

    Python would wait for them, and end with a code of its own where a terminal is gone.
    """
    while os.open(os.devnull, os.O_RDWR) <= 2:  # or a file of the run would get the number of a stream that is closed
        pass
    gc.set_threshold(100_000, 20, 20)  # tracing makes millions of objects that live on
    code = main()
    with contextlib.suppress(OSError, ValueError):
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
    os._exit(code)


@contextlib.contextmanager
def _in_words_and_at_once() -> Iterator[None]:
    """Show the library's warnings as plain lines on stderr, and let Ctrl-C end the process at once, compiling or not.

    A run has a handler of its own for the first Ctrl-C, and one that somebody else has set is left alone.
    """
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: say(f"nnqmc: {record.getMessage()}")
    logging.getLogger("nnqmc").addHandler(handler)
    is_usual = (threading.current_thread() is threading.main_thread() and not sys.flags.interactive
                and signal.getsignal(signal.SIGINT) is signal.default_int_handler)
    if is_usual:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        logging.getLogger("nnqmc").removeHandler(handler)
        if is_usual:
            signal.signal(signal.SIGINT, signal.default_int_handler)
