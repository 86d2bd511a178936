"""The vocabulary of nnqmc: arrays with named axes, the molecular system, and the protocol of every replaceable part.

Everything here is in bohr and hartree. Physics is written for one walker; `nnqmc.parallel.over_walkers` adds the
walker axis. Any callable with the right signature is a valid part: no class of nnqmc has to be inherited from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

Electrons = Float[Array, "n_electrons 3"]
"""Positions of one walker's electrons in bohr; the first `n_up` rows are spin up."""

Population = Float[Array, "n_walkers n_electrons 3"]
"""Positions of all walkers in bohr."""

Scalar = Float[Array, ""]
Key = PRNGKeyArray
Params = PyTree


class SignedLog(NamedTuple):
    """A number as its sign and the logarithm of its modulus, in the order of `numpy.linalg.slogdet`."""

    sign: Array
    logabs: Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class System:
    """A system of clamped nuclei and a fixed number of electrons of each spin.

    It is a pytree whose leaves are `atoms`, `charges` and `lattice`; the rest is static, since array shapes follow from
    it. This class only stores: `nnqmc.molecule` builds and validates one.

    Attributes:
        atoms: positions of the nuclei in bohr.
        charges: effective charges of the nuclei: that of the element, less its core electrons.
        n_up: number of spin-up electrons, those of the cores left out.
        n_down: number of spin-down electrons, those of the cores left out.
        symbols: element symbol of each nucleus.
        name: what the system is called.
        core: electrons of each atom that a pseudopotential replaces, or () where all atoms keep all electrons.
        lattice: lattice vectors in bohr, one per row, or None for a molecule.
    """

    atoms: Float[Array | np.ndarray, "n_atoms 3"]
    charges: Float[Array | np.ndarray, "n_atoms"]
    n_up: int = field(metadata={"static": True})
    n_down: int = field(metadata={"static": True})
    symbols: tuple[str, ...] = field(metadata={"static": True})
    name: str = field(default="", metadata={"static": True})
    core: tuple[int, ...] = field(default=(), metadata={"static": True})
    lattice: Float[Array | np.ndarray, "3 3"] | None = None

    def __post_init__(self) -> None:
        """Keep numbers of electrons that are whole as int, since arrays take their shapes from them."""
        for name in ("n_up", "n_down"):
            value = getattr(self, name)
            if isinstance(value, float | np.floating | np.integer) and float(value).is_integer():
                object.__setattr__(self, name, int(value))

    @property
    def n_electrons(self) -> int:
        """Return the number of electrons."""
        return self.n_up + self.n_down

    @property
    def n_atoms(self) -> int:
        """Return the number of nuclei."""
        return len(self.symbols)

    @property
    def spin(self) -> int:
        """Return 2S = n_up - n_down."""
        return self.n_up - self.n_down

    @property
    def charge(self) -> int:
        """Return the total charge in units of e; `charges` must be concrete."""
        return round(float(np.sum(np.asarray(self.charges)))) - self.n_electrons


@runtime_checkable
class LogPsi(Protocol):
    """A wavefunction, such as `module.apply` of a flax module."""

    def __call__(self, params: Params, electrons: Electrons, system: System) -> SignedLog:
        """Return the sign and log|psi| of one walker."""


@runtime_checkable
class BoundLogPsi(Protocol):
    """A wavefunction whose parameters are bound."""

    def __call__(self, electrons: Electrons, system: System) -> SignedLog:
        """Return the sign and log|psi| of one walker."""


@runtime_checkable
class LocalOperator(Protocol):
    """A function that is evaluated walker by walker: a Hamiltonian, one of its terms, or a plain observable."""

    def __call__(self, psi: BoundLogPsi, electrons: Electrons, system: System, key: Key) -> PyTree:
        """Return (O psi)(r) / psi(r) for one walker, in hartree where O is an energy."""


class LocalEnergy(NamedTuple):
    """A local energy in hartree: the sum and its named parts."""

    total: Array
    terms: dict[str, Array]


class LaplacianResult(NamedTuple):
    """The value, the gradient and the Laplacian of a function at one configuration."""

    value: Array
    gradient: Array
    laplacian: Array


@runtime_checkable
class LaplacianMethod(Protocol):
    """A way to differentiate a scalar function of one walker twice; see `nnqmc.laplacian`."""

    def __call__(self, function: Any) -> Any:
        """Return a function `electrons -> LaplacianResult` for a function `electrons -> scalar`."""


class Walkers(NamedTuple):
    """A population and the logarithm of each walker's weight (0 in VMC)."""

    electrons: Array
    log_weight: Array


class SamplerState(NamedTuple):
    """The state of a sampler, in two parts: what belongs to each walker, and what all walkers share.

    They are told apart by their place here, never by the lengths of their axes. Arrays of `per_walker` are shared out
    over devices, and rows of them are selected when a population is made larger or smaller; arrays of `shared` are
    copied to every device and stay as they are.

    Attributes:
        per_walker: any pytree of arrays whose leading axis counts the walkers, with the attributes `electrons` (bohr)
            and `log_weight`. `Walkers` is the smallest one.
        shared: any pytree of arrays, such as the width of the moves; () if there is nothing to share.
    """

    per_walker: PyTree
    shared: PyTree

    @property
    def walkers(self) -> Walkers:
        """Return the population and the logarithm of each walker's weight."""
        return Walkers(self.per_walker.electrons, self.per_walker.log_weight)

    @property
    def n_walkers(self) -> int:
        """Return the number of walkers."""
        return self.per_walker.electrons.shape[0]


@runtime_checkable
class Sampler(Protocol):
    """A Markov chain on exp(log_density): `init` makes its state, and `step` advances it.

    JAX traces all four methods.
    """

    def init(self, walkers: Walkers, system: System) -> SamplerState:
        """Return the state of the chains that start at `walkers`."""

    def step(self, key: Key, log_density: Any, state: SamplerState) -> tuple[SamplerState, dict[str, Array]]:
        """Return the state after one block of moves, and statistics of these moves.

        `log_density` maps a population (n_walkers, n_electrons, 3) to log|psi|^2 of each walker.
        """

    def freeze(self, state: SamplerState) -> SamplerState:
        """Return the same chains with nothing adapted from now on, so that they are exactly stationary."""

    def resize(self, state: SamplerState, n_walkers: int) -> SamplerState:
        """Return chains of another number of walkers; `nnqmc.samplers.resized` does it by leaving out or copying."""


class Descent(NamedTuple):
    """The gradient that an objective asks a step of training to follow downhill, and numbers to report.

    The gradient by the parameters is 2 <residual grad log|psi|> + `gradient`, where < > is the weighted mean over the
    walkers. The first part is what expectation values have, and natural gradients solve it among the walkers.

    residual: (n_walkers,) with weighted mean 0, or None.
    gradient: any further gradient in the form of the parameters, or None.
    stats: named numbers of the step. A run needs "energy" and "variance" (of all finite samples, in hartree and
        hartree^2), "clipped" and "excluded" (shares of the walkers); a step whose "energy" isn't finite is rejected.
    """

    residual: Array | None
    gradient: Params | None
    stats: dict[str, Array]


@runtime_checkable
class Objective(Protocol):
    """A quantity that training minimises, such as `nnqmc.objectives.energy()`."""

    def __call__(self, log_psi: LogPsi, params: Params, system: System, walkers: Walkers, local: LocalEnergy, key: Key
                 ) -> Descent:
        """Return residual, gradient and statistics for walkers sampled from |psi|^2 with local energies `local`."""


class VMCBatch(NamedTuple):
    """The sample behind a gradient, for optimizers that use more than the gradient.

    `residual` is that of the objective, such as the clipped, centred local energy of each walker (hartree), and 0
    where the objective has none; `log_weight` is the logarithm of each walker's weight. `gradient` is the part of the
    gradient that isn't made of the residual, in the form of the parameters, or None.
    """

    electrons: Array
    residual: Array
    log_weight: Array
    system: System
    key: Array
    gradient: Params | None = None


class TrainState(NamedTuple):
    """The state of training: all that is needed to resume a run exactly.

    `average` holds the parameters that evaluation uses.
    """

    step: Array
    key: Array
    params: PyTree
    average: PyTree
    sampler: SamplerState
    opt_state: PyTree
