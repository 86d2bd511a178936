"""A whole calculation: Hartree-Fock, pretraining, training, evaluation, and the directory that keeps it."""

from nnqmc.job.calculation import reevaluate, report, resume, run
from nnqmc.job.directory import RunDirectory, default_directory
from nnqmc.job.result import Result
from nnqmc.job.solve import solve

__all__ = ["Result", "RunDirectory", "default_directory", "reevaluate", "report", "resume", "run", "solve"]
