"""FermiNet: features, two streams, orbitals under envelopes, a sum of determinants, and a cusp factor."""

from __future__ import annotations

from flax import linen as nn
from jaxtyping import Array, Float

from nnqmc.errors import InputError
from nnqmc.numerics import log_sum_det
from nnqmc.typing import Electrons, SignedLog, System
from nnqmc.wavefunctions.embeddings import FermiNetEmbedding
from nnqmc.wavefunctions.features import electron_electron, electron_nucleus, rescaled
from nnqmc.wavefunctions.jastrow import ElectronCusp
from nnqmc.wavefunctions.orbitals import Orbitals


class FermiNet(nn.Module):
    """psi = exp(J) sum_k det_k[phi(r)], antisymmetric in electrons of the same spin.

    Source: Pfau et al., Phys. Rev. Research 2, 033429 (2020), doi:10.1103/PhysRevResearch.2.033429.

    Attributes:
        layers: number of one-electron layers; the pair stream has one fewer.
        hidden_one: width of the one-electron stream.
        hidden_two: width of the pair stream.
        n_determinants: determinants in the sum.
        full_determinants: one determinant over all electrons, else a product of spin-up and spin-down ones.
        envelope: "isotropic" (one exponential per orbital and nucleus) or "bottleneck" (a few per nucleus, mixed).
        n_envelopes: exponentials per nucleus of the bottleneck envelope.
        cusp: multiply by the electron-electron cusp factor and give the network pair distances without a slope at
            coalescence, so that every electron-electron cusp is exact whatever was trained; False leaves them to
            training, as published.
        rescale_inputs: shorten input vectors to log(1 + r).
    """

    layers: int = 3
    hidden_one: int = 32
    hidden_two: int = 8
    n_determinants: int = 4
    full_determinants: bool = True
    envelope: str = "isotropic"
    n_envelopes: int = 8
    cusp: bool = True
    rescale_inputs: bool = True

    def __post_init__(self) -> None:
        """Refuse hyperparameters that make no network."""
        for name in ("layers", "hidden_one", "hidden_two", "n_determinants", "n_envelopes"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InputError(f"FermiNet {name}={value!r}: needs an integer of at least 1")
        if self.envelope not in ("isotropic", "bottleneck"):
            raise InputError(f"FermiNet envelope={self.envelope!r}: choose 'isotropic' or 'bottleneck'")
        super().__post_init__()

    def setup(self) -> None:
        """The parts, in the order of the data."""
        self.embedding = FermiNetEmbedding(self.layers, self.hidden_one, self.hidden_two)
        self.orbital_layer = Orbitals(self.n_determinants, self.full_determinants, self.envelope, self.n_envelopes)
        if self.cusp:
            self.electron_cusp = ElectronCusp()

    def __call__(self, electrons: Electrons, system: System) -> SignedLog:
        """Sign and log|psi| of one walker."""
        matrices = self.orbitals(electrons, system)
        sign, logabs = log_sum_det(*matrices)
        if self.cusp:
            logabs = logabs + self.electron_cusp(electron_electron(electrons)[1], system)
        return SignedLog(sign, logabs)

    def orbitals(self, electrons: Electrons, system: System) -> tuple[Float[Array, "n_determinants _m _m"], ...]:
        """The matrices (n_determinants, electrons, orbitals) of one walker: one block, or one for each spin."""
        vectors, distances = electron_nucleus(electrons, system)
        one = rescaled(vectors, distances, self.rescale_inputs).reshape((system.n_electrons, -1))
        two = rescaled(*electron_electron(electrons), self.rescale_inputs, smooth=self.cusp)
        features = self.embedding(one, two, system)
        return self.orbital_layer(features, distances, system)
