"""The options that say where a command computes: --devices, and --distributed with what belongs to it."""

from __future__ import annotations

import contextlib
import functools
import os
from argparse import Namespace
from collections.abc import Callable, Iterator

from nnqmc.errors import InputError
from nnqmc.parallel.threads import choose_threads

Command = Callable[[Namespace], int]


def placed(command: Command) -> Command:
    """A command that runs on the devices and with the processes that its options name; the first process talks."""

    @functools.wraps(command)
    def run(arguments: Namespace) -> int:
        _check(arguments)
        choose_threads()
        with contextlib.ExitStack() as stack:
            if arguments.distributed:
                from nnqmc.parallel.processes import is_first, together

                stack.enter_context(together(arguments.coordinator, arguments.processes, arguments.process))
                stack.enter_context(contextlib.nullcontext() if is_first() else _silence())
            if arguments.devices is not None:
                from nnqmc.parallel import over_devices

                stack.enter_context(over_devices(arguments.devices))
            return command(arguments)

    return run


def _check(arguments: Namespace) -> None:
    """Refuse what doesn't go together.

    Raises:
        InputError: the processes are named in part, or without --distributed.
    """
    given = {name: getattr(arguments, name) for name in ("coordinator", "processes", "process")}
    named = [f"--{name}" for name, value in given.items() if value is not None]
    if named and not arguments.distributed:
        raise InputError(f"{named[0]} goes with --distributed: give that, too, or leave {named[0]} out")
    if named and len(named) < len(given):
        raise InputError(f"{' and '.join(named)} without the rest: give all of --coordinator HOST:PORT, --processes N "
                         "and --process I, or none where the batch system knows them")
    if named and not (":" in given["coordinator"] and 0 <= given["process"] < given["processes"]):
        raise InputError(f"--coordinator {given['coordinator']} --processes {given['processes']} --process "
                         f"{given['process']}: give HOST:PORT, and a process from 0 to below the number of processes")


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Nothing on stdout and stderr; errors are told by those who catch them."""
    with open(os.devnull, "w") as nowhere:
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            yield
