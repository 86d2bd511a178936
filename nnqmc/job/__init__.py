"""A whole calculation: Hartree-Fock, pretraining, training, evaluation, and the directory that keeps it."""

from nnqmc.job.directory import RunDirectory, default_directory
from nnqmc.job.result import Result
from nnqmc.job.run import reevaluate, report, resume, run, solve

__all__ = ["Result", "RunDirectory", "default_directory", "reevaluate", "report", "resume", "run", "solve"]
