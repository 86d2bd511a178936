"""FermiNet: determinants of orbitals that a one-electron stream and a pair stream make."""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated

from nnqmc.ranges import Between
from nnqmc.wavefunctions.embeddings import FermiNetEmbedding
from nnqmc.wavefunctions.network import SlaterNetwork


class FermiNet(SlaterNetwork):
    """The Fermionic neural network of Pfau et al., a sum of determinants of orbitals that see all electrons.

    Source: Pfau et al., Phys. Rev. Research 2, 033429 (2020), doi:10.1103/PhysRevResearch.2.033429; without the cusp
    factor (`cusp=False`) and Slater functions it has the published form.

    Attributes:
        layers: the number of one-electron layers; the pair stream has one fewer.
        hidden_one: the width of the one-electron stream.
        hidden_two: the width of the pair stream.
        sizes: the settings behind each word for the size of the network, for `wavefunction.size` and the presets.
    """

    layers: Annotated[int, Between(1, 1000)] = 3
    hidden_one: Annotated[int, Between(1, 10**6)] = 32
    hidden_two: Annotated[int, Between(1, 10**6)] = 8

    sizes = MappingProxyType({
        "small": MappingProxyType({
            "layers": 3, "hidden_one": 32, "hidden_two": 8, "n_determinants": 4, "slater_functions": True}),
        "medium": MappingProxyType({
            "layers": 3, "hidden_one": 64, "hidden_two": 16, "n_determinants": 8, "slater_functions": True}),
        "large": MappingProxyType({
            "layers": 4, "hidden_one": 128, "hidden_two": 16, "n_determinants": 16, "slater_functions": True}),
        "published": MappingProxyType({
            "layers": 4, "hidden_one": 256, "hidden_two": 32, "n_determinants": 16, "slater_functions": False}),
    })

    def default_embedding(self) -> FermiNetEmbedding:
        """Return the embedding of FermiNet with the widths of this network."""
        return FermiNetEmbedding(self.layers, self.hidden_one, self.hidden_two, name="embedding")
