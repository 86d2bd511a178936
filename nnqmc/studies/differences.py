"""The difference of two energies whose errors cancel, where two runs are near: correlated sampling."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nnqmc.errors import InputError
from nnqmc.job.build import build
from nnqmc.job.start import LONG_BURN_IN
from nnqmc.methods.vmc import make_log_density
from nnqmc.observables import warped
from nnqmc.parallel import over_walkers, walker_keys
from nnqmc.parallel.surroundings import usual_rules
from nnqmc.ranges import Between, check
from nnqmc.statistics import signed_millihartree
from nnqmc.trained import Trained, load
from nnqmc.typing import Electrons, Key, Params, SamplerState, System

_ENOUGH_OVERLAP = 0.2
"""The least share of the samples that the weights may leave, for the error of a weighted mean to be believed."""

_BLOCK = 20
"""Steps in one compiled call."""

Places = tuple[Float[Array, "n_atoms 3"], Float[Array, "n_atoms 3"]]
"""Where the nuclei of both runs are, in bohr."""


class EnergyDifference(NamedTuple):
    """The energy of one run less that of another.

    Attributes:
        value: in hartree.
        error: its standard error in hartree.
        method: "correlated" or "independent".
        overlap: the share of the samples that is left by their weights, (sum w)^2 / (n sum w^2).
        independent: the difference of the two results and its error, that of independent runs.
        correlated: the difference by correlated sampling and its error.
        caveats: the reasons, in sentences, not to trust one of the two energies.
    """

    value: float
    error: float
    method: str
    overlap: float
    independent: tuple[float, float]
    correlated: tuple[float, float]
    caveats: tuple[str, ...] = ()

    def __str__(self) -> str:
        how = {"correlated": "correlated sampling: the same walkers for both, reweighted",
               "independent": "independent runs: correlated sampling would not do better here"}[self.method]
        line = (f"{signed_millihartree(self.value, self.error)} mHa ({how}; overlap {self.overlap:.2f}; independent "
                f"{signed_millihartree(*self.independent)}, correlated {signed_millihartree(*self.correlated)})")
        return "\n".join([line, *(f"  not to be trusted: {sentence}" for sentence in self.caveats)])


@usual_rules()
def difference(one: str | os.PathLike[str], other: str | os.PathLike[str], *,
               steps: Annotated[int, Between(10, 10**7)] = 400, seed: Annotated[int, Between(0, 2**32 - 1)] = 0,
               key_file: str | os.PathLike[str] | None = None) -> EnergyDifference:
    """Return the energy of the run `other` less that of the run `one`, by whichever way has the smaller error bar.

    Walkers follow |psi_1|^2 and for the second energy move with the nuclei by space warp, r -> r'. With J the Jacobian
    of the warp and w = J |psi_2(r')|^2 / |psi_1(r)|^2,

        E_2 - E_1 = <w E_L2(r')> / <w> - <E_L1(r)>,

    and whatever both energies of a walker have in common cancels. The error is found by the jackknife over walkers,
    each with all its steps. Where the weights leave too few samples, or where the parts are as good, the difference is
    that of the two results. Source: C. Filippi, C. J. Umrigar, Phys. Rev. B 61, R16291 (2000),
    doi:10.1103/PhysRevB.61.R16291.

    Args:
        one: directory of a complete run.
        other: directory of another one, of the same atoms and electrons; its nuclei may be elsewhere.
        steps: of the sampler.
        seed: decides the walk.
        key_file: file with the key that both runs are signed with.

    Raises:
        InputError: there is no such run, it isn't evaluated, or the two are of different molecules or states.
        CheckpointError: a file of a run can't be used.
    """
    check(difference, steps=steps, seed=seed)
    first, second = load(one, key_file=key_file), load(other, key_file=key_file)
    _check_comparable(first, second)
    found = [run.result.energy for run in (first, second)]
    independent = found[1].value - found[0].value, math.hypot(found[0].error, found[1].error)
    with jax.set_mesh(None):
        sums = _walk(first, second, steps, jax.random.key(seed))
    correlated, overlap = _jackknife(sums)
    is_better = overlap >= _ENOUGH_OVERLAP and correlated[1] < independent[1]
    chosen = correlated if is_better else independent
    caveats = tuple(f"{run.path}: {sentence}" for run in (first, second) for sentence in run.result.caveats)
    return EnergyDifference(*chosen, "correlated" if is_better else "independent", overlap, independent, correlated,
                            caveats)


def _check_comparable(first: Trained, second: Trained) -> None:
    """Raise InputError unless both runs are evaluated and of the same atoms and electrons."""
    for run in (first, second):
        if run.result is None:
            raise InputError(f"{run.path} isn't evaluated yet: `nnqmc resume {run.path}` does it")
    kinds = [(run.system.symbols, run.system.n_up, run.system.n_down) for run in (first, second)]
    if kinds[0] != kinds[1]:
        raise InputError(f"{first.path} is of {first.system.name} and {second.path} of {second.system.name}: walkers "
                         "of one can be those of the other only for the same atoms in the same order and the same "
                         "electrons")


def log_jacobian(electrons: Electrons, before: Float[Any, "n_atoms 3"], after: Float[Any, "n_atoms 3"]) -> Array:
    """Return the logarithm of the Jacobian of the space warp of one walker, the sum over its electrons."""
    one = jax.jacfwd(lambda electron: warped(electron, before, after))
    return jnp.sum(jnp.linalg.slogdet(jax.vmap(one)(electrons))[1])


class _Programs(NamedTuple):
    """Holds the compiled programs of a difference, which take positions of the nuclei and so serve a whole curve."""

    settle: Callable[..., SamplerState]
    block: Callable[..., tuple[SamplerState, Array]]


@cache
def _programs(settings: str, wavefunction: str) -> _Programs:
    """Return the programs for runs with the configuration of the first one, and the wavefunction of the second."""
    config = json.loads(settings)
    parts = [build(each) for each in (config, config | {"wavefunction": json.loads(wavefunction)})]
    sampler = parts[0].sampler

    def at(atoms: Array) -> System:
        return replace(parts[0].system, atoms=atoms)

    def measured(params: tuple[Params, Params], places: Places, walker: tuple[Electrons, Key]) -> Array:
        """Return E_L1, E_L2 and log w of one walker."""
        electrons, key = walker
        energies, logs = [], []
        for own, each, atoms, place in zip(parts, params, places, (electrons, warped(electrons, *places)), strict=True):
            psi = partial(own.log_psi, each)
            energies.append(own.hamiltonian(psi, place, at(atoms), key).total)
            logs.append(psi(place, at(atoms)).logabs)
        return jnp.stack([*energies, 2.0 * (logs[1] - logs[0]) + log_jacobian(electrons, *places)])

    def move(params: Params, atoms: Array, chains: SamplerState, key: Key) -> SamplerState:
        return sampler.step(key, make_log_density(parts[0].log_psi, params, at(atoms)), chains)[0]

    @jax.jit
    def settle(params: Params, atoms: Array, chains: SamplerState, keys: Array) -> SamplerState:
        return jax.lax.scan(lambda chains, key: (move(params, atoms, chains, key), None), chains, keys)[0]

    @jax.jit
    def block(params: tuple[Params, Params], places: Places, chains: SamplerState, keys: Array
              ) -> tuple[SamplerState, Array]:
        def one(chains: SamplerState, key: Key) -> tuple[SamplerState, Array]:
            chains = move(params[0], places[0], chains, key)
            electrons = chains.walkers.electrons
            found = over_walkers(partial(measured, params, places))((electrons, walker_keys(key, len(electrons))))
            return chains, found

        return jax.lax.scan(one, chains, keys)

    return _Programs(settle, block)


def _walk(first: Trained, second: Trained, steps: int, key: Key) -> np.ndarray:
    """Return for each walker the sums over the steps of E_1, w E_2, w and w^2, and their number, (n_walkers, 5)."""
    programs = _programs(*(json.dumps(each, sort_keys=True) for each in (
        dict(first.opened.config), second.opened.config["wavefunction"])))
    places = tuple(jnp.asarray(run.system.atoms, jnp.float32) for run in (first, second))
    params = first.params, second.params
    key_burn_in, key_steps = jax.random.split(key)
    chains = programs.settle(first.params, places[0], first.components.sampler.freeze(first.chains),
                             jax.random.split(key_burn_in, LONG_BURN_IN))
    rows = []
    for index in range(-(-steps // _BLOCK)):
        keys = jax.random.split(jax.random.fold_in(key_steps, index), _BLOCK)
        chains, found = programs.block(params, places, chains, keys)
        rows.append(np.asarray(found, np.float64))
    series = np.concatenate(rows)
    good = np.isfinite(series).all(axis=-1)
    series = np.where(good[..., None], series, 0.0)
    weight = good * np.exp(series[..., 2] - np.max(series[..., 2]))
    columns = (good * series[..., 0], weight * series[..., 1], weight, weight**2, good)
    return np.stack([column.sum(axis=0, dtype=np.float64) for column in columns], axis=1)


def _jackknife(sums: np.ndarray) -> tuple[tuple[float, float], float]:
    """Return the difference, its error, and the share of the samples that the weights leave."""

    def estimate(total: np.ndarray) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            return total[..., 1] / total[..., 2] - total[..., 0] / total[..., 4]

    total, n = sums.sum(axis=0), len(sums)
    without = estimate(total - sums)
    value = float(estimate(total))
    error = float(np.sqrt((n - 1) / n * np.sum((without - without.mean()) ** 2)))
    overlap = float(total[2] ** 2 / (total[4] * total[3])) if total[3] > 0.0 else 0.0
    return (value, error), overlap
