"""A whole calculation: Hartree-Fock, pretraining, training, evaluation, and the directory that keeps it."""

from nnqmc.job.calculation import open_run, reevaluate, report, resume, run, stored_result
from nnqmc.job.directory import RunDirectory, default_directory
from nnqmc.job.result import Result
from nnqmc.job.solve import solve

__all__ = ["Result", "RunDirectory", "default_directory", "open_run", "reevaluate", "report", "resume", "run", "solve",
           "stored_result"]
