"""The options that say where and how a command computes: --no-cache, --devices, --distributed and what goes with it."""

from __future__ import annotations

import contextlib
import functools
from argparse import Namespace
from collections.abc import Callable

from nnqmc.cli.cache import enable_compilation_cache
from nnqmc.errors import InputError
from nnqmc.messages import TolerantStream


def on_devices(command: Callable[[Namespace], int]) -> Callable[[Namespace], int]:
    """Return the command as one that runs on the devices and with the processes that its options name.

    Only the first process prints anything; errors are told by those who catch them.
    """

    @functools.wraps(command)
    def run(arguments: Namespace) -> int:
        _check(arguments)
        enable_compilation_cache(not arguments.no_cache)
        with contextlib.ExitStack() as stack:
            if arguments.distributed:
                from nnqmc.parallel.processes import is_first, together

                stack.enter_context(together(arguments.coordinator, arguments.processes, arguments.process))
                if not is_first():
                    stack.enter_context(contextlib.redirect_stdout(TolerantStream(None)))
                    stack.enter_context(contextlib.redirect_stderr(TolerantStream(None)))
            if arguments.devices is not None:
                from nnqmc.parallel import over_devices

                stack.enter_context(over_devices(arguments.devices))
            return command(arguments)

    return run


def _check(arguments: Namespace) -> None:
    """Raise InputError unless the options that name the processes are complete, possible and with --distributed."""
    names = ("coordinator", "processes", "process")
    given = {f"--{name}": value for name in names if (value := getattr(arguments, name)) is not None}
    if given and not (arguments.distributed and len(given) == len(names) and ":" in arguments.coordinator
                      and 0 <= arguments.process < arguments.processes):
        words = " ".join(f"{name} {value}" for name, value in given.items())
        raise InputError(f"{words}{'' if arguments.distributed else ' without --distributed'}: give --distributed with "
                         "all of --coordinator HOST:PORT, --processes N and --process I, where I is from 0 to N - 1, "
                         "or --distributed alone where the batch system knows the processes")
