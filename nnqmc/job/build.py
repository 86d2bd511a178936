"""From a configuration to the objects that do the work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from nnqmc import catalog
from nnqmc.config import Config
from nnqmc.cost.forecast import Forecast, forecast, trace_step
from nnqmc.cost.machine import check_memory
from nnqmc.errors import InputError
from nnqmc.hamiltonian import molecular
from nnqmc.methods import Step, init_state
from nnqmc.observables import Observable, always_observed, by_name
from nnqmc.parallel import placed
from nnqmc.parallel.states import STATE_PLACES
from nnqmc.parallel.surroundings import usual_rules
from nnqmc.scf import MeanField
from nnqmc.system import from_dict
from nnqmc.typing import Key, LocalOperator, LogPsi, Objective, Sampler, System, TrainState
from nnqmc.wavefunctions import initializer

STAGES = ("pretrain", "burn_in", "train", "evaluate")
"""Users of random numbers, in an order that must never change: a key is a function of the seed and this position."""

CUSTOM = (*catalog.CHOSEN, "hamiltonian", "observables", "mean_field")
"""What can be given from Python as ready-made objects instead of settings."""


class Components(NamedTuple):
    """The objects of a run; `method` makes the training step of the others, `mean_field` is a start that was given."""

    system: System
    wavefunction: Any
    log_psi: LogPsi
    hamiltonian: LocalOperator
    sampler: Sampler
    optimizer: optax.GradientTransformationExtraArgs
    objective: Objective
    method: Callable[..., Step]
    observables: Mapping[str, Observable]
    mean_field: MeanField | None = None


def build(config: Config, custom: Mapping[str, Any] | None = None) -> Components:
    """Make the objects that a configuration describes.

    Args:
        config: complete.
        custom: ready-made objects by name (see `CUSTOM`); they replace what the configuration says.

    Raises:
        InputError: a setting is out of range, or the configuration needs an object that isn't given.
    """
    custom, system = dict(custom or {}), from_dict(config["system"])
    _check_custom(config, custom)

    def make(kind: str, **offered: Any) -> Any:
        return custom[kind] if kind in custom else catalog.bind(kind, config[kind], **offered)()

    wavefunction, chunk_size = make("wavefunction"), config["train"]["chunk_size"]
    hamiltonian = custom.get("hamiltonian") or molecular(system)
    extra = always_observed(system, custom.get("hamiltonian"), asked := catalog.observed(config["evaluate"]["observe"]))
    observables = {name: catalog.bind("observable", {"name": name} | asked.get(name, {}), system=system,
                                      hamiltonian=hamiltonian)() for name in dict.fromkeys((*asked, *extra))}
    observables |= custom.get("observables") or {}
    return Components(
        system, wavefunction, wavefunction.apply, hamiltonian, make("sampler"),
        make("optimizer", log_psi=wavefunction.apply, chunk_size=chunk_size), make("objective"),
        make("method", chunk_size=chunk_size), by_name(observables), custom.get("mean_field"))


def _check_custom(config: Config, custom: Mapping[str, Any]) -> None:
    """Refuse a run without the ready-made objects it was started with, or with others."""
    if missing := sorted(set(config.get("custom", {})) - set(custom) - {"mean_field"}):  # that is in the run's files
        words = ", ".join(f"{name} ({config['custom'][name]})" for name in missing)
        raise InputError(f"this run was started from Python with objects of its own: {words}. "
                         f"Continue it from Python with nnqmc.resume(directory, {missing[0]}=...)")
    if extra := sorted(set(custom) - set(config.get("custom", {})) - {"observables"}):
        raise InputError(f"this run was not started with an object of its own as {extra[0]}, so what it has learnt "
                         "does not belong to one: leave it out, or start a new run with nnqmc.solve")


def stage_key(config: Config, stage: str) -> Key:
    """Return the key of a stage, a function of the seed and the stage's name."""
    return jax.random.fold_in(jax.random.key(config["seed"]), STAGES.index(stage))


def state_template(config: Config, components: Components, n_walkers: int | None = None) -> TrainState:
    """Return the shapes, dtypes and devices of the training state, for `n_walkers` or those configured."""
    n_walkers = config["train"]["walkers"] if n_walkers is None else n_walkers

    def make(key: Key) -> TrainState:
        electrons = jnp.zeros((n_walkers, components.system.n_electrons, 3), jnp.float32)
        params = initializer(components.wavefunction, components.system)(key)
        return init_state(key, components.system, params, electrons, components.sampler, components.optimizer)

    form = jax.eval_shape(make, stage_key(config, "train"))
    return form if jax.sharding.get_mesh().empty else placed(form, STATE_PLACES)


def n_sweeps(sampler: Sampler) -> int:
    """Return the number of moves of every walker in one training step; 1 for a sampler without `sweeps`."""
    return int(getattr(sampler, "sweeps", 1))


def make_training_step(components: Components) -> Step:
    """Return the step that training repeats; evaluation repeats its first part."""
    return components.method(components.log_psi, components.system, components.hamiltonian, components.sampler,
                             components.optimizer, objective=components.objective)


@usual_rules()
def forecast_run(config: Config, components: Components) -> Forecast:
    """Return the expected time, memory and error bar of a run; its training step is traced for that."""
    traced = trace_step(make_training_step(components), state_template(config, components))
    return forecast(config, components.system, components.wavefunction, traced, n_sweeps=n_sweeps(components.sampler))


def refuse_too_large(config: Config, components: Components) -> None:
    """Refuse, before anything is computed, what can't fit into memory; see `check_memory`."""
    has_scores = "optimizer" not in config.get("custom", {}) and catalog.accepts(
        "optimizer", config["optimizer"]["name"], "log_psi")
    check_memory(state_template(config, components), components.log_psi, components.system, has_scores=has_scores)
