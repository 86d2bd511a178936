"""Sample |psi|^2 by Markov chains, and draw the walkers that they start from."""

from nnqmc.samplers.first_walkers import first_walkers
from nnqmc.samplers.langevin import Langevin
from nnqmc.samplers.metropolis import Metropolis
from nnqmc.samplers.one_electron import OneElectron
from nnqmc.samplers.states import check_state, resized, selected

__all__ = ["Langevin", "Metropolis", "OneElectron", "check_state", "first_walkers", "resized", "selected"]
