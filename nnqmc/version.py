"""The version of nnqmc, which a run's files carry and which decides whether this nnqmc reads them."""

VERSION = "0.2.0"
"""The version that `nnqmc.__version__` and `nnqmc --version` give."""
