"""What one of two processes finds about the other, as JSON; started twice with PORT and INDEX, and maybe a fault.

`die` ends the second process; `mistake` is an unforeseen exception of the first while all wait for what it computes,
and `mistake elsewhere` one while they are about to.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from types import SimpleNamespace

import jax
import numpy as np

from nnqmc.errors import InputError, Interrupted, NnqmcError
from nnqmc.job.evaluation import rows_of_first
from nnqmc.job.stopping import Stop
from nnqmc.methods import Measurement, evaluate
from nnqmc.parallel import processes
from nnqmc.parallel.processes import check_same, from_first, highest, together
from nnqmc.typing import System

ARRAYS = {"a": np.linspace(0.0, 1.0, 7), "b": np.arange(6, dtype=np.int64).reshape(2, 3) + 2**40, "none": np.zeros(0)}


def failing() -> None:
    """What the first process can't do."""
    raise InputError("said by the first")


def caught(function: object, *arguments: object) -> str:
    """The error that comes of it."""
    try:
        function(*arguments)
    except (NnqmcError, Interrupted) as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


def mistaken() -> None:
    """What nobody thought of."""
    raise KeyError("not foreseen")


def in_pieces() -> bool:
    """Whether arrays arrive whole that are longer than what travels at once."""
    before, processes._PIECE = processes._PIECE, 16
    arrays = from_first(lambda: ARRAYS)
    processes._PIECE = before
    return all(np.array_equal(arrays[name], array) for name, array in ARRAYS.items())


def steps_of_an_evaluation(noise: float) -> int:
    """After how many steps an evaluation ends whose energies have this noise, in this process."""

    def walk(key: object, index: object, params: object, chains: object) -> tuple:
        return chains, None, {}

    def measure_step(key: object, index: object, *walked: object) -> dict[str, np.ndarray]:
        row = {"energy": noise * np.random.default_rng(int(index)).normal(size=32), "variance": np.ones(())}
        faults = ("acceptance", "stuck", "excluded", "reseeded", "bad_proposals")
        return row | {name: np.zeros(()) for name in faults}

    chains = SimpleNamespace(walkers=SimpleNamespace(electrons=np.zeros((32, 1, 3))))
    system = System(np.zeros((1, 3)), np.ones(1), 1, 0, ("H",))
    measurement = Measurement(walk, measure_step, lambda chains: chains, system, {}, rows_of_first)
    measured = evaluate(measurement, None, chains, key=jax.random.key(0), target_error=0.011, max_steps=500, burn_in=0)
    return len(measured.series["energy"])


def main(port: str, index: str, *words: str) -> int:
    """Print what is found."""
    try:
        with together(f"127.0.0.1:{port}", 2, int(index), patience=10):
            if words == ("die",) and index == "1":
                os._exit(9)
            own = jax.process_index()
            if words == ("mistake", "elsewhere") and own == 0:
                mistaken()
            elif words[:1] == ("mistake",):
                from_first(mistaken)
            value, arrays = from_first(lambda: ({"own": own}, ARRAYS))
            stop = Stop(heard="SIGUSR1" if own == 1 else "")
            wishes = stop.agree(own == 0, False)
            print(json.dumps({
                "value": value, "exact": all(np.array_equal(arrays[n], a) and arrays[n].dtype == a.dtype
                                             for n, a in ARRAYS.items()),
                "pieces": in_pieces(), "steps": steps_of_an_evaluation(1.0 + own),
                "plain": from_first(lambda: own), "highest": highest(own, -own), "error": caught(from_first, failing),
                "same": [caught(check_same, "settings", "x"), caught(check_same, "settings", str(own))],
                "wishes": wishes, "signal": stop.signal}))
    except (NnqmcError, Interrupted) as error:
        print(f"{type(error).__name__}: {error}")
        sys.stdout.flush()
        os._exit(1)
    except KeyError:  # ends as the program does
        traceback.print_exc()
        os._exit(1)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
