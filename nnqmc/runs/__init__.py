"""A whole calculation: Hartree-Fock, pretraining, training, evaluation, and the directory that keeps it."""

from nnqmc.runs.calculate import reevaluate, report, resume, run, solve
from nnqmc.runs.directory import RunDirectory, default_directory
from nnqmc.runs.result import Result

__all__ = ["Result", "RunDirectory", "default_directory", "reevaluate", "report", "resume", "run", "solve"]
