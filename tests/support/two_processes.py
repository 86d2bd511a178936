"""What one of two processes finds about the other, as JSON; started twice with PORT, INDEX and, maybe, 'die'."""

from __future__ import annotations

import json
import os
import sys

import jax
import numpy as np

from nnqmc.errors import InputError, NnqmcError
from nnqmc.runs.processes import arrays_from_first, check_same, from_first, highest, together
from nnqmc.runs.stopping import Stop

ARRAYS = {"a": np.linspace(0.0, 1.0, 7), "b": np.arange(6, dtype=np.int64).reshape(2, 3) + 2**40, "none": np.zeros(0)}


def failing() -> None:
    """What the first process can't do."""
    raise InputError("said by the first")


def caught(function: object, *arguments: object) -> str:
    """The error that comes of it."""
    try:
        function(*arguments)
    except NnqmcError as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


def main(port: str, index: str, *words: str) -> int:
    """Print what is found."""
    try:
        with together(f"127.0.0.1:{port}", 2, int(index), patience=10):
            if words and index == "1":
                os._exit(9)
            own = jax.process_index()
            value, arrays = arrays_from_first(lambda: ({"own": own}, ARRAYS))
            stop = Stop(heard="SIGUSR1" if own == 1 else "")
            wishes = stop.agree(own == 0, False)
            print(json.dumps({
                "value": value, "exact": all(np.array_equal(arrays[n], a) and arrays[n].dtype == a.dtype
                                             for n, a in ARRAYS.items()),
                "plain": from_first(lambda: own), "highest": highest(own, -own), "error": caught(from_first, failing),
                "same": [caught(check_same, "settings", "x"), caught(check_same, "settings", str(own))],
                "wishes": wishes, "signal": stop.signal}))
    except NnqmcError as error:
        print(f"{type(error).__name__}: {error}")
        sys.stdout.flush()
        os._exit(1)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
