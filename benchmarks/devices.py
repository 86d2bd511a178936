"""Measure the time of a training step on 1, 2 and 4 simulated devices, and in two processes.

    python benchmarks/devices.py --out benchmarks/results/devices
    python benchmarks/devices.py --case H-tiny-8 --rounds 1 --steps 2

Simulated devices share the cores of the processor, so the result shows the cost of distributing a step and not the
gain: a ratio of 1 is ideal as long as one device keeps all cores busy. With --one-thread every device computes with one
thread, and as many devices as there are cores should divide the time by their number. The results are written to
devices.json and devices.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import jax
from energies import machine
from speed_cases import parse_case, prepare
from speed_clock import median_and_quartiles, ratios

from nnqmc.errors import InputError
from nnqmc.job.compilation import Programs
from nnqmc.methods import init_state, make_step
from nnqmc.parallel import over_devices
from nnqmc.parallel.processes import together
from nnqmc.parallel.states import spread

COUNTS = (1, 2, 4)
PROCESSES = 2
_ONE_THREAD = "--xla_cpu_multi_thread_eigen=false"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure in rounds, each way once in every round, and write the table."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.worker is not None:
        print(json.dumps(_worker(arguments)))
        return 0
    try:
        setting = prepare(parse_case(arguments.case))
        if setting.case.walkers % max(COUNTS):
            raise ValueError(f"{arguments.case}: the walkers have to be a multiple of {max(COUNTS)}")
    except (ValueError, InputError) as error:
        parser.error(str(error))
    readings: dict[str, list[float]] = {}
    for _ in range(arguments.rounds):
        for name, seconds in (_devices(arguments) | _processes(arguments)).items():
            readings.setdefault(name, []).append(seconds)
    _write(arguments, readings)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="devices.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", default="LiH-small-512", metavar="CASE", help="SYSTEM-NETWORK-WALKERS, as speed.py")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="readings of each way (default: 5)")
    parser.add_argument("--steps", type=int, default=20, metavar="N", help="steps in one reading (default: 20)")
    parser.add_argument("--one-thread", action="store_true", help="one thread for every device")
    parser.add_argument("--out", default="benchmarks/results/devices", metavar="DIR", help="directory of the results")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser


def _worker(arguments: argparse.Namespace) -> dict[str, float]:
    """Print the median seconds of a step for each number of devices, or on all devices of all processes."""
    found = {}
    with contextlib.ExitStack() as stack:
        if arguments.worker:
            port, index = arguments.worker.split(",")
            stack.enter_context(together(f"127.0.0.1:{port}", PROCESSES, int(index)))
        for count in (None,) if arguments.worker else COUNTS:
            with over_devices(count):
                found[str(count)] = _seconds_per_step(arguments)
    return found


def _seconds_per_step(arguments: argparse.Namespace) -> float:
    setting = prepare(parse_case(arguments.case))
    parts = setting.parts
    state = spread(init_state(jax.random.key(1), parts.system, setting.params, setting.electrons, parts.sampler,
                              parts.optimizer))
    step = make_step(parts.log_psi, parts.system, parts.hamiltonian, parts.sampler, parts.optimizer,
                     chunk_size=setting.chunk_size)
    step = Programs(step).training_step(state)
    seconds = []
    for _ in range(arguments.steps + 1):
        started = time.perf_counter()
        state, stats = step(state)
        jax.device_get(stats)
        seconds.append(time.perf_counter() - started)
    return median_and_quartiles(seconds[1:])[0]


def _devices(arguments: argparse.Namespace) -> dict[str, float]:
    worker = _start(arguments, "", max(COUNTS))
    found = _answer(worker)
    return {f"{count} device{'s' * (count > 1)}": found[str(count)] for count in COUNTS}


def _processes(arguments: argparse.Namespace) -> dict[str, float]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    workers = [_start(arguments, f"{port},{index}", 1) for index in range(PROCESSES)]
    return {f"{PROCESSES} processes": max([_answer(worker)["None"] for worker in workers])}


def _start(arguments: argparse.Namespace, worker: str, n_devices: int) -> subprocess.Popen[str]:
    """Start this script as another process; programs compiled in one round are kept for the next one."""
    cache = Path(arguments.out).resolve() / "runs" / "compiled"
    flags = os.environ.get("XLA_FLAGS", "") + (f" {_ONE_THREAD}" if arguments.one_thread else "")
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": str(n_devices), "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags,
                                "JAX_COMPILATION_CACHE_DIR": str(cache)}
    words = [sys.executable, __file__, "--case", arguments.case, "--steps", str(arguments.steps), "--worker", worker]
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True)


def _answer(worker: subprocess.Popen[str]) -> dict[str, float]:
    out, _ = worker.communicate()
    if worker.returncode:
        raise SystemExit(f"devices.py: a worker ended with exit code {worker.returncode}; see its message above")
    return json.loads(out.splitlines()[-1])


def _write(arguments: argparse.Namespace, readings: dict[str, list[float]]) -> None:
    first = readings["1 device"]
    rows = ["| over | ms per step | ratio to 1 device (quartiles) |", "|---|---|---|"]
    for name, seconds in readings.items():
        middle, low, high = ratios(seconds, first)
        usual = 1e3 * median_and_quartiles(seconds)[0]
        rows.append(f"| {name} | {usual:.1f} | {middle:.2f} ({low:.2f} to {high:.2f}) |")
    threads = ", one thread for each device" if arguments.one_thread else ""
    head = f"{arguments.case}{threads}: {arguments.rounds} rounds of {arguments.steps} steps."
    text = "\n".join([head, "", *rows, ""])
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "devices.md").write_text(text, encoding="utf-8")
    content = {"case": arguments.case, "one_thread": arguments.one_thread, "machine": machine(), "seconds": readings}
    (out / "devices.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    sys.exit(main())
