"""This module defines the exceptions that nnqmc raises on purpose.

Every message says what was given, what is allowed, and what to do.
"""


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


class Interrupted(NnqmcError):
    """The run was asked to stop (Ctrl-C, SIGTERM, SIGUSR1, SIGHUP) and has saved what it had."""


class LostProcessError(NnqmcError, ConnectionError):
    """Another process of the same run has ended or can't be reached any more."""
