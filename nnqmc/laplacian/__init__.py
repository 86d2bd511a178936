"""Compute gradient and Laplacian of a wavefunction: by the forward Laplacian, or in one of two slow, obvious ways."""

from nnqmc.laplacian.forward import forward_laplacian
from nnqmc.laplacian.slow import dense_laplacian, loop_laplacian

__all__ = ["dense_laplacian", "forward_laplacian", "loop_laplacian"]
