"""Gradient and Laplacian of a wavefunction: the forward Laplacian and its two slow, obvious twins."""

from nnqmc.laplacian.forward import forward_laplacian
from nnqmc.laplacian.slow import dense_laplacian, loop_laplacian

__all__ = ["dense_laplacian", "forward_laplacian", "loop_laplacian"]
