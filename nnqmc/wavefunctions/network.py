"""The structure that networks share: features, embedding, orbitals under envelopes, determinants, cusp factor."""

from __future__ import annotations

from typing import Annotated, Literal

from flax import linen as nn
from jaxtyping import Array, Float

from nnqmc.errors import InputError
from nnqmc.numerics import log_sum_det
from nnqmc.ranges import Between, check_fields
from nnqmc.typing import Electrons, SignedLog, System
from nnqmc.wavefunctions.features import electron_electron, electron_nucleus, rescaled
from nnqmc.wavefunctions.jastrow import ElectronCusp
from nnqmc.wavefunctions.orbitals import Orbitals


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
    """

    embedding: nn.Module | None = None
    n_determinants: Annotated[int, Between(1, 10**6)] = 4
    full_determinants: bool = True
    envelope: Literal["isotropic", "bottleneck"] = "isotropic"
    n_envelopes: Annotated[int, Between(1, 1000)] = 8
    cusp: bool = True
    rescale_inputs: bool = True

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
            self.electron_cusp = ElectronCusp()

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
        return self.orbital_layer(features, distances, system)
