"""The command line: nnqmc run | resume | evaluate | report | list | info | bench | doctor."""

from nnqmc.cli.program import console, main

__all__ = ["console", "main"]
