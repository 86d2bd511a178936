"""`python -m nnqmc` is the command line."""

from nnqmc.cli import console

if __name__ == "__main__":
    console()
