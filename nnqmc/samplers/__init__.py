"""Markov chains on |psi|^2 and the walkers they start from."""

from nnqmc.samplers.first_walkers import first_walkers
from nnqmc.samplers.metropolis import Metropolis, MetropolisState

__all__ = ["Metropolis", "MetropolisState", "first_walkers"]
