"""Wavefunctions: flax modules that hold hyperparameters only; the molecule comes in at call time."""

from nnqmc.wavefunctions.ferminet import FermiNet
from nnqmc.wavefunctions.init import init_params, initializer
from nnqmc.wavefunctions.network import SlaterNetwork

__all__ = ["FermiNet", "SlaterNetwork", "init_params", "initializer"]
