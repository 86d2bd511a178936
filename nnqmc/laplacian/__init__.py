"""Compute gradient and Laplacian of a wavefunction: by the forward Laplacian, or by one of two slow, simple methods."""

from nnqmc.laplacian.forward import forward_laplacian
from nnqmc.laplacian.slow import dense_laplacian, loop_laplacian

__all__ = ["dense_laplacian", "forward_laplacian", "loop_laplacian"]
