"""Markov chains on |psi|^2 and the walkers they start from."""

from nnqmc.samplers.first_walkers import first_walkers
from nnqmc.samplers.metropolis import Metropolis
from nnqmc.samplers.states import check_state, resized, selected

__all__ = ["Metropolis", "check_state", "first_walkers", "resized", "selected"]
