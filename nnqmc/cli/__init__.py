"""The command line: nnqmc run | resume | evaluate | report | list | info | bench | doctor."""

from nnqmc.cli.program import main

__all__ = ["main"]
