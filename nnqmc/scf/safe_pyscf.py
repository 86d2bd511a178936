"""Keep strangers' files from PySCF, which evaluates text as Python and executes a file of settings."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from nnqmc.errors import InputError

_BASIS_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 +*(),_@-]{0,79}")
_SETTINGS = ".pyscf_conf.py"
_VARIABLE = "PYSCF_CONFIG_FILE"
_EMPTY = Path(__file__).parents[1] / "py.typed"


def check_basis_name(basis: str) -> None:
    """Refuse what is not a plain name of a basis set, since PySCF would evaluate its text as basis functions.

    Raises:
        InputError: it is no name, or also that of a file in the working directory, which PySCF would read instead.
    """
    if not isinstance(basis, str) or not _BASIS_NAME.fullmatch(basis):
        raise InputError(f"basis {basis!r:.80} is not the name of a basis set: allowed are names such as 'cc-pvdz', of "
                         "letters, digits and + * ( ) , - _ @, neither files nor their contents")
    if os.path.isfile(basis.partition("@")[0]):
        raise InputError(f"a file called {basis.partition('@')[0]!r} lies in the working directory, and PySCF would "
                         "read it instead of the basis set of that name: work in another directory, or rename it")


def import_pyscf() -> None:
    """Import PySCF without executing `.pyscf_conf.py` of the working directory, which may be a stranger's.

    Settings of PYSCF_CONFIG_FILE and of the home directory count as always. Where PySCF is imported already, nothing
    can be done, and nothing is.
    """
    if "pyscf" not in sys.modules:
        with _without_local_settings():
            import pyscf.gto  # noqa: F401


@contextlib.contextmanager
def _without_local_settings() -> Iterator[None]:
    """Hide `.pyscf_conf.py` of the working directory from PySCF, with a warning, unless it is the user's own."""
    given, here = os.environ.get(_VARIABLE), Path(_SETTINGS).absolute()
    own = Path(os.environ.get("HOME", os.devnull)) / _SETTINGS
    if (given is not None and os.path.isfile(given)) or not here.is_file() or (own.is_file() and own.samefile(here)):
        yield
        return
    logging.getLogger("nnqmc").warning(
        "%s isn't executed: settings of PySCF are taken from the home directory or %s only", here, _VARIABLE)
    os.environ[_VARIABLE] = str(own if own.is_file() else _EMPTY)
    try:
        yield
    finally:
        os.environ.pop(_VARIABLE)
        os.environ.update({} if given is None else {_VARIABLE: given})
