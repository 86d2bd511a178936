"""The structure that networks share: features, embedding, orbitals under envelopes, determinants, cusp factor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from nnqmc.errors import InputError
from nnqmc.numerics import log_sum_det
from nnqmc.ranges import Between, check_fields
from nnqmc.typing import Electrons, Params, SignedLog, System
from nnqmc.wavefunctions.features import electron_electron, electron_nucleus, rescaled
from nnqmc.wavefunctions.jastrow import ElectronCusp
from nnqmc.wavefunctions.orbitals import Orbitals
from nnqmc.wavefunctions.slater_functions import SlaterFunctions, cusp_points, cusp_rows, fit_orbitals, function_atoms

_SHORT = 0.3
"""The initial lengths of the cusp factor in bohr where orbitals start as those of Hartree-Fock: longer ones would push
electrons apart that these orbitals keep close to the nuclei."""

_LEAST_REACH = 0.01
"""The least that multiplies what an orbital has around an atom that it isn't on."""


class SlaterNetwork(nn.Module, kw_only=True):
    """A wavefunction psi = exp(J) sum_k det_k[phi(r)], antisymmetric in electrons of the same spin.

    The embedding turns features into one vector for each electron; linear maps of that vector under envelopes are the
    orbitals phi. A network with a name of its own is a subclass with `default_embedding`; see `FermiNet`.

    Attributes:
        embedding: a flax module (one, two, system) -> features (n_electrons, any width), equivariant under exchange of
            electrons of the same spin, where one (n_electrons, 4 n_atoms) are the features of each electron and
            two (n_electrons, n_electrons, 4) those of each pair. None takes the network's own.
        n_determinants: the number of determinants in the sum.
        full_determinants: True for determinants over all electrons, False for products of spin-up and spin-down ones.
        envelope: "isotropic" (one exponential per orbital and nucleus) or "bottleneck" (a few per nucleus, mixed).
        n_envelopes: the number of exponentials per nucleus in the bottleneck envelope.
        cusp: True multiplies by the electron-electron cusp factor and gives the network pair distances without a slope
            at coalescence, so that every electron-electron cusp is exact whatever was trained; False leaves cusps to
            training.
        rescale_inputs: True shortens input vectors to log(1 + r).
        slater_functions: True adds to each orbital a sum of Slater functions around the atoms, whose coefficients
            pretraining fits to Hartree-Fock, and multiplies it by a function of the features.
    """

    embedding: nn.Module | None = None
    n_determinants: Annotated[int, Between(1, 10**6)] = 4
    full_determinants: bool = True
    envelope: Literal["isotropic", "bottleneck"] = "isotropic"
    n_envelopes: Annotated[int, Between(1, 1000)] = 8
    cusp: bool = True
    rescale_inputs: bool = True
    slater_functions: bool = False

    def __post_init__(self) -> None:
        """Refuse hyperparameters that make no network."""
        check_fields(self)
        super().__post_init__()

    def default_embedding(self) -> nn.Module:
        """Return the embedding that is used where none is given; it should be called "embedding" (name=)."""
        raise InputError(f"{type(self).__name__} has no embedding of its own: give one as embedding=...")

    def setup(self) -> None:
        """Create the submodules."""
        self.embedding_layer = self.default_embedding() if self.embedding is None else self.embedding
        self.orbital_layer = Orbitals(self.n_determinants, self.full_determinants, self.envelope, self.n_envelopes)
        if self.cusp:
            self.electron_cusp = ElectronCusp(_SHORT if self.slater_functions else 1.0)
        if self.slater_functions:
            self.slater_layer = SlaterFunctions()

    def __call__(self, electrons: Electrons, system: System) -> SignedLog:
        """Return the sign and log|psi| of one walker."""
        matrices = self.orbitals(electrons, system)
        sign, logabs = log_sum_det(*matrices)
        if self.cusp:
            logabs = logabs + self.electron_cusp(electron_electron(electrons)[1], system)
        return SignedLog(sign, logabs)

    def orbitals(self, electrons: Electrons, system: System) -> tuple[Float[Array, "n_determinants _m _m"], ...]:
        """Return the matrices (n_determinants, electrons, orbitals) of one walker: one, or one for each spin."""
        vectors, distances = electron_nucleus(electrons, system)
        one = rescaled(vectors, distances, self.rescale_inputs).reshape((system.n_electrons, -1))
        two = rescaled(*electron_electron(electrons), self.rescale_inputs, smooth=self.cusp)
        features = self.embedding_layer(one, two, system)
        functions = self.slater_layer(vectors, distances, system) if self.slater_functions else None
        return self.orbital_layer(features, distances, system, functions)

    def functions(self, points: Float[Array, "n 3"], system: System) -> Float[Array, "n _n_functions"]:
        """Return the Slater functions at points in bohr."""
        return self.slater_layer(*electron_nucleus(points, system), system)

    def fitted(self, params: Params, system: System, points: Float[np.ndarray, "n 3"],
               orbitals: Sequence[Float[np.ndarray, "n _m"]],
               populations: Sequence[Float[np.ndarray, "_m n_atoms"]]) -> Params:
        """Return parameters whose Slater functions make the orbitals that are given at points in bohr.

        Orbitals are fitted relative to their density, and with the right cusps at the nuclei (`fit_orbitals`). An
        orbital's reach to each atom is its population there, relative to the largest and at least 0.01. What is around
        an atom that the orbital isn't on then takes small steps in training. Without that, steps that are right for
        what most walkers show put a second electron on an atom far away, a thousandth of the walkers with local
        energies some hartree too high: 2 to 6 mHa in LiH at 12 bohr. If there are as many up as down electrons, every
        other determinant gets the orbitals of the other spin, so that the sum is even under exchange of the spins, as
        a singlet is.

        Args:
            params: of this network, which has `slater_functions`.
            system: the molecule.
            points: where the orbitals are known; everywhere that electrons are.
            orbitals: the spin-up orbitals there, and the spin-down ones.
            populations: the share of each of them that lies nearest to each atom.
        """
        around, charges = cusp_points(system)
        places = jnp.asarray(np.concatenate([around.reshape(-1, 3), points]), jnp.float32)
        values = np.asarray(jax.jit(lambda r: self.apply(params, r, system, method="functions"))(places))
        cusps = cusp_rows(values[:13 * len(charges)].reshape(len(charges), 13, -1), charges)
        values, density = values[13 * len(charges):], sum(np.sum(each**2, axis=1) for each in orbitals)
        spins = [fit_orbitals(values, cusps, each, density) for each in orbitals]
        shares = [np.maximum(_LEAST_REACH, each / np.max(each, axis=1, keepdims=True, initial=1e-30))
                  for each in populations]
        atoms = function_atoms(system)
        layer, constants, first = dict(params["params"]["orbital_layer"]), {}, 0
        exchanged = np.arange(self.n_determinants) % 2 * (system.n_up == system.n_down)
        for k, own in enumerate(spins):
            if own.shape[1]:
                start = np.zeros_like(layer[f"slater{k}"]["kernel"]).reshape(len(own), self.n_determinants, -1)
                columns = (0, 1) if self.full_determinants else (k,)
                reach = np.array([np.concatenate([shares[j ^ turn] for j in columns]) for turn in exchanged])
                for determinant, turn in enumerate(exchanged):
                    start[:, determinant, first:first + own.shape[1]] = spins[k ^ turn]
                start = start.reshape(len(own), -1) / reach.reshape(-1, system.n_atoms).T[atoms]
                layer[f"slater{k}"] = {"kernel": jnp.asarray(start, jnp.float32)}
                constants[f"reach{k}"] = jnp.asarray(reach, jnp.float32)
            first = own.shape[1] if self.full_determinants else 0
        return {"params": {**params["params"], "orbital_layer": layer}, "constants": {"orbital_layer": constants}}
