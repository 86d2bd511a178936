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

from nnqmc.cli.parser import parse
from nnqmc.errors import InputError, Interrupted, NnqmcError

DONE, FAILED, BAD_INPUT, STOPPED = 0, 1, 2, 3

_GARBAGE = 100_000
"""New objects after which Python looks for garbage: tracing makes millions that live on, all of them looked at."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command of `nnqmc`.

    Args:
        argv: the words after `nnqmc`; those of the process by default.

    Returns:
        The exit code: 0 done, 1 a failed run, 2 bad input, 3 stopped early with a checkpoint (a signal, or --max-time).
    """
    started = time.monotonic()
    try:
        arguments = parse(argv)
        arguments.started = started
        with _plain_warnings(), _quick_interrupt():
            from nnqmc.cli.commands import COMMANDS

            return COMMANDS[arguments.command](arguments)
    except Interrupted as stop:
        return _say(str(stop), STOPPED, kind="")
    except InputError as error:
        return _say(str(error), BAD_INPUT)
    except NnqmcError as error:
        return _say(str(error), FAILED)
    except KeyboardInterrupt:
        return _say("stopped at once; checkpoints written so far are good", STOPPED, kind="")
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")
        return FAILED
    except Exception as error:
        return _unexpected(error)


def console() -> NoReturn:
    """The command `nnqmc`: `main`, and an end that waits for no compiler in the background and no lost process.

    Python would end with a code of its own where something can't be written to a terminal that is gone.
    """
    gc.set_threshold(_GARBAGE, 20, 20)
    code = main()
    if not _flushed() or _is_compiling() or (code and "--distributed" in sys.argv):
        os._exit(code)
    sys.exit(code)


def _is_compiling() -> bool:
    """Whether a run, if there was one, has left a compiler at work."""
    if "nnqmc.job.compilation" not in sys.modules:
        return False
    from nnqmc.job.compilation import is_compiling

    return is_compiling()


def _flushed() -> bool:
    """Whether everything that was printed could be written."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        return False
    return True


def _say(message: str, code: int, kind: str = "error: ") -> int:
    if not message:  # another process says it
        return code
    with contextlib.suppress(OSError):  # a terminal that is gone changes nothing about how the command ended
        print(f"nnqmc: {kind}{_printable(message)}", file=sys.stderr, flush=True)
    return code


def _printable(text: str) -> str:
    """Names of files and what stands in them may be a stranger's: nothing that a terminal would obey."""
    return "".join(character if character.isprintable() or character in "\t\n" else "?" for character in text)


def _unexpected(error: Exception) -> int:
    """Out of memory in words; anything else with its traceback, since it is our mistake."""
    text = f"{error}"
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text or "Out of memory" in text:
        return _say("out of memory: use fewer --walkers, a smaller train.chunk_size or a smaller wavefunction. "
                    f"({text[:200]})", FAILED)
    if isinstance(error, OSError):
        return _say(f"the operating system refused: {text}", FAILED)
    import traceback

    traceback.print_exception(error)
    return _say("this should not have happened; please report it with the lines above. Checkpoints written so far are "
                "good: `nnqmc resume DIR` goes on from them", FAILED)


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show what the library logs, from warnings upwards, as plain lines on stderr."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            with contextlib.suppress(OSError):
                print(f"nnqmc: {_printable(record.getMessage())}", file=sys.stderr, flush=True)

    logger, handler = logging.getLogger("nnqmc"), Handler(logging.WARNING)
    propagate = logger.propagate
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


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
