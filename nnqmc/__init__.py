"""Neural-network variational Monte Carlo: from a molecule's name to its energy with an error bar.

`nnqmc.solve("LiH")` does everything; `hartree_fock`, `pretrain`, `burn_in`, `train` and `evaluate` are its parts, and
`make_step` is one step for a loop of your own. Names are imported when they are first used, so that `import nnqmc` is
quick, touches no device and changes no setting of JAX.
"""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nnqmc.messages import tolerant_stdout
from nnqmc.version import VERSION

if TYPE_CHECKING:
    from nnqmc.errors import (
        CheckpointError,
        InputError,
        Interrupted,
        NnqmcError,
        NumericalError,
        SCFError,
        SignatureError,
    )
    from nnqmc.hamiltonian import molecular
    from nnqmc.job import Result, resume, solve
    from nnqmc.methods import burn_in, evaluate, init_state, make_measurement, make_step, pretrain, train
    from nnqmc.optimizers import adam, spring
    from nnqmc.samplers import Metropolis
    from nnqmc.scf import hartree_fock
    from nnqmc.statistics import Estimate
    from nnqmc.studies.all import curve, difference, label, recipe
    from nnqmc.system import molecule, reference
    from nnqmc.trained import load
    from nnqmc.typing import System
    from nnqmc.wavefunctions import FermiNet, LapNet, Psiformer

__version__ = VERSION

_HOME = MappingProxyType({
    "nnqmc.errors": ("CheckpointError", "InputError", "Interrupted", "NnqmcError", "NumericalError", "SCFError",
                     "SignatureError"),
    "nnqmc.hamiltonian": ("molecular",),
    "nnqmc.job": ("Result", "resume", "solve"),
    "nnqmc.methods": ("burn_in", "evaluate", "init_state", "make_measurement", "make_step", "pretrain", "train"),
    "nnqmc.optimizers": ("adam", "spring"),
    "nnqmc.samplers": ("Metropolis",),
    "nnqmc.scf": ("hartree_fock",),
    "nnqmc.statistics": ("Estimate",),
    "nnqmc.studies.all": ("curve", "difference", "label", "recipe"),
    "nnqmc.system": ("molecule", "reference"),
    "nnqmc.trained": ("load",),
    "nnqmc.typing": ("System",),
    "nnqmc.wavefunctions": ("FermiNet", "LapNet", "Psiformer"),
})
"""The public names by the module that each lives in."""

__all__ = [
    "CheckpointError", "Estimate", "FermiNet", "InputError", "Interrupted", "LapNet", "Metropolis", "NnqmcError",
    "NumericalError", "Psiformer", "Result", "SCFError", "SignatureError", "System", "adam", "burn_in", "curve",
    "difference", "evaluate", "hartree_fock", "init_state", "label", "load", "make_measurement", "make_step",
    "molecular", "molecule", "plots", "pretrain", "recipe", "reference", "resume", "solve", "spring", "train",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name == "plots":
        import nnqmc.plots as plots

        return plots
    for module, names in _HOME.items():
        if name in names:
            with tolerant_stdout():  # which JAX asks for its kind as it is imported
                value = getattr(import_module(module), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'nnqmc' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names, for completion."""
    return sorted(set(__all__) | set(globals()))
