"""From a configuration to the objects that do the work."""

from __future__ import annotations

import contextlib
import inspect
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from nnqmc.config import Config, config_system
from nnqmc.config.schema import optimizers
from nnqmc.errors import InputError
from nnqmc.hamiltonian import molecular
from nnqmc.job.devices import spread_template
from nnqmc.methods import Step, init_state, make_step
from nnqmc.objectives import energy
from nnqmc.optimizers.scores import make_scores
from nnqmc.samplers import Metropolis
from nnqmc.typing import Key, LocalOperator, LogPsi, Sampler, System, TrainState
from nnqmc.wavefunctions import FermiNet, initializer

STAGES = ("pretrain", "burn_in", "train", "evaluate")
"""Users of random numbers, in an order that must never change: a key is a function of the seed and this position."""

PARTS = ("wavefunction", "hamiltonian", "sampler", "optimizer", "observables")
"""What can be given from Python as ready-made objects instead of settings."""


class Parts(NamedTuple):
    """The objects of a run."""

    system: System
    wavefunction: Any
    log_psi: LogPsi
    hamiltonian: LocalOperator
    sampler: Sampler
    optimizer: optax.GradientTransformationExtraArgs
    observables: Mapping[str, LocalOperator]


def build(config: Config, custom: Mapping[str, Any] | None = None) -> Parts:
    """Make the objects that a configuration describes.

    Args:
        config: complete.
        custom: ready-made objects by name (see `PARTS`); they replace what the configuration says.

    Raises:
        InputError: a setting is out of range, or the configuration needs an object that isn't given.
    """
    custom = dict(custom or {})
    if missing := sorted(set(config.get("custom", {})) - set(custom)):
        words = ", ".join(f"{name} ({config['custom'][name]})" for name in missing)
        raise InputError(f"this run was started from Python with objects of its own: {words}. "
                         f"Continue it from Python with nnqmc.resume(directory, {missing[0]}=...)")
    if extra := sorted(set(custom) - set(config.get("custom", {})) - {"observables"}):
        raise InputError(f"this run was not started with an object of its own as {extra[0]}, so what it has learnt "
                         "does not belong to one: leave it out, or start a new run with nnqmc.solve")
    wavefunction = custom.get("wavefunction") or FermiNet(**config["wavefunction"])
    sampler = custom.get("sampler") or Metropolis(**config["sampler"])
    optimizer = custom.get("optimizer") or _optimizer(config, wavefunction.apply)
    return Parts(config_system(config["system"]), wavefunction, wavefunction.apply,
                 custom.get("hamiltonian") or molecular(), sampler, optimizer, dict(custom.get("observables") or {}))


def _optimizer(config: Config, log_psi: LogPsi) -> optax.GradientTransformationExtraArgs:
    settings = dict(config["optimizer"])
    make = optimizers()[settings.pop("name")]
    accepted = inspect.signature(make).parameters
    if "chunk_size" in accepted:
        settings["chunk_size"] = config["train"]["chunk_size"]
    return make(log_psi, **settings) if "log_psi" in accepted else make(**settings)


def stage_key(config: Config, stage: str) -> Key:
    """The key of a stage, a function of the seed and the stage's name."""
    return jax.random.fold_in(jax.random.key(config["seed"]), STAGES.index(stage))


def state_template(config: Config, parts: Parts) -> TrainState:
    """The form of the training state with the places of its arrays, without any number computed."""
    n_walkers, n_electrons = config["train"]["walkers"], parts.system.n_electrons

    def make(key: Key) -> TrainState:
        electrons = jnp.zeros((n_walkers, n_electrons, 3), jnp.float32)
        params = initializer(parts.wavefunction, parts.system)(key)
        return init_state(key, parts.system, params, electrons, parts.sampler, parts.optimizer)

    return spread_template(jax.eval_shape(make, stage_key(config, "train")))


def make_training_step(config: Config, parts: Parts) -> Step:
    """The step that training repeats; evaluation repeats its first part."""
    settings = {key: config["train"][key] for key in ("average_window", "chunk_size")}
    return make_step(parts.log_psi, parts.system, parts.hamiltonian, parts.sampler, parts.optimizer,
                     objective=energy(config["train"]["clip"]), **settings)


def check_memory(config: Config, parts: Parts, available: int | None = None) -> None:
    """Refuse, before anything is computed, what can't fit into memory.

    The estimate counts what surely has to be there at once: the state, and for natural gradients the scores of all
    walkers and the matrix between walkers.

    Args:
        config: complete.
        parts: of this configuration.
        available: bytes; by default what the device has.

    Raises:
        InputError: too large; the message says by how much.
    """
    template = state_template(config, parts)
    leaves = jax.tree.leaves(template.params)
    n_params, n_walkers = sum(math.prod(leaf.shape) for leaf in leaves), config["train"]["walkers"]
    needed = 6 * 4 * n_params + 4 * 3 * parts.system.n_electrons * n_walkers * 4
    available = available or _device_memory()
    if config["optimizer"]["name"] != "adam" and "optimizer" not in config.get("custom", {}):
        needed += 2 * 8 * n_walkers**2
        if needed + 4 * n_walkers * n_params > available:  # else there is room for them in any form
            scores = jax.eval_shape(make_scores(parts.log_psi, parts.system), template.params,
                                    template.sampler.walkers.electrons)
            needed += sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(scores))
    if needed > available:
        raise InputError(f"{n_walkers} walkers and {n_params} parameters need at least {_gib(needed)} of memory, and "
                         f"there are {_gib(available)}: use fewer --walkers or a smaller wavefunction")


def _device_memory() -> int:
    """Bytes of the device, or of what this process may use of the host's memory."""
    device = jax.local_devices()[0]
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and stats.get("bytes_limit"):
        return int(stats["bytes_limit"])
    found = []
    with contextlib.suppress(AttributeError, ValueError, OSError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with contextlib.suppress(ValueError, OSError):
        found.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))  # the limit of a container
    return min(found, default=2**62)


def _gib(size: int) -> str:
    return f"{size / 2**30:.3g} GiB"
