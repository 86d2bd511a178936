"""The wavefunction of a run, read back from its directory, and what can be computed with it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from nnqmc.errors import InputError, unknown
from nnqmc.io import as_path, atomic_write
from nnqmc.job import Result, RunDirectory, reevaluate
from nnqmc.job.build import CUSTOM, Components, build, state_template
from nnqmc.job.calculation import open_run
from nnqmc.job.start import LONG_BURN_IN
from nnqmc.methods.vmc import make_log_density
from nnqmc.parallel import over_walkers
from nnqmc.parallel.surroundings import usual_rules
from nnqmc.ranges import Between, check
from nnqmc.scf import integration_grid, molden_file
from nnqmc.statistics import Quantity
from nnqmc.typing import Electrons, Key, LocalEnergy, Params, Population, SamplerState, SignedLog, System

_TOGETHER = 4096
"""The most walkers that `sample` moves together."""

_MOST_BYTES = 2**31
"""The most memory for all walkers of a sample, and for the densities of all samples at all points."""


@dataclass(frozen=True, eq=False, repr=False)
class Trained:
    """The wavefunction that a run has trained; `load` makes it. Functions of one walker work under jit, vmap and grad.

    Attributes:
        path: the directory of the run.
        components: the objects that the run is made of.
        params: the averaged parameters, those that evaluation measures.
        chains: the walkers of the checkpoint, with the state of the sampler.
        steps: training steps done.
        opened: the files of the run; `custom` and `key_file` are what they were opened with.
    """

    path: Path
    components: Components
    params: Params
    chains: SamplerState
    steps: int
    opened: RunDirectory
    custom: dict[str, Any]
    key_file: str | os.PathLike[str] | None = None

    @property
    def system(self) -> System:
        """Return the molecule; its positions are in bohr."""
        return self.components.system

    @property
    def result(self) -> Result | None:
        """Return the result that is in the directory now, or None if the run was never evaluated."""
        return self.opened.load_result()

    def __repr__(self) -> str:
        return f"{self.path}: {self.system.name} after {self.steps} training steps"

    def log_psi(self, electrons: ArrayLike) -> SignedLog:
        """Return the sign of psi and log|psi| of one walker; psi isn't normalised.

        Args:
            electrons: (n_electrons, 3) in bohr, the first `system.n_up` of them with spin up. Use `jax.vmap` for many.

        Raises:
            InputError: `electrons` has another shape, or isn't made of real numbers.
        """
        return self._log_psi(self.params, self._checked(electrons))

    def local_energy(self, electrons: ArrayLike, key: Key | None = None) -> LocalEnergy:
        """Return the local energy of one walker in hartree, as its `total` and its `terms`.

        Args:
            electrons: as in `log_psi`.
            key: for a Hamiltonian with random numbers in it; the molecular one has none.

        Raises:
            InputError: `electrons` has another shape, or isn't made of real numbers.
        """
        return self._local_energy(self.params, self._checked(electrons), jax.random.key(0) if key is None else key)

    def sample(self, n: int, key: Key) -> Population:
        """Return n walkers from |psi|^2, (n, n_electrons, 3) in bohr, as good as independent of each other.

        They start from walkers of training, and each makes 100 steps of the run's sampler. Where more are asked for
        than there are, or than fit together into memory, copies take as many steps again.

        Args:
            n: how many.
            key: decides them.

        Raises:
            InputError: `n` isn't a whole number of at least 1, or too large for the memory; `key` is no key.
        """
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise InputError(f"sample(n={n!r:.40}): n is a whole number of at least 1")
        _check_memory(f"a sample of {n} walkers", 12 * self.system.n_electrons * int(n), "fewer walkers")
        sampler = self.components.sampler
        together = min(int(n), max(_TOGETHER, self.chains.n_walkers))
        try:
            keys = jax.random.split(key, (-(-int(n) // together), LONG_BURN_IN))
        except (TypeError, ValueError) as error:
            raise InputError(f"key={key!r:.60} is no key: give jax.random.key(0), or one that was split off") from error
        chains = sampler.freeze(sampler.resize(self.chains, together))
        places = self._walk(keys, chains)
        return places.reshape(-1, *places.shape[2:])[:n]

    def evaluate(self, observe: str | Iterable[str] = "", *, target_error: float | None = None,
                 max_steps: int | None = None, **options: Any) -> Result:
        """Evaluate the newest checkpoint of the run and return the result, as `nnqmc evaluate` does.

        The files result.json and evaluate.h5 and the figures become those of this evaluation.

        Args:
            observe: names of observables, in a list or in a text with commas between; `nnqmc list parts` shows them.
            target_error: stop at this error bar of the energy in hartree; that of the run by default.
            max_steps: the most sampler steps; those of the run by default.
            **options: seed, walkers, progress, and observables, a dict of observables of your own by name.

        Raises:
            As `nnqmc.resume`.
        """
        listed = (observe,) if isinstance(observe, str) or not isinstance(observe, Iterable) else tuple(observe)
        if not all(isinstance(name, str) for name in listed):
            raise InputError(f"observe={observe!r:.60}: give names of observables, in a list or in a text with commas "
                             "between")
        names = ", ".join(listed)
        return reevaluate(self.path, observe=names, target_error=target_error, max_steps=max_steps,
                          key_file=self.key_file, **(self.custom | options))

    def density(self, points: ArrayLike, *, samples: Annotated[int, Between(2, 10**6)] = 64,
                key: Key | None = None) -> Quantity:
        """Return the electron density at points in 1/bohr^3, as a `value` and an `error`, each (n_points,).

        For each sample of |psi|^2 and each of its electrons, psi^2 as a function of the place of that electron is
        normalised by an integral over a grid; the mean of their sums is the density, without any noise from where that
        electron was. The error is that of the sampling; the grid's is of the order of 0.1 %.

        Args:
            points: in bohr.
            samples: how many samples of |psi|^2; the time is proportional to it and to the number of electrons.
            key: decides the samples; by default it is one and the same.

        Raises:
            InputError: `points` has another shape or isn't made of real numbers, or there are too many for the memory.
        """
        check(Trained.density, samples=samples)
        points = _real("points", points)
        if points.ndim != 2 or points.shape[1] != 3:
            raise InputError(f"points of the shape {points.shape}: the density needs (n_points, 3) in bohr")
        _check_densities(points.shape[0], samples)
        walkers = self.sample(samples, jax.random.key(0) if key is None else key)
        values = self._densities(walkers, *self._grid, points)
        return Quantity(values.mean(axis=0), values.std(axis=0, ddof=1) / samples**0.5)

    def write_cube(self, path: str | os.PathLike[str], *, spacing: Annotated[float, Between(1e-3, 10.0)] = 0.3,
                   margin: Annotated[float, Between(0.0, 100.0)] = 4.0,
                   samples: Annotated[int, Between(2, 10**6)] = 32) -> Path:
        """Write the electron density on a grid as a Gaussian cube file in bohr and 1/bohr^3, and return its path.

        Args:
            path: of the file; it appears complete or not at all.
            spacing: of the grid in bohr, along x, y and z.
            margin: from the outermost nuclei to the faces of the box in bohr.
            samples: as in `density`.

        Raises:
            InputError: a setting is out of range, there is no such folder, or the grid has more points than there is
                memory for.
        """
        check(Trained.write_cube, spacing=spacing, margin=margin, samples=samples)
        if not (path := as_path(path, "the path of a cube file")).parent.is_dir():
            raise InputError(f"{path} can't be written, since there is no folder {path.parent}: make it, or give "
                             "another path")
        atoms, charges = (np.asarray(array, np.float64) for array in (self.system.atoms, self.system.charges))
        low, high = atoms.min(axis=0) - margin, atoms.max(axis=0) + margin
        shape = [int(n) for n in np.ceil((high - low) / spacing) + 1]
        _check_densities(math.prod(shape), samples)
        points = low + spacing * np.indices(shape).reshape(3, -1).T
        value = np.asarray(self.density(points, samples=samples).value).reshape(-1, shape[2])
        lines = [f"{self.system.name}: electron density in 1/bohr^3", f"nnqmc, {samples} samples of |psi|^2",
                 _cube_line(len(atoms), low)]
        lines += [_cube_line(n, spacing * axis) for n, axis in zip(shape, np.eye(3), strict=True)]
        lines += [_cube_line(round(charge), (charge, *place)) for charge, place in zip(charges, atoms, strict=True)]
        lines += ["".join(f"{x:13.5E}" for x in row[first:first + 6]) for row in value
                  for first in range(0, shape[2], 6)]
        with atomic_write(path) as temporary:
            Path(temporary).write_text("\n".join(lines) + "\n", encoding="ascii", errors="replace")
        return path

    def write_molden(self, path: str | os.PathLike[str]) -> Path:
        """Write the natural orbitals of the newest evaluation as a molden file, and return its path.

        Each orbital has its occupation; molden has no place for error bars, which are those of
        `result.observables["density_matrix"]`.

        Args:
            path: of the file; it appears complete or not at all.

        Raises:
            InputError: no evaluation has measured the observable density_matrix.
        """
        measured = self.result.observables.get("density_matrix") if self.result else None
        if measured is None or not {"orbitals", "occupations"} <= measured.parts.keys():
            raise InputError(f"{self.path} has no natural orbitals: `nnqmc evaluate {self.path} --observe "
                             "density_matrix` measures them")
        return molden_file(as_path(path, "the path of a molden file"), self.system, measured.parts["orbitals"].value,
                           measured.parts["occupations"].value)

    @cached_property
    def _log_psi(self) -> Callable[[Params, Electrons], SignedLog]:
        """Return the compiled program of `log_psi`."""
        return jax.jit(lambda params, electrons: self.components.log_psi(params, electrons, self.system))

    @cached_property
    def _local_energy(self) -> Callable[[Params, Electrons, Key], LocalEnergy]:
        """Return the compiled program of `local_energy`."""
        log_psi, hamiltonian, system = self.components.log_psi, self.components.hamiltonian, self.system
        return jax.jit(lambda params, electrons, key: hamiltonian(partial(log_psi, params), electrons, system, key))

    @cached_property
    def _walk(self) -> Callable[..., Array]:
        """Return the compiled program of `sample`."""
        log_density = make_log_density(self.components.log_psi, self.params, self.system)
        return jax.jit(partial(_sampled, self.components.sampler, log_density))

    @cached_property
    def _densities(self) -> Callable[..., Array]:
        """Return the compiled program of `density`."""
        return jax.jit(partial(_densities, lambda electrons: self.log_psi(electrons).logabs))

    @cached_property
    def _grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the points in bohr and the weights by which `density` integrates."""
        points, weights = integration_grid(self.system)
        return points.astype(np.float32), weights.astype(np.float32)

    def _checked(self, electrons: Any) -> Float[Array, "n_electrons 3"]:
        """Return one walker in the precision of the wavefunction."""
        electrons, shape = _real("electrons", electrons), (self.system.n_electrons, 3)
        if electrons.shape != shape:
            raise InputError(f"electrons of the shape {electrons.shape}: one walker of {self.system.name} has the "
                             f"shape {shape}; use jax.vmap for many")
        return electrons


def load(directory: str | os.PathLike[str], *, key_file: str | os.PathLike[str] | None = None, **custom: Any
         ) -> Trained:
    """Return the wavefunction of a run, from its newest checkpoint that can be read.

    Args:
        directory: what `solve` was given as `out`.
        key_file: file with the key that the run is signed with.
        **custom: the ready-made objects that the run was started with, if any.

    Raises:
        InputError: no run there, or none that has a checkpoint yet; a ready-made object is missing.
        CheckpointError: its files are damaged, altered, of something else, or not signed as they have to be.
    """
    for name in custom:
        if name not in CUSTOM:
            raise unknown("argument of load", name, ("key_file", *CUSTOM))
    opened = open_run(directory, key_file, custom)
    with usual_rules(), jax.set_mesh(None):
        components = build(opened.config, custom)
        restored = opened.load_state(partial(state_template, opened.config, components))
        if restored is None:
            raise InputError(f"{opened.path} has no checkpoint yet: `nnqmc resume {opened.path}` runs it")
        state = jax.tree.map(jnp.asarray, restored.state)
    return Trained(opened.path, components, state.average, state.sampler, int(state.step), opened, custom, key_file)


def _real(what: str, values: Any) -> Array:
    """Return an array in the precision of the wavefunction; refuse what isn't one of real numbers."""
    if any(np.iscomplexobj(each) for each in jax.tree.leaves(values)):
        raise InputError(f"{what}={values!r:.60}: these are complex numbers; give real ones, in bohr")
    try:
        return jnp.asarray(values, jnp.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{what}={values!r:.60}: give an array of real numbers, in bohr") from error


def _check_densities(n_points: int, samples: int) -> None:
    """Refuse densities at more points than there is memory for."""
    _check_memory(f"the density at {n_points} points from {samples} samples", 4 * samples * n_points,
                  "fewer points, or a coarser grid")


def _check_memory(what: str, needed: int, less: str) -> None:
    """Refuse what needs more bytes than are allowed."""
    if needed > _MOST_BYTES:
        raise InputError(f"{what} needs {needed / 2**30:.3g} GiB and not the {_MOST_BYTES / 2**30:g} that are allowed: "
                         f"ask for {less}")


def _cube_line(number: int, numbers: Iterable[float]) -> str:
    """Return a line at the head of a cube file."""
    return f"{number:5d}" + "".join(f"{x:12.6f}" for x in numbers)


def _sampled(sampler: Any, log_density: Callable[[Population], Array], keys: Array, chains: SamplerState) -> Array:
    """Return the places of all walkers after each row of steps, (n_rows, n_walkers, n_electrons, 3)."""

    def step(chains: SamplerState, key: Key) -> tuple[SamplerState, None]:
        return sampler.step(key, log_density, chains)[0], None

    def row(chains: SamplerState, keys: Array) -> tuple[SamplerState, Array]:
        chains, _ = jax.lax.scan(step, chains, keys)
        return chains, chains.walkers.electrons

    return jax.lax.scan(row, chains, keys)[1]


def _densities(log_abs: Callable[[Electrons], Array], walkers: Population, grid: Float[Any, "n_grid 3"],
               weights: Float[Any, "n_grid"], points: Float[Array, "n_points 3"]) -> Float[Array, "n n_points"]:
    """Return for each walker the sum over its electrons of their densities at points, with all others where they are.
    """

    def of_electron(electrons: Electrons, index: Array) -> Array:
        log_density = over_walkers(lambda place: 2.0 * log_abs(electrons.at[index].set(place)))
        return jnp.exp(log_density(points) - logsumexp(log_density(grid), b=weights))

    def of_walker(electrons: Electrons) -> Array:
        return jnp.sum(jax.lax.map(partial(of_electron, electrons), jnp.arange(electrons.shape[0])), axis=0)

    return jax.lax.map(of_walker, walkers)
