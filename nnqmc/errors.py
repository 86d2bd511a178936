"""This module defines the exceptions that nnqmc raises on purpose.

Every message says what was given, what is allowed, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class NnqmcError(Exception):
    """All exceptions that nnqmc raises on purpose are derived from this class."""


class InputError(NnqmcError, ValueError):
    """A value from the caller, a file or the command line can't be used."""


class SCFError(NnqmcError, RuntimeError):
    """The mean-field calculation did not converge or can't be started."""


class CheckpointError(NnqmcError, RuntimeError):
    """A file of a run is missing, damaged, altered or belongs to something else."""


class SignatureError(CheckpointError):
    """A file of a run isn't signed with the key that was given, or is signed and no key was given."""


class NumericalError(NnqmcError, FloatingPointError):
    """Non-finite numbers persisted, so the calculation stopped rather than report a wrong number."""


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop (Ctrl-C, SIGTERM, SIGUSR1, SIGHUP) and has saved what it had.

    `except Exception` lets it pass, as it does Ctrl-C, so that no scan over systems goes on with the next one.

    Attributes:
        result: the `nnqmc.Result` of what there is so far, marked as cut; None before the first energy.
    """

    result: Any = None


class LostProcessError(NnqmcError, ConnectionError):
    """Another process of the same run has ended or can't be reached any more."""


def unknown(what: str, given: str, allowed: Iterable[str], origin: str = "") -> InputError:
    """Return the error for a name that doesn't exist, with the nearest that does and all of them.

    Args:
        what: the kind of name, such as "optimizer".
        given: the name that doesn't exist.
        allowed: all names that do.
        origin: where the name comes from, such as a file.
    """
    allowed = list(allowed)
    source = f" ({origin})" if origin else ""
    return InputError(f"unknown {what} {str(given)[:60]!r}{source}: {nearest(given, allowed)}Allowed: "
                      f"{', '.join(allowed) or 'none'}")


def nearest(given: str, allowed: Iterable[str]) -> str:
    """Return a question with the nearest of some names, such as "did you mean 'run'? "; "" if none is near."""
    near = difflib.get_close_matches(str(given), list(allowed), n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}? " if near else ""
