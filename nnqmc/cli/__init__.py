"""The command `nnqmc`: run, resume, evaluate, report, list, info, bench and doctor."""

from nnqmc.cli.program import console, main

__all__ = ["console", "main"]
