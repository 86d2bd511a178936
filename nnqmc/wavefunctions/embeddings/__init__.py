"""Embeddings: permutation-equivariant maps from electrons to one feature vector for each electron."""

from nnqmc.wavefunctions.embeddings.ferminet import FermiNetEmbedding

__all__ = ["FermiNetEmbedding"]
