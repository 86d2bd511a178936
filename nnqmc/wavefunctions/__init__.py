"""Wavefunctions: flax modules that hold hyperparameters only; the molecule comes in at call time."""

from nnqmc.wavefunctions.ferminet import FermiNet
from nnqmc.wavefunctions.init import init_params, initializer
from nnqmc.wavefunctions.lapnet import LapNet
from nnqmc.wavefunctions.network import SlaterNetwork
from nnqmc.wavefunctions.psiformer import Psiformer

__all__ = ["FermiNet", "LapNet", "Psiformer", "SlaterNetwork", "init_params", "initializer"]
