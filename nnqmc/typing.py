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
    """Clamped nuclei and a fixed number of electrons of each spin.

    A pytree whose leaves are `atoms` (n_atoms, 3) in bohr and `charges` (n_atoms,); the rest is static, since array
    shapes follow from it. Build one with `nnqmc.molecule`, which validates; this class only stores.
    """

    atoms: Float[Array | np.ndarray, "n_atoms 3"]
    charges: Float[Array | np.ndarray, "n_atoms"]
    n_up: int = field(metadata={"static": True})
    n_down: int = field(metadata={"static": True})
    symbols: tuple[str, ...] = field(metadata={"static": True})
    name: str = field(default="", metadata={"static": True})

    @property
    def n_electrons(self) -> int:
        """Number of electrons."""
        return self.n_up + self.n_down

    @property
    def n_atoms(self) -> int:
        """Number of nuclei."""
        return len(self.symbols)

    @property
    def spin(self) -> int:
        """2S = n_up - n_down."""
        return self.n_up - self.n_down

    @property
    def charge(self) -> int:
        """Total charge in units of e (needs concrete `charges`)."""
        return round(float(np.sum(np.asarray(self.charges)))) - self.n_electrons


@runtime_checkable
class LogPsi(Protocol):
    """A wavefunction: `module.apply` of a flax module is one."""

    def __call__(self, params: Params, electrons: Electrons, system: System) -> SignedLog:
        """Sign and log|psi| for one walker."""


@runtime_checkable
class BoundLogPsi(Protocol):
    """A wavefunction whose parameters are bound."""

    def __call__(self, electrons: Electrons, system: System) -> SignedLog:
        """Sign and log|psi| for one walker."""


@runtime_checkable
class LocalOperator(Protocol):
    """Anything evaluated walker by walker: Hamiltonian terms, the Hamiltonian, plain observables."""

    def __call__(self, psi: BoundLogPsi, electrons: Electrons, system: System, key: Key) -> PyTree:
        """(O psi)(r) / psi(r) for one walker, in hartree where it is an energy."""


class LocalEnergy(NamedTuple):
    """A local energy in hartree: the sum and its named parts."""

    total: Array
    terms: dict[str, Array]


class LaplacianResult(NamedTuple):
    """f, grad f and the Laplacian of f at one configuration."""

    value: Array
    gradient: Array
    laplacian: Array


@runtime_checkable
class LaplacianMethod(Protocol):
    """Turns a scalar function of one walker into (value, gradient, Laplacian)."""

    def __call__(self, function: Any) -> Any:
        """`electrons -> LaplacianResult` for the given `electrons -> scalar`."""


class Walkers(NamedTuple):
    """A population and the logarithm of each walker's weight (0 in VMC)."""

    electrons: Array
    log_weight: Array


@runtime_checkable
class Sampler(Protocol):
    """A Markov chain on exp(log_density): `init` makes the state, `step` advances it."""

    def init(self, walkers: Walkers, system: System) -> PyTree:
        """The state of the chains that start at `walkers`; `state.walkers` gives them back. It is traced by JAX.

        An array belongs to the walkers if its first axis has their number, so no other array may have that.
        """

    def step(self, key: Key, log_density: Any, state: PyTree) -> tuple[PyTree, dict[str, Array]]:
        """One block of moves; `log_density` maps a population to log|psi|^2 of each walker."""

    def freeze(self, state: PyTree) -> PyTree:
        """The same chains with nothing adapted from now on, so that they are exactly stationary."""


class Descent(NamedTuple):
    """What an objective tells a step of training: the gradient to follow downhill, and numbers to report.

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
    """What training minimises: `nnqmc.objectives.energy()` makes one."""

    def __call__(self, log_psi: LogPsi, params: Params, system: System, walkers: Walkers, local: LocalEnergy, key: Key
                 ) -> Descent:
        """Return residual, gradient and statistics for walkers sampled from |psi|^2 with local energies `local`."""


class VMCBatch(NamedTuple):
    """What an optimizer may want to know of the sample behind a gradient.

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
    """Everything needed to resume a run exactly, and nothing else; `average` is what evaluation uses."""

    step: Array
    key: Array
    params: PyTree
    average: PyTree
    sampler: PyTree
    opt_state: PyTree
